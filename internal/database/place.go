package database

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Place is where a catalog is kept: a file in the data folder, or a database of
// a PostgreSQL server.
type Place struct {
	dir    string
	server *pgx.ConnConfig // nil for a file
}

// InFolder is the place of the embedded catalog in the data folder dir.
func InFolder(dir string) Place { return Place{dir: dir} }

// AtServer is a database of a PostgreSQL server, named by a URL as libpq reads
// it: postgres://USER@HOST:PORT/DATABASE, or postgres:///DATABASE?host=/SOCKET/FOLDER.
// What the URL leaves out comes from libpq's variables (PGUSER, PGPASSWORD …)
// and the password also from ~/.pgpass; password, where it is not "", goes
// before both. A URL that holds a password is refused, so that none stands in a
// configuration that people show each other.
//
// A connection that leaves the machine is encrypted, and the server's
// certificate checked, unless the URL or PGSSLMODE says otherwise.
func AtServer(address, password string) (Place, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return Place{}, errors.New("not a URL like postgres://USER@HOST:PORT/DATABASE")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return Place{}, errors.New("has a password in it")
	}
	server, err := pgx.ParseConfig(address)
	if err != nil {
		return Place{}, fmt.Errorf("not a PostgreSQL URL: %w", errors.Unwrap(err))
	}
	if !u.Query().Has("sslmode") && os.Getenv("PGSSLMODE") == "" && !local(server) {
		q := u.Query()
		q.Set("sslmode", "verify-full")
		u.RawQuery = q.Encode()
		if server, err = pgx.ParseConfig(u.String()); err != nil {
			return Place{}, fmt.Errorf("not a PostgreSQL URL: %w", errors.Unwrap(err))
		}
	}
	if password != "" {
		server.Password = password
	}
	if server.RuntimeParams["application_name"] == "" {
		server.RuntimeParams["application_name"] = "sealdrop"
	}
	return Place{server: server}, nil
}

// local reports whether no host of a server is beyond this machine.
func local(server *pgx.ConnConfig) bool {
	hosts := []string{server.Host}
	for _, f := range server.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		address, err := netip.ParseAddr(host)
		if !strings.HasPrefix(host, "/") && host != "localhost" && (err != nil || !address.IsLoopback()) {
			return false
		}
	}
	return true
}

// Open opens the catalog, creating it if it is not there and migrating it if it
// is of an earlier version. A catalog of a later version than this program knows
// is refused, as is a server that could not keep the package's promises.
func (p Place) Open(ctx context.Context) (*DB, error) { return p.open(ctx, migrate) }

// OpenAsIs opens a catalog that another program keeps up to date. It neither creates
// nor migrates one, which takes rights that whoever only serves need not have: one of
// an earlier version is refused with an [OlderSchemaError], a later one as by Open.
func (p Place) OpenAsIs(ctx context.Context) (*DB, error) { return p.open(ctx, checkVersion) }

func (p Place) open(ctx context.Context, prepare preparation) (*DB, error) {
	if p.server != nil {
		return openPostgres(ctx, p, prepare)
	}
	return openSQLite(ctx, p.dir, prepare)
}

// Exists reports whether there is a catalog at the place.
func (p Place) Exists(ctx context.Context) (bool, error) {
	if p.server != nil {
		return existsPostgres(ctx, p)
	}
	return existsSQLite(p.dir)
}

// File returns the path of the catalog's file, "" where a server keeps it.
func (p Place) File() string {
	if p.server != nil {
		return ""
	}
	return filepath.Join(p.dir, FileName)
}

// String names the place for people. It holds no password.
func (p Place) String() string {
	if p.server == nil {
		return p.File()
	}
	where := fmt.Sprintf("%s:%d", p.server.Host, p.server.Port)
	if strings.HasPrefix(p.server.Host, "/") {
		where = p.server.Host
	}
	return fmt.Sprintf("%s on the PostgreSQL server %s", p.server.Database, where)
}
