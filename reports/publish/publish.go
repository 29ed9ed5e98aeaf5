package publish

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Suffix is what a sealed report's name ends in. gpg takes it off by itself.
const Suffix = ".pgp"

// Register tells about clients; *[keys.Register] is one.
type Register interface {
	// Account returns a client, whose networks may be left out, or an error that
	// wraps [reports.ErrUnknownClient].
	Account(ctx context.Context, id reports.ClientID) (keys.Client, error)
	// Recipients returns the certificates to seal to now, or an error that wraps
	// [keys.ErrNoRecipient].
	Recipients(ctx context.Context, client reports.ClientID) ([]pgp.Certificate, error)
	// Addressee returns both.
	Addressee(ctx context.Context, client reports.ClientID) (keys.Addressee, error)
}

// Config is what a [Publisher] needs.
type Config struct {
	Register Register
	Catalog  *catalog.Catalog
	Blobs    *blob.Dir
	Own      keys.Own
	// Escrow, where there is one, is sealed to beside the client.
	Escrow []pgp.Certificate
	// Sign has every report signed with the gateway's own key.
	Sign     bool
	Compress bool
	// Retention is how long a report is kept, for clients with no time of their
	// own.
	Retention time.Duration
	Now       func() time.Time
	Log       *slog.Logger
	// Observe is told of every delivery. nil: nobody is told.
	Observe func(Observed)
}

// Observed is what became of a delivery, for who counts them.
type Observed struct {
	Actor   string
	Outcome Outcome
	Err     error
	Sealing time.Duration // until its content was durable; zero if it was not sealed
}

// Publisher seals and publishes reports. It is safe for concurrent use.
type Publisher struct{ Config }

// New returns a publisher.
func New(c Config) *Publisher { return &Publisher{c} }

// Delivery is a report as its producer hands it in.
type Delivery struct {
	Client reports.ClientID
	// Name is the report's own name, one segment; the client sees it with
	// [Suffix].
	Name     reports.Name
	Modified time.Time
	// Size is the report's length in bytes, -1 if it is not known. A stream that
	// turns out longer or shorter is refused.
	Size int64
	// Replace hides an earlier file of the name, instead of taking a version of
	// the name. Again publishes although the same was delivered before.
	Replace, Again bool
	// OverQuota publishes although the client's quota is used up, which is audited.
	OverQuota bool
	// Actor is who hands it in, for the record.
	Actor string
	// Final is for who learns only at the end what the report is called. If it is
	// not nil it is called once after the last byte, and Name and Modified count for
	// nothing: the name within the sealed file is left empty.
	Final func() (Landing, error)
	// Record, if it is not nil, is called in the transaction that publishes, and with
	// an error of its own nothing is published: what it writes is there if the report
	// is. It is not called for a report that was known, and that the client had no
	// quota for any more.
	Record func(tx *database.Tx, o Outcome) error
}

// Landing is what a report is called, and how old it is.
type Landing struct {
	Name     reports.Name // one segment, as in [Delivery]
	Modified time.Time
}

// begin is land for a delivery whose name is known, and takes from others what they
// are not called.
func (d Delivery) begin() (Delivery, reports.Name, error) {
	if d.Final == nil {
		return d.land()
	}
	d.Name, d.Modified = reports.Name{}, time.Time{}
	return d, reports.Name{}, nil
}

// land returns d with what it is called, and the name that the client sees.
func (d Delivery) land() (Delivery, reports.Name, error) {
	if d.Final != nil {
		l, err := d.Final()
		if err != nil {
			return d, reports.Name{}, err
		}
		d.Name, d.Modified = l.Name, l.Modified
	}
	// A name with folders, or none, is no report's.
	if _, err := reports.ParseSegment(d.Name.String()); err != nil {
		return d, reports.Name{}, err
	}
	name, err := reports.ParseSegment(d.Name.String() + Suffix)
	return d, name, err
}

// Outcome is what became of a delivery.
type Outcome struct {
	Report reports.Report
	// Known: the same was delivered before, and nothing was changed.
	Known bool
	// HeldBecause says why the report is held, nil if it is not.
	HeldBecause error
}

// Publish seals r for the client and publishes it. When it returns nil the
// report is durable. When it returns an error there is no trace of the report,
// except for one that is [database.ErrUnknownOutcome].
//
// What the client has no quota for is refused with a [*reports.QuotaError], as
// soon as that is known, and at the last when it would be published. The stream
// is still read to its end, because what was published before is known again
// however full the folder is by now.
func (p *Publisher) Publish(ctx context.Context, d Delivery, r io.Reader) (Outcome, error) {
	var sealing time.Duration
	o, err := p.publish(ctx, d, r, &sealing)
	if p.Observe != nil {
		p.Observe(Observed{Actor: d.Actor, Outcome: o, Err: err, Sealing: sealing})
	}
	return o, err
}

func (p *Publisher) publish(ctx context.Context, d Delivery, r io.Reader, sealing *time.Duration) (Outcome, error) {
	d, name, err := d.begin()
	if err != nil {
		return Outcome{}, err
	}
	to, err := p.Register.Addressee(ctx, d.Client)
	if err != nil {
		return Outcome{}, err
	}
	if to.Client.Producer() {
		return Outcome{}, fmt.Errorf("%w: %s is a producer, which is delivered nothing", reports.ErrUnknownClient, d.Client)
	}
	recipients, held, err := p.recipients(to)
	if err != nil {
		return Outcome{}, err
	}
	content := newDigest(hmac.New(sha256.New, p.Own.Delivery))
	room := endless()
	if p.Catalog.Limits(to.Client.Quota) {
		room, err = p.room(ctx, d, name, held != nil)
	}
	if err != nil {
		return p.knownOr(ctx, d, r, content, err)
	}
	started := time.Now()
	sealed, err := p.seal(ctx, d, recipients, r, content, room)
	if err != nil {
		return p.knownOr(ctx, d, r, content, err)
	}
	*sealing = time.Since(started)
	if d.Final != nil {
		if d, name, err = d.land(); err != nil {
			p.drop(sealed.Stream, nil)
			return Outcome{}, err
		}
	}
	report, known, err := p.Catalog.Publish(ctx, catalog.Publication{
		Client: d.Client, Name: name, Blob: sealed.ID(), Size: sealed.Size(), SHA256: sealed.sha256, PlainSize: sealed.plainSize,
		SealedTo: names(recipients), Modified: d.Modified, Retention: p.retention(to.Client), Source: p.source(d, content),
		Held: held != nil, Replace: d.Replace, Again: d.Again, OverQuota: d.OverQuota, Actor: d.Actor, Also: d.also(held),
	})
	if err != nil {
		p.drop(sealed.Stream, err)
		return Outcome{}, err
	}
	if known {
		p.drop(sealed.Stream, nil)
	}
	sealed.Settle()
	if held != nil && report.State == reports.Held {
		// A key may have come while the report was being sealed to the hold key.
		if _, err := p.Release(ctx, d.Actor, d.Client, nil); err != nil {
			p.Log.Warn("held reports could not be released", "event", "release.failed", "client", d.Client, "error", err)
		}
		if now, err := p.Catalog.Report(ctx, report.ID); err == nil {
			report = now
		}
	}
	return outcome(report, known, held), nil
}

// outcome puts together what became of a report that had to be held for a reason,
// if for any.
func outcome(r reports.Report, known bool, held error) Outcome {
	if r.State != reports.Held {
		held = nil
	}
	return Outcome{Report: r, Known: known, HeldBecause: held}
}

// also is Record as the catalog calls it.
func (d Delivery) also(held error) func(*database.Tx, reports.Report, bool) error {
	if d.Record == nil {
		return nil
	}
	return func(tx *database.Tx, r reports.Report, known bool) error {
		return d.Record(tx, outcome(r, known, held))
	}
}

// recipients returns whom to seal to, and why the report must be held, if it
// must.
func (p *Publisher) recipients(to keys.Addressee) (list []pgp.Certificate, held, err error) {
	list, err = to.Recipients()
	if errors.Is(err, keys.ErrNoRecipient) {
		held, err = err, nil
		list = []pgp.Certificate{p.Own.Hold.Certificate()}
	}
	return append(list, p.Escrow...), held, err
}

func (p *Publisher) retention(c keys.Client) time.Duration {
	if c.Retention > 0 {
		return c.Retention
	}
	return p.Retention
}

// sealed is a report that is durable and that nobody knows of.
type sealed struct {
	*blob.Stream
	sha256    string
	plainSize int64
}

func (p *Publisher) seal(ctx context.Context, d Delivery, to []pgp.Certificate, r io.Reader, content *digest, room catalog.Room) (s sealed, err error) {
	if err := p.Blobs.Spare(); err != nil {
		return s, err
	}
	w := p.Blobs.Stream()
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Abort())
		}
	}()
	out := newDigest(sha256.New())
	options := pgp.Options{
		Recipients: to, FileName: d.Name.Base(), ModTime: d.Modified, Compress: p.Compress, Size: d.Size, Now: p.Now(),
	}
	if p.Sign {
		options.Signer = &p.Own.Signing
	}
	sealer, err := pgp.NewWriter(&digestWriter{&roomWriter{w, room}, out}, options)
	if err != nil {
		return s, err
	}
	n, err := p.copy(ctx, sealer, r, content)
	if err != nil {
		return s, err // the sealer is given up unclosed: what it wrote is no message
	}
	if err := sealer.Close(); err != nil {
		return s, err
	}
	if err := w.Commit(); err != nil {
		return s, err
	}
	return sealed{Stream: w, sha256: hex.EncodeToString(out.sum()), plainSize: n}, nil
}

// source stands for a delivery: a keyed hash over the client, the name and the
// keyed hash of the content, each after its length.
func (p *Publisher) source(d Delivery, content *digest) string {
	h := hmac.New(sha256.New, p.Own.Delivery)
	for _, s := range []string{d.Client.String(), d.Name.String(), string(content.sum())} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		io.WriteString(h, s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

const (
	// copyBuffer is the size of the pieces in which plaintext is read.
	copyBuffer = 256 << 10
	// spaceCheck is after how many pieces the disk is looked at again.
	spaceCheck = 32
)

// copyBuffers hold plaintext for a moment: one is filled while the other is hashed. To
// make them anew for each report cost more than sealing a short one.
var copyBuffers = sync.Pool{New: func() any { return new([2][copyBuffer]byte) }}

// copy copies until the end, an error, the end of ctx, or until the disk has come
// down to its reserve. What it reads is added to content.
func (p *Publisher) copy(ctx context.Context, w io.Writer, r io.Reader, content *digest) (int64, error) {
	var total int64
	buffers := copyBuffers.Get().(*[2][copyBuffer]byte)
	defer copyBuffers.Put(buffers)
	defer content.wait() // it looks at them
	free := 0            // the buffer that nobody looks at
	for piece := 1; ; piece++ {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		if piece%spaceCheck == 0 {
			if err := p.Blobs.Spare(); err != nil {
				return total, err
			}
		}
		buf := buffers[free][:]
		n, err := r.Read(buf)
		if n > 0 { // a reader may return nothing and go on
			free = 1 - free
			_, err := w.Write(buf[:n])
			content.add(buf[:n]) // beside the next read, when there is least to do
			if err != nil {
				return total, err
			}
			total += int64(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return total, nil
		case err != nil:
			return total, fmt.Errorf("reading the report: %w", err)
		}
	}
}

// drop deletes a durable blob that no row came to show. Where it is not sure
// that none did, the blob is not settled, and left to the orphan sweep.
func (p *Publisher) drop(b *blob.Stream, err error) {
	if errors.Is(err, database.ErrUnknownOutcome) {
		return
	}
	if err := p.Blobs.Delete(b.ID()); err != nil {
		p.Log.Warn("a blob could not be deleted; a sweep will", "event", "blob.not-deleted", "blob", b.ID(), "error", err)
	}
	b.Settle()
}

func names(certs []pgp.Certificate) []string {
	list := make([]string, 0, len(certs))
	for _, c := range certs {
		list = append(list, c.Fingerprint())
	}
	return list
}
