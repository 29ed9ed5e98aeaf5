package database

import (
	"context"
	"fmt"
)

// LimitPages makes the disk look full once the database has so many pages.
func (db *DB) LimitPages(n int) error {
	_, err := db.writer.ExecContext(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", n))
	return err
}
