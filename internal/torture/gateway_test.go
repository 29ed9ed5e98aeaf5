package torture

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/retention"
	"github.com/sealdrop/sealdrop/server/folder"
)

const day = 24 * time.Hour

// fixedSeed is the seed of the tests that run in this process, so that an
// ordinary run always does the same; TORTURE_SEED changes it.
const fixedSeed = 20261122

// dice returns the choices of a test, and prints how to repeat them.
func dice(t *testing.T, lane uint64) *rand.Rand {
	t.Helper()
	seed := number(t, "TORTURE_SEED", fixedSeed)
	t.Logf("TORTURE_SEED=%d", seed)
	return rand.New(rand.NewPCG(uint64(seed), lane))
}

// clock only moves when it is told to.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) set(t time.Time)         { c.micros.Store(t.UnixMicro()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// inner is a gateway without its processes: the real catalog, blob store,
// register, publisher, folders and sweeper, under a clock of the test's.
type inner struct {
	t         *testing.T
	clock     *clock
	db        *database.DB
	register  *keys.Register
	catalog   *catalog.Catalog
	blobs     *blob.Dir
	blobsPath string
	publisher *publish.Publisher
	store     *folder.Store
	sweeper   *retention.Sweeper
}

// grace is how long a blob outlives its row in a gateway of [newInner].
const grace = day

func newInner(t *testing.T, start time.Time, policy retention.Policy) *inner {
	t.Helper()
	dir := memoryDir(t)
	g := &inner{t: t, clock: &clock{}}
	g.clock.set(start)
	var err error
	g.db, err = database.Open(t.Context(), dir)
	g.must("opening the catalog", err)
	t.Cleanup(func() { g.db.Close() })
	g.blobsPath = filepath.Join(dir, "blobs")
	g.blobs, err = blob.OpenDir(g.blobsPath)
	g.must("opening the blobs", err)
	t.Cleanup(func() { g.blobs.Close() })
	own := filepath.Join(dir, "keys")
	g.must("making a folder", os.Mkdir(own, 0o700))
	g.must("making the gateway's keys", keys.CreateOwn(own, start.Add(-time.Hour)))
	secrets, err := keys.LoadOwn(own)
	g.must("reading the gateway's keys", err)
	log := slog.New(slog.DiscardHandler)
	g.register = keys.NewRegister(g.db, g.clock.now)
	g.catalog = catalog.New(g.db, g.clock.now)
	g.publisher = publish.New(publish.Config{
		Register: g.register, Catalog: g.catalog, Blobs: g.blobs, Own: secrets, Retention: 100 * day, Now: g.clock.now, Log: log,
	})
	recorder := folder.NewRecorder(g.catalog, log)
	t.Cleanup(recorder.Close)
	g.store = &folder.Store{Catalog: g.catalog, Blobs: g.blobs, Recorder: recorder, Now: g.clock.now, Log: log}
	g.sweeper = retention.New(retention.Config{
		Catalog: g.catalog, Blobs: g.blobs, Policy: policy, Grace: grace, KeepInterrupted: 2 * day, Remember: 100 * 366 * day,
		Now: g.clock.now, Log: log,
	})
	return g
}

// memoryDir is a temporary folder in memory where there is one: these tests sync
// a great deal and cut no power.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "torture")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (g *inner) must(what string, err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatalf("%s: %v", what, err)
	}
}

func (g *inner) addClient(id string) reports.ClientID {
	g.t.Helper()
	client, err := reports.ParseClientID(id)
	g.must("reading a client id", err)
	g.must("adding a client", g.register.AddClient(g.t.Context(), "test", keys.Client{ID: client}))
	return client
}

func (g *inner) name(path string) reports.Name {
	g.t.Helper()
	name, err := reports.ParseName(path)
	g.must("reading a name", err)
	return name
}

// content reads a blob.
func (g *inner) content(id string) []byte {
	g.t.Helper()
	r, err := g.blobs.Open(id)
	g.must("opening a blob", err)
	defer r.Close()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	g.must("reading a blob", err)
	return data
}

// blobThere reports whether a blob has something in it: of one whose space was given back, there are
// zeros left, or nothing.
func (g *inner) blobThere(id string) bool {
	g.t.Helper()
	r, err := g.blobs.Open(id)
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	g.must("opening a blob", err)
	_ = r.Close()
	return len(bytes.Trim(g.content(id), "\x00")) > 0
}

// reopenBlobs opens the store anew, as the gateway's next start does.
func (g *inner) reopenBlobs() {
	g.t.Helper()
	g.must("closing the blobs", g.blobs.Close())
	var err error
	g.blobs, err = blob.OpenDir(g.blobsPath)
	g.must("opening the blobs", err)
	g.publisher.Blobs, g.store.Blobs, g.sweeper.Blobs = g.blobs, g.blobs, g.blobs
}

// files returns what the catalog has of all clients, by id.
func (g *inner) files() map[string]reports.Report {
	g.t.Helper()
	all := map[string]reports.Report{}
	for after := ""; ; {
		page, err := g.catalog.Files(g.t.Context(), reports.ClientID{}, after, 1000)
		g.must("listing the catalog", err)
		for _, r := range page {
			all[r.ID] = r
			after = r.ID
		}
		if len(page) < 1000 {
			return all
		}
	}
}
