package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// WithQuota returns the same catalog with a quota for the clients that have none
// of their own.
func (c *Catalog) WithQuota(q reports.Quota) *Catalog {
	with := *c
	with.quota = q
	return &with
}

// Limits reports whether there is a limit to what a client may have that has a quota of
// its own.
func (c *Catalog) Limits(own reports.Quota) bool {
	q := own.Or(c.quota)
	return q.Bytes > 0 || q.Files > 0
}

// Usage returns what counts against a client's quota, and the quota.
func (c *Catalog) Usage(ctx context.Context, client reports.ClientID) (reports.Usage, reports.Quota, error) {
	left, err := c.left(ctx, c.db.Read(), client)
	return left.used, left.quota, err
}

// Room is how much a client's quota leaves for one more file.
type Room struct {
	Files, Bytes int64

	client reports.ClientID
	share  share
}

// Check returns a [*reports.QuotaError] if there is no room for a file of at least
// so many bytes.
func (r Room) Check(bytes int64) error {
	e := &reports.QuotaError{Client: r.client, Used: r.share.used, Quota: r.share.quota, Files: r.Files < 1}
	if e.Files || bytes > r.Bytes {
		return e
	}
	return nil
}

// Room returns how much a client's quota leaves for a file of a name. Where it is
// to replace a file that has the name, that one's share is added. It is a
// forecast; what holds is decided when the file is published.
func (c *Catalog) Room(ctx context.Context, client reports.ClientID, name reports.Name, replace bool) (Room, error) {
	s, err := c.left(ctx, c.db.Read(), client)
	room := Room{Files: s.room.Files, Bytes: s.room.Bytes, client: client, share: s}
	if err != nil || !replace {
		return room, err
	}
	row, err := find(ctx, c.db.Read(), client, name)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && reports.Kind(row.Kind) == reports.KindFolder:
		return room, nil
	case err != nil:
		return room, err
	}
	room.Files = max(room.Files, 1)
	room.Bytes += min(row.Size, 1<<63-1-room.Bytes)
	return room, nil
}

// share is what a client has and may have.
type share struct {
	used  reports.Usage
	quota reports.Quota
	room  reports.Usage
}

func (c *Catalog) left(ctx context.Context, q *query.Queries, client reports.ClientID) (share, error) {
	row, err := q.GetShare(ctx, client.String())
	if err != nil {
		return share{}, unknownOr(err, client)
	}
	return c.share(row), nil
}

func (c *Catalog) share(row query.GetShareRow) share {
	s := share{
		used:  reports.Usage{Files: row.Files, Bytes: row.Bytes},
		quota: reports.Quota{Bytes: row.QuotaBytes, Files: row.QuotaFiles}.Or(c.quota),
	}
	s.room = s.quota.Left(s.used)
	return s
}

func unknownOr(err error, client reports.ClientID) error {
	if errors.Is(err, database.ErrNotFound) {
		return &reports.UnknownClientError{Client: client}
	}
	return fmt.Errorf("reading the quota of client %s: %w", client, err)
}

// standing is what has to be known before a file is stored for a client under a name.
type standing struct {
	share
	legalHold int64 // what a new file's is
	notified  bool  // of something
	taken     bool  // the name is
}

func (c *Catalog) standing(tx *database.Tx, client reports.ClientID, parent, name string) (standing, error) {
	row, err := tx.GetStanding(tx.Context(), query.GetStandingParams{ID: client.String(), ParentID: parent, Name: name})
	if err != nil {
		return standing{}, unknownOr(err, client)
	}
	s := standing{
		share:    c.share(query.GetShareRow{QuotaBytes: row.QuotaBytes, QuotaFiles: row.QuotaFiles, Files: row.Files, Bytes: row.Bytes}),
		notified: row.Notified != 0, taken: row.Taken != 0,
	}
	if row.OnHold != 0 {
		s.legalHold = clientHold
	}
	return s, nil
}

func used(ctx context.Context, q *query.Queries, client reports.ClientID) (reports.Usage, error) {
	row, err := q.GetUsage(ctx, client.String())
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return reports.Usage{}, fmt.Errorf("reading how much client %s has: %w", client, err)
	}
	return reports.Usage{Files: row.Files, Bytes: row.Bytes}, nil
}

// withinQuota runs fn, which stores a file of a size for a client of that standing, and fails
// if that is beyond the client's quota; the transaction then takes back what fn did. With
// anyway it does not fail, and returns what it would have failed with.
func (c *Catalog) withinQuota(tx *database.Tx, client reports.ClientID, before standing, size int64, anyway bool, fn func() error) (over, err error) {
	if err := fn(); err != nil {
		return nil, err
	}
	after := reports.Usage{Files: before.used.Files + 1, Bytes: before.used.Bytes + size}
	if before.taken { // what had the name may have gone
		if after, err = used(tx.Context(), tx.Queries, client); err != nil {
			return nil, err
		}
	}
	over = before.quota.Check(client, before.used, after)
	if anyway {
		return over, nil
	}
	return over, over
}

// use counts what a client has more, or, below 0, less. Whatever changes a row's
// size, or whether it counts, calls it in the same transaction; see
// [Catalog.CheckUsage].
func (c *Catalog) use(tx *database.Tx, client string, files, bytes int64) error {
	err := tx.AddUsage(tx.Context(), query.AddUsageParams{ClientID: client, Files: files, Bytes: bytes})
	if err != nil {
		return fmt.Errorf("counting what client %s has: %w", client, err)
	}
	return nil
}

// fileCount is 1 for what counts as a file, and 0 for a folder.
func fileCount(row query.Entry) int64 {
	if reports.Kind(row.Kind) == reports.KindFolder {
		return 0
	}
	return 1
}

// CheckUsage counts what a client has one by one, and returns that beside what
// the catalog has kept count of. With mend it corrects the latter. The two differ
// only if somebody else has changed the database.
func (c *Catalog) CheckUsage(ctx context.Context, client reports.ClientID, mend bool) (kept, counted reports.Usage, err error) {
	// In a write, because two reads could see two states of a catalog in use.
	err = c.write(ctx, func(tx *database.Tx) error {
		if kept, counted, err = count(tx.Context(), tx.Queries, client); err != nil || !mend || kept == counted {
			return err
		}
		return tx.SetUsage(tx.Context(), query.SetUsageParams{ClientID: client.String(), Files: counted.Files, Bytes: counted.Bytes})
	})
	return kept, counted, err
}

func count(ctx context.Context, q *query.Queries, client reports.ClientID) (kept, counted reports.Usage, err error) {
	if kept, err = used(ctx, q, client); err != nil {
		return kept, counted, err
	}
	row, err := q.CountEntries(ctx, client.String())
	if err != nil {
		return kept, counted, fmt.Errorf("counting what client %s has: %w", client, err)
	}
	return kept, reports.Usage{Files: row.Files, Bytes: row.Bytes}, nil
}

// Miscounted calls found for each client of which [Catalog.CheckUsage] would
// correct the count; a client that is not zero selects that one. It only reads,
// and asks CheckUsage about those that seem to differ.
func (c *Catalog) Miscounted(ctx context.Context, client reports.ClientID, found func(client reports.ClientID, kept, counted reports.Usage)) error {
	check := func(client reports.ClientID) error {
		kept, counted, err := count(ctx, c.db.Read(), client)
		if err == nil && kept != counted { // or something came in between
			kept, counted, err = c.CheckUsage(ctx, client, false)
		}
		if err == nil && kept != counted {
			found(client, kept, counted)
		}
		return err
	}
	if !client.IsZero() {
		return check(client)
	}
	const page = 500
	for after := ""; ; {
		rows, err := c.db.Read().ListClients(ctx, query.ListClientsParams{After: after, N: page})
		if err != nil {
			return fmt.Errorf("listing clients: %w", err)
		}
		for _, row := range rows {
			id, err := reports.ParseClientID(row.ID)
			if err == nil {
				err = check(id)
			}
			if err != nil {
				return err
			}
			after = row.ID
		}
		if len(rows) < page {
			return nil
		}
	}
}
