package publish

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Check returns a [*reports.QuotaError] if d is refused for want of quota already
// now, before a byte of it has come. It is for roads on which the way is long;
// [Publisher.Publish] looks for itself.
func (p *Publisher) Check(ctx context.Context, d Delivery) error {
	name, err := reports.ParseSegment(d.Name.String() + Suffix)
	if err != nil {
		return err
	}
	_, err = p.room(ctx, d, name, false)
	return err
}

// endless is the room of who has no limit.
func endless() catalog.Room { return catalog.Room{Files: 1, Bytes: math.MaxInt64} }

// room returns how much may be stored of a delivery, or why nothing may.
func (p *Publisher) room(ctx context.Context, d Delivery, name reports.Name, held bool) (catalog.Room, error) {
	if d.OverQuota {
		return endless(), nil
	}
	// What a held report replaces stays in place until the release.
	room, err := p.Catalog.Room(ctx, d.Client, name, d.Replace && !held)
	if err != nil {
		return room, err
	}
	least := int64(1) // a sealed report is never empty
	if !p.Compress {
		least = max(least, d.Size)
	}
	return room, room.Check(least)
}

// roomWriter writes to a blob, as far as there is room.
type roomWriter struct {
	*blob.Stream
	room catalog.Room
}

func (w *roomWriter) Write(b []byte) (int, error) {
	if w.Size() > w.room.Bytes-int64(len(b)) {
		return 0, w.room.Check(math.MaxInt64)
	}
	return w.Stream.Write(b)
}

// knownOr returns refused, unless that is for want of quota and what r holds was
// published before. A producer whose acknowledgement was lost, or a spool that is
// looked through again, must be told so: it was that very report which filled the
// quota. content has what was read of r so far, and gets the rest.
func (p *Publisher) knownOr(ctx context.Context, d Delivery, r io.Reader, content *digest, refused error) (Outcome, error) {
	over, ok := errors.AsType[*reports.QuotaError](refused)
	if !ok || d.Again {
		return Outcome{}, refused
	}
	if _, err := p.copy(ctx, io.Discard, r, content); err != nil {
		return Outcome{}, err
	}
	d, _, err := d.land()
	if err != nil {
		return Outcome{}, err
	}
	report, known, err := p.Catalog.Known(ctx, d.Client, p.source(d, content))
	switch {
	case err != nil:
		return Outcome{}, err
	case !known:
		return Outcome{}, over // without what the sealing has to say of it
	}
	return Outcome{Report: report, Known: true}, nil
}
