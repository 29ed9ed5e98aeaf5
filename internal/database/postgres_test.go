package database_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/postgrestest"
)

// cutter stands between a client and the server and cuts the connection when the
// client sends COMMIT.
type cutter struct {
	net.Listener
	server string
	// armed: the next COMMIT cuts. answered: after the server's answer, not
	// before the server has even seen it.
	armed, answered atomic.Bool
}

func newCutter(tb testing.TB, server string) (c *cutter, dir string) {
	tb.Helper()
	dir = tb.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	c = &cutter{Listener: l, server: server}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.carry(client)
		}
	}()
	return c, dir
}

func (c *cutter) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", c.server)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool
	go func() {
		defer client.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := server.Read(buf)
			if err != nil || cut.Load() { // the answer to COMMIT goes nowhere
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(buf[:n]), []byte("commit\x00")) && c.armed.CompareAndSwap(true, false) {
			if !c.answered.Load() {
				return
			}
			cut.Store(true)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// through returns the URL of a database by way of another socket's folder.
func through(tb testing.TB, address, dir string) string {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	u.RawQuery = "host=" + url.QueryEscape(dir)
	return u.String()
}

// TestConnectionThatDiesDuringCommit: whether the commit took effect can't be
// known, and the error says that; the next write goes through.
func TestConnectionThatDiesDuringCommit(t *testing.T) {
	t.Parallel()
	for name, took := range map[string]bool{"before the server saw it": false, "after the server did it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := databasetest.Postgres.New(t, "")
			c, dir := newCutter(t, home.Server.Socket)
			place, err := database.AtServer(through(t, home.Server.URL, dir), "")
			if err != nil {
				t.Fatal(err)
			}
			db, err := place.Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			c.answered.Store(took)
			c.armed.Store(true)
			if err := db.Write(t.Context(), setMark("a", 1)); !errors.Is(err, database.ErrUnknownOutcome) {
				t.Errorf("error is %v", err)
			}
			if err := db.Write(t.Context(), setMark("b", 1)); err != nil {
				t.Errorf("the next write: %v", err)
			}
			if n := marked(t, db, "a"); n == 1 != took {
				t.Errorf("mark is %d", n)
			}
		})
	}
}

// TestBackendThatIsTerminated at every stage: during COMMIT the outcome is
// unknown, before it nothing is committed, and between two writes nobody notices.
func TestBackendThatIsTerminated(t *testing.T) {
	t.Parallel()
	db, home := databasetest.Postgres.Open(t, "")
	raw := home.Raw(t)
	terminate := func() {
		t.Helper()
		if _, err := raw.Exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sealdrop'"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(3) {
		terminate()
		if err := db.Write(t.Context(), setMark("between", i)); err != nil {
			t.Errorf("after the server cut the connection: %v", err)
		}
		terminate()
		if n := marked(t, db, "between"); n != i {
			t.Errorf("mark is %d", n)
		}
	}
	err := db.Write(t.Context(), func(tx *database.Tx) error {
		terminate()
		return setMark("a", 1)(tx)
	})
	var told *database.Error
	if !errors.As(err, &told) || errors.Is(err, database.ErrUnknownOutcome) || told.Hint() == "" {
		t.Errorf("in the middle of a write: %v", err)
	}
	for _, statement := range []string{
		"CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
		"CREATE CONSTRAINT TRIGGER die AFTER INSERT ON marks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.name = 'die') EXECUTE FUNCTION die()",
	} {
		if _, err := raw.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Write(t.Context(), setMark("die", 1)); !errors.Is(err, database.ErrUnknownOutcome) {
		t.Errorf("in the middle of a commit: %v", err)
	}
	if marked(t, db, "a") != 0 || marked(t, db, "die") != 0 {
		t.Error("what was not committed is visible")
	}
}

// TestWriteThatGoesOnAfterAFailure: PostgreSQL gives up a transaction whose
// statement failed; only the write that did not look is to suffer from it.
func TestWriteThatGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	db := openOn(t, databasetest.Postgres)
	hold := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { _ = db.Write(context.Background(), func(*database.Tx) error { <-hold; return nil }) })
	for i := range 20 {
		group.Go(func() {
			if err := db.Write(context.Background(), setMark(fmt.Sprint(i), 1)); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			err := db.Write(context.Background(), func(tx *database.Tx) error {
				_ = setMark("nul\x00", 1)(tx)
				return nil
			})
			if err == nil || !strings.Contains(err.Error(), "went on after a statement had failed") {
				t.Errorf("a write that did not look: %v", err)
			}
		})
	}
	close(hold)
	group.Wait()
}

func TestServersThatAreRefused(t *testing.T) {
	t.Parallel()
	good := postgrestest.New(t, postgrestest.Template{})
	raw := good.Raw(t)
	if _, err := raw.Exec("CREATE ROLE stranger LOGIN"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ url, message, hint string }{
		"another-locale":   {postgrestest.NewWithLocale(t, "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'").URL, "does not keep text as it must", "LOCALE 'C'"},
		"another-encoding": {postgrestest.NewWithLocale(t, "ENCODING 'LATIN1' LOCALE 'C'").URL, "does not keep text as it must", "'UTF8'"},
		"no-such-database": {strings.Replace(good.URL, "/test", "/absent", 1), "is not there", "CREATE DATABASE"},
		"no-such-user":     {strings.Replace(good.URL, "sealdrop@", "nobody@", 1), "refuses the login", "pg_hba.conf"},
		"no-rights":        {strings.Replace(good.URL, "sealdrop@", "stranger@", 1), "may not do that", "OWNER"},
		"no-server":        {"postgres://sealdrop@127.0.0.1:1/x", "can't be reached", "catalog.url"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			place, err := database.AtServer(test.url, "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = place.Open(context.Background())
			var told *database.Error
			if !errors.As(err, &told) || !strings.Contains(err.Error(), test.message) || !strings.Contains(told.Hint(), test.hint) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestAddressesOfServers(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://sealdrop@db.example:5433/reports":      "reports on the PostgreSQL server db.example:5433",
		"postgres:///reports?host=/run/postgresql&user=x":  "reports on the PostgreSQL server /run/postgresql",
		"postgresql://sealdrop@[::1]/reports":              "reports on the PostgreSQL server ::1:5432",
		"mysql://sealdrop@db.example/reports":              "error: not a URL like postgres://USER@HOST:PORT/DATABASE",
		"catalog.db":                                       "error: not a URL like postgres://USER@HOST:PORT/DATABASE",
		"postgres://sealdrop:hush@db.example/reports":      "error: has a password in it",
		"postgres://sealdrop@db.example/reports?password=": "error: has a password in it",
		"postgres://sealdrop@db.example:x/reports":         "error: not a URL like postgres://USER@HOST:PORT/DATABASE",
		"postgres://db.example/reports?sslmode=maybe":      "error: not a PostgreSQL URL: failed to configure TLS: sslmode is invalid",
	} {
		place, err := database.AtServer(address, "hush")
		got := place.String()
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want && !(strings.HasPrefix(want, "error: not a PostgreSQL") && strings.HasPrefix(got, "error: not a PostgreSQL")) {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
		if strings.Contains(got, "hush") {
			t.Errorf("%s: the password shows in %s", address, got)
		}
	}
}

// TestNetworkIsEncryptedUnlessToldOtherwise speaks the beginning of the protocol
// with the client: whoever wants TLS asks for it first, and goes away on a no.
func TestNetworkIsEncryptedUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for address, encrypted := range map[string]bool{
		"postgres://sealdrop@db.example/reports":                    true,
		"postgres://sealdrop@192.0.2.1/reports":                     true,
		"postgres://sealdrop@127.0.0.1,192.0.2.1/reports":           true,
		"postgres://sealdrop@db.example/reports?sslmode=disable":    false,
		"postgres://sealdrop@127.0.0.1/reports":                     false,
		"postgres://sealdrop@localhost/reports?sslmode=verify-full": true,
		"postgres:///reports?host=/run/postgresql":                  false,
	} {
		place, err := database.AtServer(address, "")
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if got := place.Verified(); got != encrypted {
			t.Errorf("%s: verified is %v", address, got)
		}
	}
}
