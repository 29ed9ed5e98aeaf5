package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

const (
	resealPage    = 500 // reports looked at together
	resealWorkers = 8   // reports resealed at once: they wait for the disk, mostly
	// resealErrors is how many errors are told of one run: ten thousand reports
	// that the key does not open have the same one.
	resealErrors = 10
)

// ResealOptions says how to reseal a client's reports.
type ResealOptions struct {
	// With are private keys that may open the reports, beside the gateway's hold
	// key: that of the escrow, usually.
	With []pgp.PrivateKey
	// DryRun changes nothing and counts only.
	DryRun bool
	// Each, if it is not nil, is told of every report that was looked at, and what
	// became of it. It is not called concurrently.
	Each func(reports.Report, ResealOutcome)
}

// ResealOutcome is what became of one report.
type ResealOutcome string

// The outcomes.
const (
	// Resealed: its client's present keys open it, or would but for a dry run.
	Resealed ResealOutcome = "resealed"
	// Current: it is sealed to the client's present keys already.
	Current ResealOutcome = "current"
	// OnHold: it is on legal hold, which preserves its very bytes.
	OnHold ResealOutcome = "on-hold"
	// Locked: none of the private keys opens it.
	Locked ResealOutcome = "locked"
	// Gone: it was purged, or changed by somebody else, meanwhile.
	Gone ResealOutcome = "gone"
	// Failed: an error says why.
	Failed ResealOutcome = "failed"
)

// ResealResult counts the outcomes.
type ResealResult struct {
	Resealed int `json:"resealed"`
	Current  int `json:"current"`
	OnHold   int `json:"on_hold"`
	Locked   int `json:"locked"`
	Gone     int `json:"gone"`
	Failed   int `json:"failed"`
}

func (r *ResealResult) count(o ResealOutcome) {
	switch o {
	case Resealed:
		r.Resealed++
	case Current:
		r.Current++
	case OnHold:
		r.OnHold++
	case Locked:
		r.Locked++
	case Gone:
		r.Gone++
	case Failed:
		r.Failed++
	}
}

// Reseal readdresses what was published to a client to the keys that the client
// has now, for one that lost its key. Only the session-key packets are replaced;
// the encrypted body is copied octet by octet, and nothing is decrypted but the
// session key, in memory.
//
// For each report the new blob is durable before its row changes, and the earlier
// blob becomes garbage in the same transaction: a crash loses nothing, and the next
// run goes on where it was. Reports that can't be resealed do not keep back the
// others. A client without a usable certificate gives [keys.ErrNoRecipient], and
// then nothing was changed.
func (p *Publisher) Reseal(ctx context.Context, actor string, client reports.ClientID, o ResealOptions) (ResealResult, error) {
	if _, err := p.Register.Account(ctx, client); err != nil {
		return ResealResult{}, err
	}
	run := &resealing{Publisher: p, actor: actor, options: o, keys: append(slices.Clone(o.With), p.Own.Hold)}
	var after *reports.Report
	for {
		// Looked up for every page: a key that is revoked during a long run is
		// sealed to no more.
		to, err := p.Register.Recipients(ctx, client)
		if err != nil {
			return run.result, run.fault(err)
		}
		if run.to = append(to, p.Escrow...); run.to == nil {
			return run.result, run.fault(pgp.ErrNoRecipients)
		}
		if run.ids, err = pgp.ResealedRecipients(run.to, p.Now()); err != nil {
			return run.result, run.fault(err)
		}
		page, err := p.Catalog.Sealed(ctx, client, after, resealPage)
		if err != nil {
			return run.result, run.fault(err)
		}
		run.page(ctx, page)
		if err := ctx.Err(); err != nil || len(page) < resealPage {
			return run.result, run.fault(err)
		}
		after = &page[len(page)-1]
	}
}

// resealing is one run of [Publisher.Reseal].
type resealing struct {
	*Publisher
	actor   string
	options ResealOptions
	keys    []pgp.PrivateKey
	to      []pgp.Certificate
	ids     []string // that files sealed to them are addressed to

	mu     sync.Mutex // guards what follows, and calls of options.Each
	result ResealResult
	failed []error
}

// page reseals some reports, several at once, and returns when all are done. When
// ctx ends it begins no more.
func (run *resealing) page(ctx context.Context, page []reports.Report) {
	work := make(chan reports.Report)
	var workers sync.WaitGroup
	for range min(resealWorkers, len(page)) {
		workers.Go(func() {
			for r := range work {
				outcome, err := run.one(ctx, r)
				run.note(r, outcome, err)
			}
		})
	}
	for _, r := range page {
		if ctx.Err() != nil {
			break
		}
		work <- r
	}
	close(work)
	workers.Wait()
}

func (run *resealing) note(r reports.Report, outcome ResealOutcome, err error) {
	run.mu.Lock()
	defer run.mu.Unlock()
	if err != nil && len(run.failed) < resealErrors {
		run.failed = append(run.failed, fmt.Errorf("resealing %s (%s): %w", r.Name, r.ID, err))
	}
	run.result.count(outcome)
	if run.options.Each != nil {
		run.options.Each(r, outcome)
	}
}

// fault joins what failed with what ended the run, if anything did.
func (run *resealing) fault(err error) error {
	failed := run.failed
	if more := run.result.Failed - len(failed); more > 0 {
		failed = append(failed, fmt.Errorf("%d more reports could not be resealed", more))
	}
	return errors.Join(append(failed, err)...)
}

func (run *resealing) one(ctx context.Context, r reports.Report) (ResealOutcome, error) {
	content, err := run.Blobs.Open(r.Blob)
	if err != nil {
		return Failed, err
	}
	defer content.Close()
	ids, err := pgp.Recipients(io.NewSectionReader(content, 0, content.Size()))
	if err != nil {
		return Failed, err
	}
	switch key, opens := run.keyFor(ids); {
	case slices.Equal(ids, run.ids) && slices.Equal(r.SealedTo, names(run.to)):
		return Current, nil
	case r.LegalHold:
		return OnHold, nil
	case !opens:
		return Locked, nil
	case run.options.DryRun:
		return Resealed, nil
	default:
		return run.readdress(ctx, r, io.NewSectionReader(content, 0, content.Size()), key)
	}
}

// keyFor returns the private key that a file is addressed to.
func (run *resealing) keyFor(ids []string) (pgp.PrivateKey, bool) {
	for _, key := range run.keys {
		for _, id := range key.Certificate().EncryptionKeyIDs() {
			if slices.Contains(ids, id) {
				return key, true
			}
		}
	}
	return pgp.PrivateKey{}, false
}

func (run *resealing) readdress(ctx context.Context, r reports.Report, sealed io.Reader, key pgp.PrivateKey) (outcome ResealOutcome, err error) {
	if err := run.Blobs.Spare(); err != nil {
		return Failed, err
	}
	w := run.Blobs.Stream()
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Abort())
		}
	}()
	digest := sha256.New()
	if err := pgp.Reseal(io.MultiWriter(w, digest), sealed, key, run.to, run.Now()); err != nil {
		return Failed, err
	}
	if err := w.Commit(); err != nil {
		return Failed, err
	}
	_, done, err := run.Catalog.Reseal(ctx, catalog.Resealed{
		ID: r.ID, Was: r.Blob, Blob: w.ID(), Size: w.Size(), SHA256: hex.EncodeToString(digest.Sum(nil)),
		SealedTo: names(run.to), Actor: run.actor,
	})
	if err != nil {
		run.drop(w, err)
		return Failed, err
	}
	w.Settle()
	if !done {
		return Gone, nil
	}
	return Resealed, nil
}
