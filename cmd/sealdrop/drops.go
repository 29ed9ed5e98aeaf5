package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/access"
	"github.com/sealdrop/sealdrop/server/drop"
	"github.com/sealdrop/sealdrop/server/folder"
)

// drops hands out the folders that producers write to.
type drops struct{ g *gateway }

func (d *drops) folder(s *access.Session) *drop.Folder {
	return drop.New(drop.Config{
		Publisher: d.g.publisher, Actor: "producer:" + s.Client.ID.String(), Now: now,
		Clients: func(ctx context.Context, after string, limit int) ([]reports.ClientID, error) {
			return d.clients(ctx, s, after, limit)
		},
		Approve: func(ctx context.Context, client reports.ClientID) error { return d.approve(ctx, s, client) },
		Usage:   func(context.Context) (folder.Usage, error) { return d.usage() },
	})
}

// clients returns whom a session may deliver to: those that there are of the ones it
// was added for, and no producers.
func (d *drops) clients(ctx context.Context, s *access.Session, after string, limit int) ([]reports.ClientID, error) {
	producer, allowed, err := s.Review(ctx)
	if err != nil || !allowed {
		return nil, err
	}
	return d.g.register.Reached(ctx, producer.DeliversTo, after, limit)
}

// approve asks anew each time: the right may have been taken away while a report
// was on its way.
func (d *drops) approve(ctx context.Context, s *access.Session, client reports.ClientID) error {
	producer, allowed, err := s.Review(ctx)
	switch {
	case err != nil:
		return err
	case !allowed:
		return fs.ErrPermission
	case !producer.DeliversTo.Includes(client):
		return fs.ErrNotExist
	}
	c, err := d.g.register.Client(ctx, client)
	if errors.Is(err, reports.ErrUnknownClient) || err == nil && c.Producer() {
		return fs.ErrNotExist
	}
	return err
}

func (d *drops) usage() (folder.Usage, error) {
	_, free, err := d.g.blobs.Space()
	if err != nil {
		return folder.Usage{}, err
	}
	const plenty = 1 << 30 // no limit to the number of files
	return folder.Usage{FreeBytes: int64(min(free, 1<<62)), FreeFiles: plenty}, nil
}
