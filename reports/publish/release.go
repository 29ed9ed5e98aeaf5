package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// releasePage is how many held reports are looked at together.
const releasePage = 500

// Release publishes the held reports of a client that has a usable certificate
// by now, and returns how many. Without one it does nothing. each, if it is not
// nil, is called for every released report. Reports that can't be released do
// not keep back the others; their errors come joined.
func (p *Publisher) Release(ctx context.Context, actor string, client reports.ClientID, each func(reports.Report)) (int, error) {
	recipients, err := p.Register.Recipients(ctx, client)
	if errors.Is(err, keys.ErrNoRecipient) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	c, err := p.Register.Account(ctx, client)
	if err != nil {
		return 0, err
	}
	recipients = append(recipients, p.Escrow...)
	released := 0
	var after *reports.Report
	var failed []error
	for {
		page, err := p.Catalog.HeldReports(ctx, client, after, releasePage)
		if err != nil {
			return released, errors.Join(append(failed, err)...)
		}
		for _, held := range page {
			r, done, err := p.release(ctx, actor, held, c, recipients)
			if err != nil {
				failed = append(failed, fmt.Errorf("releasing %s (%s): %w", held.Name, held.ID, err))
				continue
			}
			if done {
				released++
				if each != nil {
					each(r)
				}
			}
		}
		if len(page) > 0 {
			after = &page[len(page)-1]
		}
		if len(page) < releasePage {
			return released, errors.Join(failed...)
		}
	}
}

// ReleaseAll releases whatever can be released, of all clients.
func (p *Publisher) ReleaseAll(ctx context.Context, actor string) (int, error) {
	held, err := p.Catalog.Held(ctx)
	if err != nil {
		return 0, err
	}
	total := 0
	var failed []error
	for client := range held {
		n, err := p.Release(ctx, actor, client, nil)
		total += n
		failed = append(failed, err)
	}
	return total, errors.Join(failed...)
}

func (p *Publisher) release(ctx context.Context, actor string, held reports.Report, c keys.Client, to []pgp.Certificate) (r reports.Report, done bool, err error) {
	if err := ctx.Err(); err != nil {
		return r, false, err
	}
	content, err := p.Blobs.Open(held.Blob)
	if err != nil {
		return r, false, err
	}
	defer content.Close()
	w := p.Blobs.Stream()
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Abort())
		}
	}()
	digest := sha256.New()
	err = pgp.Reseal(io.MultiWriter(w, digest), io.NewSectionReader(content, 0, content.Size()), p.Own.Hold, to, p.Now())
	if err != nil {
		return r, false, err
	}
	if err := w.Commit(); err != nil {
		return r, false, err
	}
	r, done, err = p.Catalog.Release(ctx, catalog.Released{
		ID: held.ID, Blob: w.ID(), Size: w.Size(), SHA256: hex.EncodeToString(digest.Sum(nil)),
		SealedTo: names(to), Retention: p.retention(c), Actor: actor,
	})
	if err != nil {
		p.drop(w, err)
		return r, done, err
	}
	w.Settle()
	return r, done, nil
}
