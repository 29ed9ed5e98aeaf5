package fsck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
)

// examine compares one file's row with its blob, and returns the first thing that
// is wrong, nil if nothing is.
func (r *run) examine(ctx context.Context, file reports.Report) (*Finding, error) {
	content, err := r.Blobs.Open(file.Blob)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Finding{Kind: Missing, Problem: "its blob is not there", Mend: repair}, nil
	case err != nil:
		return &Finding{Kind: Damaged, Problem: err.Error(), Mend: repair}, nil
	}
	defer content.Close()
	if content.Size() != file.Size {
		return &Finding{
			Kind: Truncated, Mend: repair,
			Problem: fmt.Sprintf("its blob has %d bytes, and %d were stored", content.Size(), file.Size),
		}, nil
	}
	if r.options.Quick {
		return nil, nil
	}
	if f, err := r.digest(ctx, file, content); f != nil || err != nil {
		return f, err
	}
	if file.Kind != reports.KindReport {
		return nil, nil // uploads are stored as they came
	}
	return r.recipients(ctx, file, content)
}

func (r *run) digest(ctx context.Context, file reports.Report, content *blob.Reader) (*Finding, error) {
	if file.SHA256 == "" {
		r.done.Pending++
		return nil, nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, &untilDone{ctx, io.NewSectionReader(content, 0, content.Size())}); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return &Finding{Kind: Damaged, Problem: fmt.Sprintf("its blob can't be read: %v", err), Mend: repair}, nil
	}
	if hex.EncodeToString(h.Sum(nil)) != file.SHA256 {
		return &Finding{Kind: Damaged, Problem: "its blob has other bytes than were stored (the SHA-256 differs)", Mend: repair}, nil
	}
	return nil, nil
}

// untilDone reads until ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// recipients compares whom the session-key packets address with whom the catalog
// recorded: each key id must be one of a recorded certificate, and each recorded
// certificate must have one. Where a certificate is no longer known, only the
// number of recipients can be compared.
func (r *run) recipients(ctx context.Context, file reports.Report, content io.ReaderAt) (*Finding, error) {
	addressed, err := pgp.Recipients(io.NewSectionReader(content, 0, file.Size))
	if err != nil {
		return &Finding{Kind: Unsealed, Problem: fmt.Sprintf("it is not a sealed file: %v", err), Mend: "sealdrop report remove " + file.ID}, nil
	}
	mend := fmt.Sprintf("sealdrop report reseal --client %s --with ESCROW-KEY", file.Client)
	strangers := slices.Clone(addressed)
	for _, fingerprint := range file.SealedTo {
		ids, err := r.keyIDs(ctx, file.Client, fingerprint)
		if err != nil {
			return nil, err
		}
		if ids == nil { // not known any more
			if len(addressed) != len(file.SealedTo) {
				return &Finding{
					Kind: Recipients, Mend: mend,
					Problem: fmt.Sprintf("it is addressed to %d keys, and %d were recorded", len(addressed), len(file.SealedTo)),
				}, nil
			}
			return nil, nil
		}
		if !slices.ContainsFunc(addressed, func(id string) bool { return slices.Contains(ids, id) }) {
			return &Finding{Kind: Recipients, Problem: "it is not addressed to " + fingerprint + ", as was recorded", Mend: mend}, nil
		}
		strangers = slices.DeleteFunc(strangers, func(id string) bool { return slices.Contains(ids, id) })
	}
	if len(strangers) > 0 {
		return &Finding{
			Kind: Recipients, Mend: mend,
			Problem: fmt.Sprintf("it is addressed to %s, which is no key of those recorded", strings.Join(strangers, ", ")),
		}, nil
	}
	return nil, nil
}

// maxKeyIDs bounds how many certificates' key ids are remembered.
const maxKeyIDs = 4096

func (r *run) keyIDs(ctx context.Context, client reports.ClientID, fingerprint string) ([]string, error) {
	at := client.String() + " " + fingerprint
	if ids, ok := r.ids[at]; ok {
		return ids, nil
	}
	cert, err := r.Certificate(ctx, client, fingerprint)
	if err != nil {
		return nil, err
	}
	var ids []string
	if !cert.IsZero() {
		ids = cert.EncryptionKeyIDs()
	}
	if len(r.ids) >= maxKeyIDs {
		clear(r.ids)
	}
	r.ids[at] = ids
	return ids, nil
}
