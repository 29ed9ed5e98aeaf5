package keys

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sealdrop/sealdrop/internal/durable"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

// Own are the gateway's own secrets.
type Own struct {
	// Hold is what reports are sealed to for clients without a usable
	// certificate, so that they can be released later.
	Hold pgp.PrivateKey
	// Signing is what reports are signed with, if the configuration says so.
	Signing pgp.PrivateKey
	// Delivery keys the hashes by which a report that is delivered twice is
	// recognised. With a plain hash, whoever reads the catalog could test guesses
	// of a report's content.
	Delivery []byte
}

// The names of the gateway's own keys in their folder.
const (
	holdFile     = "hold.pgp"
	signingFile  = "signing.pgp"
	deliveryFile = "delivery.key"

	deliverySize = 32
)

// CreateOwn makes those of the gateway's own keys that are not in the folder
// yet, readable by their owner only, and durable when it returns.
func CreateOwn(dir string, now time.Time) error {
	pair := func(name string) func() ([]byte, error) {
		return func() ([]byte, error) {
			k, err := pgp.GeneratePrivateKey(name, now)
			return []byte(k.Armored()), err
		}
	}
	for _, own := range []struct {
		file string
		make func() ([]byte, error)
	}{
		{holdFile, pair("Sealdrop hold key")},
		{signingFile, pair("Sealdrop signing key")},
		{deliveryFile, func() ([]byte, error) {
			secret := make([]byte, deliverySize)
			_, err := rand.Read(secret)
			return secret, err
		}},
	} {
		path := filepath.Join(dir, own.file)
		if _, err := os.Lstat(path); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("making the gateway's own keys: %w", err)
		}
		secret, err := own.make()
		if err != nil {
			return fmt.Errorf("making %s: %w", path, err)
		}
		if err := durable.WriteFile(path, secret, 0o600); err != nil {
			return fmt.Errorf("making %s: %w", path, err)
		}
	}
	return nil
}

// LoadOwn reads the gateway's own keys. A file that others can read is refused.
func LoadOwn(dir string) (Own, error) {
	var own Own
	hold, err := readSecret(filepath.Join(dir, holdFile))
	if err != nil {
		return own, err
	}
	if own.Hold, err = pgp.ReadPrivateKey(hold); err != nil {
		return own, fmt.Errorf("reading the hold key: %w", err)
	}
	signing, err := readSecret(filepath.Join(dir, signingFile))
	if err != nil {
		return own, err
	}
	if own.Signing, err = pgp.ReadPrivateKey(signing); err != nil {
		return own, fmt.Errorf("reading the signing key: %w", err)
	}
	if own.Delivery, err = readSecret(filepath.Join(dir, deliveryFile)); err != nil {
		return own, err
	}
	if len(own.Delivery) != deliverySize {
		return own, fmt.Errorf("reading the delivery key: it has %d bytes and should have %d", len(own.Delivery), deliverySize)
	}
	return own, nil
}

// SecretFileError says that a file with a secret can't be used as it is.
type SecretFileError struct {
	Path    string
	Problem string
	Advice  string
	Err     error
}

func (e *SecretFileError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s %s: %v", e.Path, e.Problem, e.Err)
	}
	return e.Path + " " + e.Problem
}

// Unwrap returns the system's own error.
func (e *SecretFileError) Unwrap() error { return e.Err }

// Hint says what an operator can do.
func (e *SecretFileError) Hint() string { return e.Advice }

func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, &SecretFileError{
			Path: path, Problem: "can't be read", Err: err,
			Advice: "restore it from a backup, and run sealdrop as the user that owns it",
		}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, &SecretFileError{
			Path: path, Problem: fmt.Sprintf("can be read by others (mode %04o)", mode), Advice: "chmod 600 " + path,
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &SecretFileError{
			Path: path, Problem: "can't be read", Err: err, Advice: "run sealdrop as the user that owns the file",
		}
	}
	return data, nil
}
