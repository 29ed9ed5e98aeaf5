package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// Catalog reads and changes the folders of all clients. It is safe for
// concurrent use.
type Catalog struct {
	db    *database.DB
	now   func() time.Time
	quota reports.Quota // of clients with none of their own
}

// New returns the catalog that is kept in db.
func New(db *database.DB, now func() time.Time) *Catalog { return &Catalog{db: db, now: now} }

// root is the parent id of what lies in a client's folder itself.
const root = ""

// Lookup returns what a name stands for in a client's folder, or an error that
// wraps [fs.ErrNotExist]. The folder itself is a [reports.KindFolder] without
// an id.
func (c *Catalog) Lookup(ctx context.Context, client reports.ClientID, name reports.Name) (reports.Report, error) {
	if name.IsRoot() {
		return reports.Report{Client: client, Kind: reports.KindFolder, State: reports.Published}, nil
	}
	row, err := findFast(ctx, c.db.Read(), client, name)
	if err != nil {
		return reports.Report{}, err
	}
	return fromRow(row, name)
}

// findFast is find, with one query less for what lies in a folder. Where that finds
// nothing, find tells why.
func findFast(ctx context.Context, q *query.Queries, client reports.ClientID, name reports.Name) (query.Entry, error) {
	dir := name.Dir()
	if dir.IsRoot() {
		return child(ctx, q, client, root, name)
	}
	parent, err := folderID(ctx, q, client, dir.Dir())
	if err != nil {
		return query.Entry{}, err
	}
	row, err := q.FindGrandchild(ctx, query.FindGrandchildParams{
		ClientID: client.String(), ParentID: parent, Folder: dir.Base(), Name: name.Base(),
	})
	if err == nil {
		return row, nil
	}
	return find(ctx, q, client, name)
}

// find resolves a name that is not the root.
func find(ctx context.Context, q *query.Queries, client reports.ClientID, name reports.Name) (query.Entry, error) {
	parent, err := folderID(ctx, q, client, name.Dir())
	if err != nil {
		return query.Entry{}, err
	}
	return child(ctx, q, client, parent, name)
}

func child(ctx context.Context, q *query.Queries, client reports.ClientID, parent string, name reports.Name) (query.Entry, error) {
	row, err := q.FindChild(ctx, query.FindChildParams{ClientID: client.String(), ParentID: parent, Name: name.Base()})
	if errors.Is(err, database.ErrNotFound) {
		return row, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return row, fmt.Errorf("looking up %s: %w", name, err)
	}
	return row, nil
}

// folderID resolves a folder's name to its id.
func folderID(ctx context.Context, q *query.Queries, client reports.ClientID, dir reports.Name) (string, error) {
	id := root
	for _, segment := range dir.Segments() {
		row, err := q.FindChild(ctx, query.FindChildParams{ClientID: client.String(), ParentID: id, Name: segment})
		if errors.Is(err, database.ErrNotFound) {
			return "", fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
		}
		if err != nil {
			return "", fmt.Errorf("looking up %s: %w", dir, err)
		}
		if reports.Kind(row.Kind) != reports.KindFolder {
			return "", fmt.Errorf("%s: %w", dir, reports.ErrNotFolder)
		}
		id = row.ID
	}
	return id, nil
}

// Child is what a listing shows of something in a folder.
type Child struct {
	Name     reports.Name
	Folder   bool
	Size     int64
	Modified time.Time
}

// Children returns up to limit visible entries of a folder in the byte order of
// their names, those after the name after.
func (c *Catalog) Children(ctx context.Context, client reports.ClientID, dir reports.Name, after string, limit int) ([]Child, error) {
	q := c.db.Read()
	parent, err := folderID(ctx, q, client, dir)
	if err != nil {
		return nil, err
	}
	rows, err := q.ListChildren(ctx, query.ListChildrenParams{ClientID: client.String(), ParentID: parent, After: after, N: int64(limit)})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	list := make([]Child, 0, len(rows))
	for _, row := range rows {
		name, err := reports.ParseName(dir.String() + "/" + row.Name)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", dir, err)
		}
		list = append(list, Child{
			Name: name, Folder: reports.Kind(row.Kind) == reports.KindFolder, Size: row.Size, Modified: database.Time(row.ModifiedAt),
		})
	}
	return list, nil
}

// Report returns one report, upload or folder by its id, whatever its state, or
// an error that wraps [fs.ErrNotExist].
func (c *Catalog) Report(ctx context.Context, id string) (reports.Report, error) {
	row, err := entry(ctx, c.db.Read(), id)
	if err != nil {
		return reports.Report{}, err
	}
	return resolve(ctx, c.db.Read(), row)
}

func entry(ctx context.Context, q *query.Queries, id string) (query.Entry, error) {
	row, err := q.GetEntry(ctx, id)
	if errors.Is(err, database.ErrNotFound) {
		return row, fmt.Errorf("report %s: %w", id, fs.ErrNotExist)
	}
	if err != nil {
		return row, fmt.Errorf("reading report %s: %w", id, err)
	}
	return row, nil
}

// resolve completes a row that was not reached through its name.
func resolve(ctx context.Context, q *query.Queries, row query.Entry) (reports.Report, error) {
	segments := []string{row.Name}
	for parent := row.ParentID; parent != root && len(segments) <= reports.MaxDepth; {
		folder, err := q.GetEntry(ctx, parent)
		if errors.Is(err, database.ErrNotFound) {
			break // the folder of something removed is itself gone
		}
		if err != nil {
			return reports.Report{}, fmt.Errorf("reading report %s: %w", row.ID, err)
		}
		segments = append([]string{folder.Name}, segments...)
		parent = folder.ParentID
	}
	name, err := reports.ParseName(strings.Join(segments, "/"))
	if err != nil {
		return reports.Report{}, fmt.Errorf("reading report %s: %w", row.ID, err)
	}
	return fromRow(row, name)
}

// Filter selects what [Catalog.Reports] returns.
type Filter struct {
	Client reports.ClientID // zero: all clients
	State  reports.State    // "": all states
	// Before continues a listing after its last report; nil begins one.
	Before *reports.Report
	Limit  int
}

// Reports returns reports and uploads, the newest first.
func (c *Catalog) Reports(ctx context.Context, f Filter) ([]reports.Report, error) {
	p := query.ListReportsParams{State: string(f.State), ReceivedBefore: 1<<63 - 1, N: int64(f.Limit)}
	if f.Before != nil {
		p.ReceivedBefore, p.IDBefore = database.Micros(f.Before.Received), f.Before.ID
	}
	var rows []query.Entry
	var err error
	if f.Client.IsZero() {
		rows, err = c.db.Read().ListReports(ctx, p)
	} else {
		rows, err = c.db.Read().ListClientReports(ctx, query.ListClientReportsParams{
			ClientID: f.Client.String(), State: p.State, ReceivedBefore: p.ReceivedBefore, IDBefore: p.IDBefore, N: p.N,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("listing reports: %w", err)
	}
	return c.resolveAll(ctx, rows)
}

func (c *Catalog) resolveAll(ctx context.Context, rows []query.Entry) ([]reports.Report, error) {
	list := make([]reports.Report, 0, len(rows))
	for _, row := range rows {
		r, err := resolve(ctx, c.db.Read(), row)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func fromRow(row query.Entry, name reports.Name) (reports.Report, error) {
	client, err := reports.ParseClientID(row.ClientID)
	if err != nil {
		return reports.Report{}, fmt.Errorf("reading report %s: %w", row.ID, err)
	}
	r := reports.Report{
		ID: row.ID, Client: client, Kind: reports.Kind(row.Kind), Name: name, State: reports.State(row.State),
		Size: row.Size, SHA256: row.Sha256, PlainSize: row.PlainSize, Blob: row.Blob,
		Received: database.Time(row.ReceivedAt), Published: database.Time(row.PublishedAt),
		Modified: database.Time(row.ModifiedAt), Expires: database.Time(row.ExpiresAt),
		Collected: database.Time(row.CollectedAt), Removed: database.Time(row.RemovedAt),
		LegalHold: row.LegalHold != 0, HoldReason: row.HoldReason, HeldWithClient: row.LegalHold&clientHold != 0,
	}
	if row.SealedTo != "" {
		r.SealedTo = strings.Split(row.SealedTo, ",")
	}
	return r, nil
}

func mark(ctx context.Context, q *query.Queries, name string) (int64, error) {
	n, err := q.GetMark(ctx, name)
	if errors.Is(err, database.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading mark %s: %w", name, err)
	}
	return n, nil
}

// write runs fn in a transaction; see [database.DB.Write].
func (c *Catalog) write(ctx context.Context, fn func(*database.Tx) error) error {
	return outOfSpace(c.db.Write(ctx, fn))
}

func outOfSpace(err error) error {
	if errors.Is(err, database.ErrFull) {
		return fmt.Errorf("%w: %w", reports.ErrNoSpace, err)
	}
	return err
}
