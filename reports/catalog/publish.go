package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// Publication is a sealed report whose blob is durable.
type Publication struct {
	Client    reports.ClientID
	Name      reports.Name
	Blob      string
	Size      int64
	SHA256    string
	PlainSize int64
	SealedTo  []string
	Modified  time.Time
	Retention time.Duration
	// Source is the keyed hash of client, name and plaintext: the same source
	// twice is one report.
	Source string
	// Held keeps the report from the client: it is sealed to the hold key.
	Held bool
	// Replace hides a file that has the name, instead of taking the next free
	// version of the name. What was published before, and was replaced itself since, is
	// published again.
	Replace bool
	// Again publishes although the same source was published before.
	Again bool
	// OverQuota publishes although the client's quota is used up.
	OverQuota bool
	// Actor is who handed it in.
	Actor string
	// Also, if it is not nil, is called in the transaction, and undoes it with an
	// error. It has no other effect than through tx.
	Also func(tx *database.Tx, r reports.Report, known bool) error
}

// Publish commits p. known is true when the same source was published before:
// the earlier report is then returned, nothing is changed, and p's blob is the
// caller's to delete. A report that has been purged since comes back in state
// [reports.Expired] with hardly more than its id.
func (c *Catalog) Publish(ctx context.Context, p Publication) (r reports.Report, known bool, err error) {
	err = c.write(ctx, func(tx *database.Tx) error {
		again := p.Again
		if p.Replace && !again {
			var err error
			if again, err = c.superseded(tx, p); err != nil {
				return err
			}
		}
		if again {
			if err := tx.DeleteSource(tx.Context(), query.DeleteSourceParams{ClientID: p.Client.String(), Source: p.Source}); err != nil {
				return err
			}
		}
		id, now := id.New(), c.now().UTC()
		fresh, err := tx.InsertSource(tx.Context(), query.InsertSourceParams{
			ClientID: p.Client.String(), Source: p.Source, EntryID: id, At: database.Micros(now),
		})
		if err != nil {
			return err
		}
		if fresh == 0 {
			known = true
			if r, err = c.earlier(tx, p); err != nil || p.Also == nil {
				return err
			}
			return p.Also(tx, r, known)
		}
		before, err := c.standing(tx, p.Client, root, p.Name.Base())
		if err != nil {
			return err
		}
		over, err := c.withinQuota(tx, p.Client, before, p.Size, p.OverQuota, func() error {
			if r, err = c.insertReport(tx, id, now, p, before); err != nil || p.Also == nil {
				return err
			}
			return p.Also(tx, r, known)
		})
		if err != nil || over == nil {
			return err
		}
		return audit.Append(tx, now, audit.Entry{
			Event: "quota.exceeded", Actor: p.Actor, Client: p.Client.String(), Subject: id, Detail: map[string]string{"why": over.Error()},
		})
	})
	return r, known, err
}

// Known returns the report that the same source was published as, if it was.
// It lets a producer skip the sealing.
func (c *Catalog) Known(ctx context.Context, client reports.ClientID, source string) (r reports.Report, known bool, err error) {
	q := c.db.Read()
	row, err := q.GetSource(ctx, query.GetSourceParams{ClientID: client.String(), Source: source})
	if errors.Is(err, database.ErrNotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("looking up an earlier delivery: %w", err)
	}
	r, err = bySource(ctx, q, client, row)
	return r, true, err
}

func bySource(ctx context.Context, q *query.Queries, client reports.ClientID, source query.Source) (reports.Report, error) {
	row, err := entry(ctx, q, source.EntryID)
	if errors.Is(err, fs.ErrNotExist) {
		return reports.Report{
			ID: source.EntryID, Client: client, Kind: reports.KindReport, State: reports.Expired,
			Received: database.Time(source.At),
		}, nil
	}
	if err != nil {
		return reports.Report{}, err
	}
	return resolve(ctx, q, row)
}

// superseded tells that p was published before, and that another report has its name
// now. To replace that one is to go back to p, and not to do nothing.
func (c *Catalog) superseded(tx *database.Tx, p Publication) (bool, error) {
	before, err := c.earlier(tx, p)
	if errors.Is(err, database.ErrNotFound) {
		return false, nil
	}
	if err != nil || before.State != reports.Removed && before.State != reports.Expired {
		return false, err
	}
	now, err := child(tx.Context(), tx.Queries, p.Client, root, p.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return reports.Kind(now.Kind) == reports.KindReport, err
}

func (c *Catalog) earlier(tx *database.Tx, p Publication) (reports.Report, error) {
	source, err := tx.GetSource(tx.Context(), query.GetSourceParams{ClientID: p.Client.String(), Source: p.Source})
	if err != nil {
		return reports.Report{}, err
	}
	return bySource(tx.Context(), tx.Queries, p.Client, source)
}

func (c *Catalog) insertReport(tx *database.Tx, id string, now time.Time, p Publication, before standing) (reports.Report, error) {
	e := query.InsertEntryParams{
		ID: id, ClientID: p.Client.String(), Kind: string(reports.KindReport),
		Size: p.Size, Sha256: p.SHA256, PlainSize: p.PlainSize, Blob: p.Blob, SealedTo: strings.Join(p.SealedTo, ","),
		ReceivedAt: database.Micros(now), ModifiedAt: database.Micros(p.Modified), LegalHold: before.legalHold,
	}
	if p.Held && p.Replace {
		e.Replaces = 1
	}
	name, event := p.Name, audit.Event("report.held")
	e.Name, e.State = p.Name.Base(), string(reports.Held)
	if !p.Held {
		event, e.State, e.PublishedAt = "report.published", string(reports.Published), e.ReceivedAt
		e.ExpiresAt = database.Micros(now.Add(p.Retention)) // a held report's time begins with its release
		if before.taken {
			var err error
			if name, err = c.makeRoom(tx, p.Actor, p.Client, root, p.Name, p.Replace); err != nil {
				return reports.Report{}, err
			}
			e.Name = name.Base()
		}
	}
	if err := c.claim(tx, p.Blob); err != nil {
		return reports.Report{}, err
	}
	if err := tx.InsertEntry(tx.Context(), e); err != nil {
		return reports.Report{}, fmt.Errorf("publishing %s: %w", name, err)
	}
	if err := c.use(tx, e.ClientID, 1, e.Size); err != nil {
		return reports.Report{}, err
	}
	err := audit.Append(tx, now, audit.Entry{
		Event: event, Actor: p.Actor, Client: e.ClientID, Subject: id,
		Detail: map[string]string{"name": name.String(), "sha256": p.SHA256, "size": strconv.FormatInt(p.Size, 10), "sealed_to": e.SealedTo},
	})
	if err != nil {
		return reports.Report{}, err
	}
	switch {
	case p.Held: // the operators are told, too
		err = c.tell(tx, now, outbox.ReportHeld, e.ClientID, id, name, e.Size, e.ExpiresAt)
	case before.notified:
		err = c.tell(tx, now, outbox.ReportReady, e.ClientID, id, name, e.Size, e.ExpiresAt)
	}
	if err != nil {
		return reports.Report{}, err
	}
	return fromRow(inserted(e), name)
}

// inserted returns the row that [query.Queries.InsertEntry] has inserted.
func inserted(e query.InsertEntryParams) query.Entry {
	return query.Entry{
		ID: e.ID, ClientID: e.ClientID, ParentID: e.ParentID, Name: e.Name, Kind: e.Kind, State: e.State,
		Size: e.Size, Sha256: e.Sha256, PlainSize: e.PlainSize, Blob: e.Blob, SealedTo: e.SealedTo,
		ReceivedAt: e.ReceivedAt, PublishedAt: e.PublishedAt, ModifiedAt: e.ModifiedAt, ExpiresAt: e.ExpiresAt,
		LegalHold: e.LegalHold, Replaces: e.Replaces,
	}
}

// tell has the client told of a report, within the transaction that makes it so.
func (c *Catalog) tell(tx *database.Tx, now time.Time, kind outbox.Kind, client, id string, name reports.Name, size, expires int64) error {
	detail := map[string]string{outbox.Name: name.String(), outbox.Bytes: strconv.FormatInt(size, 10)}
	if expires != 0 {
		detail[outbox.Until] = database.Time(expires).Format(time.RFC3339)
	}
	return outbox.Add(tx, now, outbox.Event{Kind: kind, Client: client, Subject: id, Detail: detail})
}

// makeRoom returns the name under which a new file can stand in a folder. Where
// the name is taken it is a version of it, or, with replace, the name itself
// after what has it was hidden.
func (c *Catalog) makeRoom(tx *database.Tx, actor string, client reports.ClientID, parent string, name reports.Name, replace bool) (reports.Name, error) {
	row, err := child(tx.Context(), tx.Queries, client, parent, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return name, nil
	case err != nil:
		return name, err
	case replace && reports.Kind(row.Kind) != reports.KindFolder:
		return name, c.hide(tx, actor, row, name, "replaced")
	}
	return freeVersion(tx, client, parent, name)
}

// freeVersion returns a version of a taken name that is free, and whose
// predecessor is taken. A report that is delivered under one name every hour has
// thousands of versions, so it doubles its steps to find a free one, and then
// halves the distance.
func freeVersion(tx *database.Tx, client reports.ClientID, parent string, name reports.Name) (reports.Name, error) {
	isFree := func(k int) (bool, error) {
		_, err := child(tx.Context(), tx.Queries, client, parent, name.Version(k))
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return false, err
	}
	taken, free := 1, 0
	for free == 0 || free-taken > 1 {
		k := 2 * taken
		if free != 0 {
			k = (taken + free) / 2
		}
		ok, err := isFree(k)
		if err != nil {
			return name, err
		}
		if ok {
			free = k
		} else {
			taken = k
		}
	}
	return name.Version(free), nil
}

// hide takes a file out of its client's sight. It can be restored.
func (c *Catalog) hide(tx *database.Tx, actor string, row query.Entry, name reports.Name, why string) error {
	if row.LegalHold != 0 {
		return fmt.Errorf("%s: %w", name, reports.ErrOnHold)
	}
	now := c.now()
	if err := tx.RemoveEntry(tx.Context(), query.RemoveEntryParams{ID: row.ID, RemovedAt: database.Micros(now)}); err != nil {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	if err := c.use(tx, row.ClientID, -1, -row.Size); err != nil {
		return err
	}
	return audit.Append(tx, now, audit.Entry{
		Event: "report.removed", Actor: actor, Client: row.ClientID, Subject: row.ID,
		Detail: map[string]string{"name": name.String(), "why": why},
	})
}

// discard hands a blob to the garbage collection: the file that it is in.
func (c *Catalog) discard(tx *database.Tx, blob string) error {
	if blob == "" {
		return nil
	}
	err := tx.InsertGarbage(tx.Context(), query.InsertGarbageParams{Blob: blobid.File(blob), Since: database.Micros(c.now())})
	if err != nil {
		return fmt.Errorf("letting go of a blob: %w", err)
	}
	return nil
}

// claim keeps a blob that a row is about to show from the garbage collection,
// which may have taken it for an orphan while it was written: see
// [Catalog.Disown]. A pack may be garbage in part, and its blobs are kept as long as rows show them.
func (c *Catalog) claim(tx *database.Tx, blob string) error {
	if blobid.File(blob) != blob {
		return nil
	}
	if err := tx.DeleteGarbage(tx.Context(), blob); err != nil {
		return fmt.Errorf("claiming a blob: %w", err)
	}
	return nil
}

// HeldReports returns up to limit held reports of a client in the order in which
// they came, those after the report after, which is nil at the beginning.
func (c *Catalog) HeldReports(ctx context.Context, client reports.ClientID, after *reports.Report, limit int) ([]reports.Report, error) {
	p := query.ListHeldParams{ClientID: client.String(), N: int64(limit)}
	if after != nil {
		p.ReceivedAfter, p.IDAfter = database.Micros(after.Received), after.ID
	}
	rows, err := c.db.Read().ListHeld(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("listing held reports: %w", err)
	}
	return c.resolveAll(ctx, rows)
}

// Held counts the held reports of each client that has some.
func (c *Catalog) Held(ctx context.Context) (map[reports.ClientID]int64, error) {
	rows, err := c.db.Read().HeldClients(ctx)
	if err != nil {
		return nil, fmt.Errorf("counting held reports: %w", err)
	}
	held := make(map[reports.ClientID]int64, len(rows))
	for _, row := range rows {
		client, err := reports.ParseClientID(row.ClientID)
		if err != nil {
			return nil, fmt.Errorf("counting held reports: %w", err)
		}
		held[client] = row.Reports
	}
	return held, nil
}

// Released is a held report that was sealed anew for its client.
type Released struct {
	ID        string
	Blob      string
	Size      int64
	SHA256    string
	SealedTo  []string
	Retention time.Duration
	Actor     string
}

// Release publishes a held report. done is false when somebody else released
// or removed it first; the new blob is then let go. A quota does not keep it back:
// it counted while it was held.
func (c *Catalog) Release(ctx context.Context, rel Released) (r reports.Report, done bool, err error) {
	err = c.write(ctx, func(tx *database.Tx) error {
		row, err := entry(tx.Context(), tx.Queries, rel.ID)
		if errors.Is(err, fs.ErrNotExist) || err == nil && reports.State(row.State) != reports.Held {
			return c.discard(tx, rel.Blob)
		}
		if err != nil {
			return err
		}
		held, err := resolve(tx.Context(), tx.Queries, row)
		if err != nil {
			return err
		}
		now := c.now().UTC()
		name, err := c.makeRoom(tx, rel.Actor, held.Client, root, held.Name, row.Replaces != 0)
		if err != nil {
			return err
		}
		if err := c.claim(tx, rel.Blob); err != nil {
			return err
		}
		err = tx.ReleaseEntry(tx.Context(), query.ReleaseEntryParams{
			ID: rel.ID, ParentID: root, Name: name.Base(), Size: rel.Size, Sha256: rel.SHA256, Blob: rel.Blob,
			SealedTo: strings.Join(rel.SealedTo, ","), PublishedAt: database.Micros(now),
			ExpiresAt: database.Micros(now.Add(rel.Retention)),
		})
		if err != nil {
			return fmt.Errorf("releasing %s: %w", name, err)
		}
		if err := c.use(tx, row.ClientID, 0, rel.Size-row.Size); err != nil {
			return err
		}
		if err := c.discard(tx, row.Blob); err != nil {
			return err
		}
		done = true
		if r, err = c.reread(tx, rel.ID, name); err != nil {
			return err
		}
		if err := c.tell(tx, now, outbox.ReportReady, row.ClientID, rel.ID, name, rel.Size, database.Micros(r.Expires)); err != nil {
			return err
		}
		return audit.Append(tx, now, audit.Entry{
			Event: "report.released", Actor: rel.Actor, Client: row.ClientID, Subject: rel.ID,
			Detail: map[string]string{"name": name.String(), "sha256": rel.SHA256, "sealed_to": strings.Join(rel.SealedTo, ",")},
		})
	})
	return r, done, err
}

func (c *Catalog) reread(tx *database.Tx, id string, name reports.Name) (reports.Report, error) {
	row, err := tx.GetEntry(tx.Context(), id)
	if err != nil {
		return reports.Report{}, err
	}
	return fromRow(row, name)
}
