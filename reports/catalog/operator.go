package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
)

// RemoveReport hides a report by its id, as an operator does. It can be
// restored. A held report, which nobody sees, is removed in the same way.
func (c *Catalog) RemoveReport(ctx context.Context, actor, id string, retention time.Duration) (reports.Report, error) {
	return c.change(ctx, id, func(tx *database.Tx, row query.Entry, r reports.Report) (reports.Name, error) {
		switch {
		case r.State == reports.Removed:
			return r.Name, &StateError{Report: r, Want: "one that is not removed"}
		case r.Kind == reports.KindFolder:
			return r.Name, fmt.Errorf("%s: %w", r.Name, reports.ErrIsFolder)
		}
		if r.State == reports.Held {
			// It never got a time to expire at; from now on it has one.
			if err := tx.SetExpires(tx.Context(), query.SetExpiresParams{ID: id, ExpiresAt: database.Micros(c.now().Add(retention))}); err != nil {
				return r.Name, err
			}
		}
		return r.Name, c.hide(tx, actor, row, r.Name, "removed by an operator")
	})
}

// RestoreReport brings back what a client or an operator removed, into the
// folder where it was, which is itself restored if need be. Where its name has
// been taken since, it comes back under the next free version of it. A quota does
// not keep it back.
func (c *Catalog) RestoreReport(ctx context.Context, actor, id string) (reports.Report, error) {
	return c.change(ctx, id, func(tx *database.Tx, row query.Entry, r reports.Report) (reports.Name, error) {
		if r.State != reports.Removed {
			return r.Name, &StateError{Report: r, Want: "one that was removed"}
		}
		name, err := c.restore(tx, actor, row, r)
		if err != nil {
			return r.Name, fmt.Errorf("restoring %s: %w", r.Name, err)
		}
		if err := c.use(tx, row.ClientID, fileCount(row), row.Size); err != nil {
			return r.Name, err
		}
		return name, audit.Append(tx, c.now(), audit.Entry{
			Event: "report.restored", Actor: actor, Client: row.ClientID, Subject: id, Detail: map[string]string{"name": name.String()},
		})
	})
}

func (c *Catalog) restore(tx *database.Tx, actor string, row query.Entry, r reports.Report) (reports.Name, error) {
	if row.PublishedAt == 0 { // it was held, and waits for a key again
		if err := tx.SetExpires(tx.Context(), query.SetExpiresParams{ID: row.ID}); err != nil {
			return r.Name, err
		}
		return r.Name, tx.RestoreEntry(tx.Context(), query.RestoreEntryParams{
			ID: row.ID, State: string(reports.Held), ParentID: row.ParentID, Name: row.Name,
		})
	}
	parent, dir, err := c.restoreFolders(tx, row.ParentID)
	if err != nil {
		return r.Name, err
	}
	name, err := reports.ParseName(dir.String() + "/" + row.Name)
	if err != nil {
		return r.Name, err
	}
	if name, err = c.makeRoom(tx, actor, r.Client, parent, name, false); err != nil {
		return r.Name, err
	}
	state := reports.Published
	if row.CollectedAt != 0 {
		state = reports.Collected
	}
	return name, tx.RestoreEntry(tx.Context(), query.RestoreEntryParams{
		ID: row.ID, State: string(state), ParentID: parent, Name: name.Base(),
	})
}

// restoreFolders makes the chain of folders above a removed entry visible again
// and returns the innermost one's id and name. A folder that is gone for good is
// left out.
func (c *Catalog) restoreFolders(tx *database.Tx, id string) (string, reports.Name, error) {
	if id == root {
		return root, reports.Name{}, nil
	}
	row, err := entry(tx.Context(), tx.Queries, id)
	if errors.Is(err, fs.ErrNotExist) {
		return root, reports.Name{}, nil
	}
	if err != nil {
		return "", reports.Name{}, err
	}
	parent, dir, err := c.restoreFolders(tx, row.ParentID)
	if err != nil {
		return "", reports.Name{}, err
	}
	name, err := reports.ParseName(dir.String() + "/" + row.Name)
	if err != nil {
		return "", reports.Name{}, err
	}
	if reports.State(row.State) != reports.Removed {
		return id, name, nil
	}
	client, err := reports.ParseClientID(row.ClientID)
	if err != nil {
		return "", reports.Name{}, err
	}
	if there, err := child(tx.Context(), tx.Queries, client, parent, name); err == nil && reports.Kind(there.Kind) == reports.KindFolder {
		return there.ID, name, nil // a new folder has taken the name: use it
	}
	if name, err = c.makeRoom(tx, "gateway", client, parent, name, false); err != nil {
		return "", reports.Name{}, err
	}
	err = tx.RestoreEntry(tx.Context(), query.RestoreEntryParams{ID: id, State: string(reports.Published), ParentID: parent, Name: name.Base()})
	return id, name, err
}

// change runs fn on one entry in a transaction and returns the entry as it is
// afterwards, under the name that fn returned.
func (c *Catalog) change(ctx context.Context, id string, fn func(*database.Tx, query.Entry, reports.Report) (reports.Name, error)) (reports.Report, error) {
	var after reports.Report
	err := c.write(ctx, func(tx *database.Tx) error {
		row, err := entry(tx.Context(), tx.Queries, id)
		if err != nil {
			return err
		}
		r, err := resolve(tx.Context(), tx.Queries, row)
		if err != nil {
			return err
		}
		name, err := fn(tx, row, r)
		if err != nil {
			return err
		}
		after, err = c.reread(tx, id, name)
		return err
	})
	return after, err
}

// StateError says that a report is not in a state in which what was asked can
// be done.
type StateError struct {
	Report reports.Report
	Want   string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("report %s (%s) is %s; this needs %s", e.Report.ID, e.Report.Name, e.Report.State, e.Want)
}

// RemoveClientReports deletes everything that a client has, at once and for
// good, in batches; reports on legal hold are an error, and then nothing is
// deleted.
func (c *Catalog) RemoveClientReports(ctx context.Context, actor string, client reports.ClientID) (int, error) {
	n := 0
	for last := false; !last; {
		var batch int
		var err error
		batch, last, err = c.writeLater(ctx, func(tx *database.Tx, room int) (int, error) {
			held, err := tx.CountLegalHolds(tx.Context(), client.String())
			if err != nil {
				return 0, err
			}
			if held > 0 {
				return 0, fmt.Errorf("client %s has %d reports: %w", client, held, reports.ErrOnHold)
			}
			rows, err := tx.DeleteClientFiles(tx.Context(), query.DeleteClientFilesParams{ClientID: client.String(), N: int64(room)})
			if err != nil {
				return 0, err
			}
			return len(rows), c.letGo(tx, actor, "report.deleted", rows)
		})
		if err != nil {
			return n, err
		}
		n += batch
	}
	return n, c.write(ctx, func(tx *database.Tx) error {
		partials, err := tx.ListClientPartials(tx.Context(), client.String())
		if err != nil {
			return err
		}
		for _, p := range partials {
			if err := c.deletePartial(tx, p, ""); err != nil {
				return err
			}
		}
		return nil
	})
}
