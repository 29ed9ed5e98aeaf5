package database

import (
	"context"
	"fmt"
	"io/fs"
)

// OpenBy opens the catalog as a program with other migrations would.
func (p Place) OpenBy(ctx context.Context, files fs.FS) (*DB, error) {
	return p.open(ctx, migrateBy(files))
}

// LimitPages makes the disk look full once the database has so many pages.
func (db *DB) LimitPages(n int) error {
	_, err := db.writer.ExecContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", n))
	return err
}

// Verified reports whether no host of the server is spoken to but over TLS with a
// certificate that was checked.
func (p Place) Verified() bool {
	if p.server.TLSConfig == nil || p.server.TLSConfig.InsecureSkipVerify {
		return false
	}
	for _, f := range p.server.Fallbacks {
		if f.TLSConfig == nil || f.TLSConfig.InsecureSkipVerify {
			return false
		}
	}
	return true
}
