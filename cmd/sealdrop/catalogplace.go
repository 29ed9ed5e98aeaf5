package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/keys"
)

// catalogPlace returns where the configuration has the catalog.
func catalogPlace(cfg *config.Config) (database.Place, error) {
	if cfg.Catalog.URL == "" {
		return database.InFolder(cfg.Data), nil
	}
	password, err := catalogPassword(cfg.Catalog.PasswordFile)
	if err != nil {
		return database.Place{}, err
	}
	place, err := database.AtServer(cfg.Catalog.URL, password)
	if err != nil {
		return place, fmt.Errorf("catalog.url: %w", err)
	}
	return place, nil
}

// maxPassword is far above every password, and far below what a mistaken file
// could fill the memory with.
const maxPassword = 4096

// catalogPassword reads a file with a password on one line.
func catalogPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading catalog.password_file: %w", err)
	}
	defer f.Close() // it was only read
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("reading catalog.password_file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return "", &advisedError{err: fmt.Errorf("%s can be read by others (mode %04o)", path, mode), advice: "chmod o-rwx " + path}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("reading catalog.password_file: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" || len(text) > maxPassword || strings.ContainsAny(password, "\r\n\x00") {
		return "", fmt.Errorf("catalog.password_file %s: %w", path, errors.New("it has to hold a password, on one line"))
	}
	return password, nil
}

// ownerMark is the mark by which a server's catalog knows the data folders that
// it belongs to: those with the same keys of their own.
const ownerMark = "owner"

// ownersName stands for the data folders with the same keys of their own, for a purpose,
// and tells nothing of the keys.
func ownersName(own keys.Own, purpose string) []byte {
	mac := hmac.New(sha256.New, own.Delivery)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// openCatalog opens a catalog for a data folder with the given keys. On a server,
// where a slip in the configuration is enough to name another gateway's, that one
// is refused: it knows none of the blobs here, and the sweep would take all of
// them for rubbish.
func openCatalog(ctx context.Context, place database.Place, own keys.Own) (*database.DB, error) {
	db, err := place.Open(ctx)
	if err != nil || place.File() != "" {
		return db, err
	}
	owner := int64(binary.BigEndian.Uint64(ownersName(own, ownerMark)))
	found, err := db.Read().GetMark(ctx, ownerMark)
	if errors.Is(err, database.ErrNotFound) {
		err = db.Write(ctx, func(tx *database.Tx) error {
			if found, err = tx.GetMark(tx.Context(), ownerMark); !errors.Is(err, database.ErrNotFound) {
				return err // another was faster
			}
			found = owner
			return tx.SetMark(tx.Context(), query.SetMarkParams{Name: ownerMark, N: owner})
		})
	}
	if err == nil && found != owner {
		err = &advisedError{
			err:    fmt.Errorf("the catalog %s belongs to another data folder", place),
			advice: "correct catalog.url or data; a further gateway on one catalog needs a copy of the first one's folder data/keys, and the same blobs",
		}
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
