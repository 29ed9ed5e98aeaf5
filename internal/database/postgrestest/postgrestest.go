// Package postgrestest gives tests a PostgreSQL server of their own. Start with
// [New], which makes an empty database for one test.
//
// The first call in a process makes a cluster in a temporary folder, reachable
// by a unix socket in it and by nothing else, and starts Debian's PostgreSQL on
// it; as root, as the unprivileged user postgres (or nobody). Further calls cost
// one CREATE DATABASE. The server and its folder go with the process, however it
// ends: a shell that watches a pipe from it sees to that.
//
// A test fails where PostgreSQL is not installed, unless the environment has
// [Without] set. A benchmark is skipped there.
package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver named "pgx"
)

// Without is the variable that, set to anything, makes tests skip PostgreSQL
// where it is not installed.
const Without = "SEALDROP_TEST_WITHOUT_POSTGRES"

// Database is a database of the process's own server.
type Database struct {
	// URL names it to a client: it has neither a password nor TLS.
	URL string
	// Socket is the path of the server's unix socket.
	Socket string
}

// New makes a database for tb in the locale C, a copy of the database that the
// statements of template make, and drops it when tb is over. What is made is
// kept for the next call with the same template; "" is an empty one.
func New(tb testing.TB, template Template) Database {
	tb.Helper()
	s, err := shared()
	if errors.Is(err, errNotInstalled) && os.Getenv(Without) != "" {
		tb.Skipf("%v; %s is set", err, Without)
	}
	if _, measures := tb.(*testing.B); measures && errors.Is(err, errNotInstalled) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	from := "template0"
	if template.Name != "" {
		if from, err = s.template(template); err != nil {
			tb.Fatal(err)
		}
	}
	name := fmt.Sprintf("test%d", s.names.Add(1))
	if err := s.create(name, from, "LOCALE 'C'"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if _, err := s.admin.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			tb.Error(err)
		}
	})
	return Database{URL: s.url(name), Socket: filepath.Join(s.dir, ".s.PGSQL.5432")}
}

// Template is a database that others are copied from.
type Template struct {
	Name string
	// Fill is called once, with the URL of the empty database. It leaves no
	// connection open.
	Fill func(url string) error
}

// NewWithLocale makes an empty database in another encoding or locale.
func NewWithLocale(tb testing.TB, options string) Database {
	tb.Helper()
	s, err := shared()
	if err != nil {
		tb.Skip(err)
	}
	name := fmt.Sprintf("test%d", s.names.Add(1))
	if err := s.create(name, "template0", options); err != nil {
		tb.Fatal(err)
	}
	return Database{URL: s.url(name), Socket: filepath.Join(s.dir, ".s.PGSQL.5432")}
}

// Raw opens a connection pool of the test's own to the database.
func (d Database) Raw(tb testing.TB) *sql.DB {
	tb.Helper()
	pool, err := sql.Open("pgx", d.URL)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { pool.Close() })
	return pool
}

// server is a running server.
type server struct {
	dir   string
	admin *sql.DB
	names atomic.Int64
	alive *os.File // closed with the process; the server ends when it is

	mu        sync.Mutex
	templates map[string]error
}

// shared returns the one server of the process.
var shared = sync.OnceValues(start)

var errNotInstalled = errors.New("PostgreSQL is not installed (`make setup` does it)")

// programs returns the folder of the newest server's programs.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errNotInstalled
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// run makes the cluster, starts the server, and ends it once standard input does.
// $0 is the folder, $1 that of the programs.
const run = `cd "$0" && trap '' INT TERM HUP
"$1/initdb" --pgdata=data --auth=trust --username=sealdrop --encoding=UTF8 --locale=C --no-sync --no-instructions >log 2>&1 || exit 1
"$1/postgres" -D data -k "$0" -c listen_addresses= -c max_connections=300 -c shared_buffers=32MB -c max_wal_size=256MB \
	-c autovacuum=off -c dynamic_shared_memory_type=mmap -c log_min_messages=fatal >>log 2>&1 &
cat >/dev/null
kill -QUIT $!
wait $!
rm -rf "$0"`

func start() (*server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(base(), "pg")
	if err != nil {
		return nil, err
	}
	command := exec.Command("/bin/sh", "-c", run, dir, bin)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		if command.SysProcAttr.Credential, err = unprivileged(); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(command.SysProcAttr.Credential.Uid), int(command.SysProcAttr.Credential.Gid)); err != nil {
			return nil, err
		}
		if err := os.Chmod(dir, 0o755); err != nil { // tests may run programs as yet another user
			return nil, err
		}
	}
	command.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	command.Stdin = reader
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	reader.Close()
	s := &server{dir: dir, alive: writer, templates: map[string]error{}}
	if s.admin, err = sql.Open("pgx", s.url("postgres")); err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	go func() { _ = command.Wait(); close(gone) }()
	return s, s.await(gone)
}

// base returns where the folder goes: to memory, where there is plenty of it,
// because a disk takes its time to sync each of the many databases that come and
// go. Both are short, as the path of a socket must be.
func base() string {
	const memory, enough = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return "/tmp"
	}
	return memory
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("there is neither a user postgres nor nobody to run PostgreSQL as")
}

// await waits until the server answers.
func (s *server) await(gone chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := s.admin.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-gone:
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
			continue
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // if there is none, the error alone has to do
		return fmt.Errorf("PostgreSQL did not start: %w\n%s", err, bytes.TrimSpace(log))
	}
}

func (s *server) url(database string) string {
	return (&url.URL{Scheme: "postgres", User: url.User("sealdrop"), Path: "/" + database, RawQuery: "host=" + url.QueryEscape(s.dir)}).String()
}

func (s *server) create(name, from, options string) error {
	if _, err := s.admin.Exec(fmt.Sprintf("CREATE DATABASE %s TEMPLATE %s %s", name, from, options)); err != nil {
		return fmt.Errorf("making a database: %w", err)
	}
	return nil
}

// template returns the name of a template's database, which it fills when it is
// first asked for.
func (s *server) template(t Template) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := "from_" + t.Name
	err, there := s.templates[name]
	if !there {
		if err = s.create(name, "template0", "LOCALE 'C'"); err == nil {
			err = t.Fill(s.url(name))
		}
		s.templates[name] = err
	}
	return name, err
}
