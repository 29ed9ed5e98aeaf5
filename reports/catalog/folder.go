package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/id"
	"github.com/sealdrop/sealdrop/reports"
)

// Upload is a file that a client has put into its folder, whose blob is
// durable.
type Upload struct {
	Client    reports.ClientID
	Name      reports.Name
	Blob      string
	Size      int64
	SHA256    string // "": not known yet, see [Catalog.SetDigest]
	Modified  time.Time
	Retention time.Duration
	// Exclusive fails with [fs.ErrExist] where the name is taken by now.
	Exclusive bool
	Actor     string
}

// Upload makes an upload visible. A file that has the name already is hidden in
// the same transaction, and an interrupted upload of that name is let go. What
// the client has no quota for is refused with a [*reports.QuotaError].
func (c *Catalog) Upload(ctx context.Context, u Upload) error {
	return c.write(ctx, func(tx *database.Tx) error {
		parent, err := folderID(tx.Context(), tx.Queries, u.Client, u.Name.Dir())
		if err != nil {
			return err
		}
		before, err := c.standing(tx, u.Client, parent, u.Name.Base())
		if err != nil {
			return err
		}
		_, err = c.withinQuota(tx, u.Client, before, u.Size, false, func() error { return c.insertUpload(tx, u, parent, before) })
		return err
	})
}

func (c *Catalog) insertUpload(tx *database.Tx, u Upload, parent string, before standing) error {
	if before.taken {
		if err := c.clear(tx, u.Actor, u.Client, parent, u.Name, u.Exclusive, "overwritten"); err != nil {
			return err
		}
	}
	if err := c.dropPartial(tx, u.Client, u.Name, u.Blob); err != nil {
		return err
	}
	if err := c.claim(tx, u.Blob); err != nil {
		return err
	}
	id, now := id.New(), c.now().UTC()
	err := tx.InsertEntry(tx.Context(), query.InsertEntryParams{
		ID: id, ClientID: u.Client.String(), ParentID: parent, Name: u.Name.Base(),
		Kind: string(reports.KindUpload), State: string(reports.Published),
		Size: u.Size, Sha256: u.SHA256, PlainSize: -1, Blob: u.Blob,
		ReceivedAt: database.Micros(now), PublishedAt: database.Micros(now),
		ModifiedAt: database.Micros(u.Modified), ExpiresAt: database.Micros(now.Add(u.Retention)), LegalHold: before.legalHold,
	})
	if err != nil {
		return fmt.Errorf("storing %s: %w", u.Name, err)
	}
	if err := c.use(tx, u.Client.String(), 1, u.Size); err != nil {
		return err
	}
	return audit.Append(tx, now, audit.Entry{
		Event: "file.uploaded", Actor: u.Actor, Client: u.Client.String(), Subject: id,
		Detail: withDigest(map[string]string{"name": u.Name.String(), "size": strconv.FormatInt(u.Size, 10)}, u.SHA256),
	})
}

// clear hides a file that has a name which is about to be used.
func (c *Catalog) clear(tx *database.Tx, actor string, client reports.ClientID, parent string, name reports.Name, exclusive bool, why string) error {
	row, err := child(tx.Context(), tx.Queries, client, parent, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case exclusive:
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	case reports.Kind(row.Kind) == reports.KindFolder:
		return fmt.Errorf("%s: %w", name, reports.ErrIsFolder)
	}
	return c.hide(tx, actor, row, name, why)
}

// Remove hides a file from its client, and lets go of an interrupted upload that
// would show under the name instead.
func (c *Catalog) Remove(ctx context.Context, actor string, client reports.ClientID, name reports.Name) error {
	return c.write(ctx, func(tx *database.Tx) error {
		row, err := find(tx.Context(), tx.Queries, client, name)
		if err != nil {
			return err
		}
		if reports.Kind(row.Kind) == reports.KindFolder {
			return fmt.Errorf("%s: %w", name, reports.ErrIsFolder)
		}
		if err := c.hide(tx, actor, row, name, "removed"); err != nil {
			return err
		}
		return c.dropPartial(tx, client, name, "")
	})
}

// Mkdir makes a folder.
func (c *Catalog) Mkdir(ctx context.Context, actor string, client reports.ClientID, name reports.Name) error {
	return c.write(ctx, func(tx *database.Tx) error {
		parent, err := folderID(tx.Context(), tx.Queries, client, name.Dir())
		if err != nil {
			return err
		}
		return c.mkdir(tx, actor, client, parent, name)
	})
}

func (c *Catalog) mkdir(tx *database.Tx, actor string, client reports.ClientID, parent string, name reports.Name) error {
	if _, err := child(tx.Context(), tx.Queries, client, parent, name); err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	id, now := id.New(), c.now().UTC()
	at := database.Micros(now)
	err := tx.InsertEntry(tx.Context(), query.InsertEntryParams{
		ID: id, ClientID: client.String(), ParentID: parent, Name: name.Base(),
		Kind: string(reports.KindFolder), State: string(reports.Published), PlainSize: -1,
		ReceivedAt: at, PublishedAt: at, ModifiedAt: at,
	})
	if err != nil {
		return fmt.Errorf("making folder %s: %w", name, err)
	}
	return audit.Append(tx, now, audit.Entry{
		Event: "folder.made", Actor: actor, Client: client.String(), Subject: id, Detail: map[string]string{"name": name.String()},
	})
}

// RemoveFolder removes an empty folder.
func (c *Catalog) RemoveFolder(ctx context.Context, actor string, client reports.ClientID, name reports.Name) error {
	return c.write(ctx, func(tx *database.Tx) error {
		row, err := find(tx.Context(), tx.Queries, client, name)
		if err != nil {
			return err
		}
		if reports.Kind(row.Kind) != reports.KindFolder {
			return fmt.Errorf("%s: %w", name, reports.ErrNotFolder)
		}
		children, err := tx.ListChildren(tx.Context(), query.ListChildrenParams{ClientID: client.String(), ParentID: row.ID, N: 1})
		if err != nil {
			return err
		}
		if len(children) > 0 {
			return fmt.Errorf("%s: %w", name, reports.ErrNotEmpty)
		}
		now := c.now()
		// What was removed from it may yet be restored into it: the row goes with
		// the last of them.
		if err := tx.RemoveEntry(tx.Context(), query.RemoveEntryParams{ID: row.ID, RemovedAt: database.Micros(now)}); err != nil {
			return err
		}
		return audit.Append(tx, now, audit.Entry{
			Event: "folder.removed", Actor: actor, Client: client.String(), Subject: row.ID, Detail: map[string]string{"name": name.String()},
		})
	})
}

// Rename gives a file or folder another name, which may lie in another folder.
// With replace, a file that has the new name is hidden; without, that is
// [fs.ErrExist].
func (c *Catalog) Rename(ctx context.Context, actor string, client reports.ClientID, from, to reports.Name, replace bool) error {
	if from == to {
		_, err := c.Lookup(ctx, client, from)
		return err
	}
	if from.IsRoot() || to.IsRoot() || from.Contains(to) {
		return fmt.Errorf("renaming %q to %q: %w", from, to, fs.ErrInvalid)
	}
	return c.write(ctx, func(tx *database.Tx) error {
		row, err := find(tx.Context(), tx.Queries, client, from)
		if err != nil {
			return err
		}
		if row.LegalHold != 0 {
			return fmt.Errorf("%s: %w", from, reports.ErrOnHold)
		}
		parent, err := folderID(tx.Context(), tx.Queries, client, to.Dir())
		if err != nil {
			return err
		}
		if err := c.checkDepth(tx, row, from, to); err != nil {
			return err
		}
		if err := c.clear(tx, actor, client, parent, to, !replace, "replaced by a rename"); err != nil {
			return err
		}
		if err := tx.MoveEntry(tx.Context(), query.MoveEntryParams{ID: row.ID, ParentID: parent, Name: to.Base()}); err != nil {
			return fmt.Errorf("renaming %s: %w", from, err)
		}
		return audit.Append(tx, c.now(), audit.Entry{
			Event: "report.renamed", Actor: actor, Client: client.String(), Subject: row.ID,
			Detail: map[string]string{"from": from.String(), "to": to.String()},
		})
	})
}

// maxFolders is how many folders are looked at before one that holds them is moved
// deeper. Nobody can write meanwhile.
const maxFolders = 500

// checkDepth refuses to move a folder so deep that what lies in it would have
// more segments than a name may have.
func (c *Catalog) checkDepth(tx *database.Tx, row query.Entry, from, to reports.Name) error {
	if reports.Kind(row.Kind) != reports.KindFolder || len(to.Segments()) <= len(from.Segments()) {
		return nil // what fits where it lies fits there
	}
	room := reports.MaxDepth - len(to.Segments())
	fits, err := c.fits(tx, row.ID, room)
	if err != nil {
		return fmt.Errorf("renaming %s: %w", from, err)
	}
	if !fits {
		return fmt.Errorf("%w: what lies in %s would be more than %d folders deep", reports.ErrName, to, reports.MaxDepth)
	}
	return nil
}

// fits reports whether no more than so many levels lie below a folder, removed ones
// included, since they may be restored.
func (c *Catalog) fits(tx *database.Tx, folder string, room int) (bool, error) {
	seen := 0
	for level := []string{folder}; len(level) > 0; room-- {
		var below []string
		for _, id := range level {
			if room == 0 {
				n, err := tx.CountSome(tx.Context(), query.CountSomeParams{ParentID: id, N: 1})
				if err != nil || n > 0 {
					return false, err
				}
				continue
			}
			folders, err := tx.ListSubfolders(tx.Context(), query.ListSubfoldersParams{ParentID: id, N: maxFolders})
			if err != nil {
				return false, err
			}
			if seen += len(folders); seen >= maxFolders {
				return false, fmt.Errorf("%w: %d folders or more lie in it, too many to move them deeper at once", reports.ErrName, maxFolders)
			}
			below = append(below, folders...)
		}
		level = below
	}
	return true, nil
}

// SetModified changes the time that the client sees.
func (c *Catalog) SetModified(ctx context.Context, client reports.ClientID, name reports.Name, modified time.Time) error {
	return c.write(ctx, func(tx *database.Tx) error {
		row, err := find(tx.Context(), tx.Queries, client, name)
		if err != nil {
			return err
		}
		return tx.SetModified(tx.Context(), query.SetModifiedParams{ID: row.ID, ModifiedAt: database.Micros(modified)})
	})
}
