package database

import (
	"strconv"

	"github.com/sealdrop/sealdrop/internal/database/query"
)

// mostRows is how many rows one statement takes: what a statement costs by itself is hardly
// felt then. With many more, SQLite's driver spends its time looking up the names of values.
const mostRows = 16

// InsertAudits inserts records as [query.Queries.InsertAudit] does each.
func (tx *Tx) InsertAudits(rows []query.Audit) error {
	args := make([]any, 0, 8*len(rows))
	for _, r := range rows {
		args = append(args, r.Seq, r.At, r.Event, r.Actor, r.ClientID, r.Subject, r.Detail, r.Hash)
	}
	err := tx.inBulk("INSERT INTO audit (seq, at, event, actor, client_id, subject, detail, hash) VALUES ", 8, "", args)
	if len(rows) > 0 {
		tx.ends(rows[len(rows)-1], err)
	}
	return err
}

// InsertGarbages inserts files as [query.Queries.InsertGarbage] does each. They are different ones.
func (tx *Tx) InsertGarbages(blobs []string, since int64) error {
	args := make([]any, 0, 2*len(blobs))
	for _, blob := range blobs {
		args = append(args, blob, since)
	}
	return tx.inBulk("INSERT INTO garbage (blob, since) VALUES ", 2, " ON CONFLICT (blob) DO UPDATE SET since = excluded.since "+
		"WHERE excluded.since > garbage.since", args)
}

// AddUsages adds to what clients have as [query.Queries.AddUsage] does each. They are different ones.
func (tx *Tx) AddUsages(rows []query.AddUsageParams) error {
	args := make([]any, 0, 3*len(rows))
	for _, r := range rows {
		args = append(args, r.ClientID, r.Files, r.Bytes)
	}
	return tx.inBulk("INSERT INTO client_usage (client_id, files, bytes) VALUES ", 3, " ON CONFLICT (client_id) DO UPDATE "+
		"SET files = client_usage.files + excluded.files, bytes = client_usage.bytes + excluded.bytes", args)
}

// DeleteGarbages deletes files of which nothing was let go since a time.
func (tx *Tx) DeleteGarbages(files []string, before int64) error {
	args := make([]any, 0, len(files))
	for _, file := range files {
		args = append(args, file)
	}
	return tx.inBulk("DELETE FROM garbage WHERE blob IN (VALUES ", 1, ") AND since <= ", args, before)
}

// inBulk runs a statement for many rows of as many values. The number of rows is split into
// powers of two, so that there are few statements to keep prepared. The last values are those
// of all rows, and come at the end.
func (tx *Tx) inBulk(before string, values int, after string, args []any, last ...any) error {
	for n := mostRows; len(args) > 0; {
		if len(args) < n*values {
			n /= 2
			continue
		}
		statement, some := before+places(n, values)+after, args[:n*values:n*values]
		for _, value := range last {
			some = append(some, value)
			statement += "$" + strconv.Itoa(len(some))
		}
		if _, err := tx.run.ExecContext(tx.ctx, statement, some...); err != nil {
			return err
		}
		args = args[n*values:]
	}
	return nil
}

// places returns "($1,$2),($3,$4)" for two rows of two values.
func places(rows, values int) string {
	var b []byte
	for i := range rows * values {
		switch {
		case i == 0:
			b = append(b, '(')
		case i%values == 0:
			b = append(b, "),("...)
		default:
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '$'), int64(i+1), 10)
	}
	return string(append(b, ')'))
}
