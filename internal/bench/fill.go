package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	_ "modernc.org/sqlite" // the catalog's engine
)

// filling is what a catalog is filled with, past the gateway: a million reports one by one
// would take longer than all that is measured.
type filling struct {
	clients []string // who they are dealt to in turn; they must be there
	reports int
	size    int  // of each, in bytes; 0 for that of a statement
	expired bool // they are due
}

// reportName is the name of report i.
func reportName(i int) string { return fmt.Sprintf("statement-%08d.csv.pgp", i) }

// blobDigits stand for the hexadecimal ones in a blob's id, which has no 0, 1, 8 and 9.
var blobDigits = strings.NewReplacer("0", "g", "1", "h", "8", "i", "9", "j")

// packed is how many reports are in a pack.
const packed = 512

// pageSize is what they begin at multiples of, in bytes.
const pageSize = 4096

// pagesOf returns how many pages a number of bytes takes.
func pagesOf(size int) int { return (size + pageSize - 1) / pageSize }

// packID is pack p of reports; they are spread over 256 folders.
func packID(p int) string { return blobDigits.Replace(fmt.Sprintf("%02x%024x", p%256, p)) + "0" }

// blobID is the blob of report i.
func blobID(i, size int) string {
	return packID(i/packed) + fmt.Sprintf("%04x%06x", i%packed*pagesOf(size), size)
}

const (
	blobSQL = `replace(replace(replace(replace(printf('%02x%024x', i / 512 % 256, i / 512), '0', 'g'), '1', 'h'), '8', 'i'), '9', 'j')` +
		` || '0' || printf('%04x%06x', i % 512 * ?6, ?3)`
	// reportsSQL takes the number of reports and of clients, the size, when they were
	// published and expire: one after the other, which is what the gateway's ids follow, too; and the pages of each.
	reportsSQL = `WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
INSERT INTO entries (id, client_id, parent_id, name, kind, state, size, sha256, plain_size, blob, sealed_to, received_at, published_at,
	modified_at, expires_at, collected_at, removed_at, legal_hold, hold_reason, replaces, coverage)
SELECT printf('%026d', i), c.id, '', printf('statement-%08d.csv.pgp', i), 'report', 'published', ?3, lower(hex(randomblob(32))), ?3, ` + blobSQL + `,
	'', ?4 + i, ?4 + i, ?4 + i, ?5 + i, 0, 0, 0, '', 0, ''
FROM n JOIN dealt c ON c.turn = n.i % ?2`
	usageSQL = `INSERT INTO client_usage SELECT client_id, count(*), sum(size) FROM entries WHERE kind <> 'folder' GROUP BY client_id
ON CONFLICT (client_id) DO UPDATE SET files = excluded.files, bytes = excluded.bytes`
)

// open opens the catalog for filling: nothing of it needs to survive a power loss.
func (g *gateway) open() (*sql.DB, error) {
	db, err := sql.Open("sqlite", filepath.Join(g.dir, "data", "catalog.db")+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)&_pragma=cache_size(-200000)&_txlock=immediate")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// fill puts reports into the catalog. Their blobs are another matter: [gateway.link].
func (g *gateway) fill(ctx context.Context, f filling) (err error) {
	db, err := g.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := fillEntries(ctx, tx, f); err != nil {
		return fmt.Errorf("filling the catalog: %w", err)
	}
	return tx.Commit()
}

func fillEntries(ctx context.Context, tx *sql.Tx, f filling) error {
	if _, err := tx.ExecContext(ctx, "CREATE TEMP TABLE dealt (turn INTEGER PRIMARY KEY, id TEXT)"); err != nil {
		return err
	}
	for i, id := range f.clients {
		if _, err := tx.ExecContext(ctx, "INSERT INTO dealt VALUES (?, ?)", i, id); err != nil {
			return err
		}
	}
	indexes, err := dropIndexes(ctx, tx)
	if err != nil {
		return err
	}
	published := time.Now().Add(-time.Hour)
	expires := published.Add(100 * 24 * time.Hour)
	if f.expired {
		expires = time.Now().Add(-time.Minute)
	}
	size := cmp.Or(f.size, smallFile)
	if _, err := tx.ExecContext(ctx, reportsSQL, f.reports, len(f.clients), size, published.UnixMicro(), expires.UnixMicro(), pagesOf(size)); err != nil {
		return err
	}
	for _, statement := range append(indexes, usageSQL, "DROP TABLE dealt") {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// dropIndexes drops those of the entries, and returns what makes them again: filling many
// rows without them is several times as fast.
func dropIndexes(ctx context.Context, tx *sql.Tx) ([]string, error) {
	rows, err := tx.QueryContext(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'entries' AND sql IS NOT NULL")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names, statements []string
	for rows.Next() {
		var name, statement string
		if err := rows.Scan(&name, &statement); err != nil {
			return nil, err
		}
		names, statements = append(names, name), append(statements, statement)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := tx.ExecContext(ctx, "DROP INDEX "+name); err != nil {
			return nil, err
		}
	}
	return statements, nil
}

// mostLinks is how many names one file gets; ext4 allows 65,000.
const mostLinks = 50_000

// link makes the blobs of n reports: names of one pack for many of them, as their content
// does not count.
func (g *gateway) link(n int) error {
	blobs := filepath.Join(g.dir, "data", "blobs")
	return makePacks(blobs, n, func(path string, p int) error {
		if p%mostLinks == 0 {
			return os.WriteFile(path, make([]byte, packed*pageSize*pagesOf(smallFile)), 0o600)
		}
		first := packID(p - p%mostLinks)
		return os.Link(filepath.Join(blobs, first[:2], first), path)
	})
}

// makePacks makes the packs of n reports as the blob store would lay them out.
func makePacks(dir string, n int, create func(path string, p int) error) error {
	for p := range (n + packed - 1) / packed {
		id := packID(p)
		if err := os.MkdirAll(filepath.Join(dir, id[:2]), 0o700); err != nil {
			return err
		}
		if err := create(filepath.Join(dir, id[:2], id), p); err != nil {
			return err
		}
	}
	return nil
}

// register is many clients with a key each to log in with, and two more.
type register struct {
	ids  []string
	keys []ssh.Signer
}

// makeClients puts n clients into the catalog, each with two SSH keys and a certificate.
func (g *gateway) makeClients(ctx context.Context, n int) (r register, err error) {
	db, err := g.open()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return r, err
	}
	defer tx.Rollback()
	for i := range n {
		id := fmt.Sprintf("client-%06d", i)
		public, secret, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return r, err
		}
		signer, err := ssh.NewSignerFromKey(secret)
		if err != nil {
			return r, err
		}
		if err := insertClient(ctx, tx, id, signer.PublicKey(), public); err != nil {
			return r, fmt.Errorf("filling the catalog: %w", err)
		}
		r.ids, r.keys = append(r.ids, id), append(r.keys, signer)
	}
	return r, tx.Commit()
}

// certificateSize is the length of an RSA-3072 certificate with its armor, in bytes.
const certificateSize = 2500

func insertClient(ctx context.Context, tx *sql.Tx, id string, key ssh.PublicKey, unique []byte) error {
	now := time.Now().UnixMicro()
	if _, err := tx.ExecContext(ctx, `INSERT INTO clients (id, name, retention, disabled, ftp, quota_bytes, quota_files, delivers_to, notify, declared, created_at)
VALUES (?, ?, 0, 0, '', 0, 0, '', '', '', ?)`, id, id, now); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO client_networks VALUES (?, '127.0.0.1/32')", id); err != nil {
		return err
	}
	other := hex.EncodeToString(unique)
	for _, k := range []struct{ kind, fingerprint, algorithm, material string }{
		{"ssh", ssh.FingerprintSHA256(key), "ssh-ed25519 256", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))},
		{"ssh", "SHA256:" + other[:43], "ssh-ed25519 256", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))},
		{"pgp", strings.ToUpper(other[:40]), "RSA-3072", strings.Repeat("x", certificateSize)},
	} {
		if _, err := tx.ExecContext(ctx, keySQL, k.fingerprint, id, k.kind, k.algorithm, k.material, now); err != nil {
			return err
		}
	}
	return nil
}

// keySQL takes the fingerprint, which is its id as well, the client, the kind, the algorithm,
// the key and the time.
const keySQL = `INSERT INTO keys (id, client_id, kind, fingerprint, algorithm, label, material, added_at, expires_at, max_age, retires_at,
	revoked_at, revoked_reason, last_used_at, imported_by, imported_uid, imported_login, approved_by, approved_at, replaces, overlap)
VALUES (?1, ?2, ?3, ?1, ?4, '', ?5, ?6, 0, 0, 0, 0, '', 0, 'bench', 0, -1, '', ?6, '', 0)`
