package retention

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Catalog is what a sweep needs of the catalog; *[catalog.Catalog] is one. Each
// method that changes something is durable when it returns.
type Catalog interface {
	Counts(ctx context.Context, at time.Time) (catalog.Counts, error)
	LastSweep(ctx context.Context) (time.Time, error)
	SetLastSweep(ctx context.Context, at time.Time) error
	PurgeDue(ctx context.Context, actor string, at time.Time) (int, error)
	DropStalePartials(ctx context.Context, before time.Time, limit int) (int, error)
	Garbage(ctx context.Context, before time.Time, limit int) ([]string, error)
	ForgetGarbage(ctx context.Context, files []string, before time.Time) error
	// Blobs returns the blobs in a file that rows show, in ascending order, and whether
	// it is still one that Garbage returns.
	Blobs(ctx context.Context, file string, before time.Time) (blobs []string, due bool, err error)
	// Unknown returns those of the files, which are in ascending order, of which no row knows.
	Unknown(ctx context.Context, files []string) ([]string, error)
	// Disown hands those of the files of which no row knows to the garbage.
	Disown(ctx context.Context, files []string) (int, error)
	Tidy(ctx context.Context, forgetBefore time.Time) error
}

// Blobs is what a sweep needs of the blob store.
type Blobs interface {
	// Collect gives back what no row shows of files, which are in ascending order; live
	// returns what one does show of a pack, and whether that is due. It returns the files that are done
	// with, also with an error. Those that are in use it leaves.
	Collect(ctx context.Context, files []string, live func(ctx context.Context, pack string) (blobs []string, due bool, err error)) (done []string, err error)
	Files(ctx context.Context, fn func(files []string) error) error
	// Look returns how many blobs a file holds at most, and when it was last written to.
	Look(file string) (most int64, modified time.Time, err error)
}

// Config is what a [Sweeper] needs.
type Config struct {
	Catalog Catalog
	Blobs   Blobs
	Policy  Policy
	// Every is how often [Sweeper.Run] sweeps.
	Every time.Duration
	// Grace is how long a blob outlives its row, and how old a blob without a row
	// must be to count as an orphan. It must be longer than the longest download
	// and the longest delivery.
	Grace time.Duration
	// KeepInterrupted is how long an interrupted upload can be resumed.
	KeepInterrupted time.Duration
	// Remember is how long a delivery is recognised when it comes again.
	Remember time.Duration
	Now      func() time.Time
	Log      *slog.Logger
	// Observe is told of every sweep that [Sweeper.Run] makes. nil: nobody is told.
	Observe func(Result, error)
}

// Sweeper purges what is due. Several may run at once, in several processes.
type Sweeper struct{ Config }

// New returns a sweeper.
func New(c Config) *Sweeper { return &Sweeper{c} }

// Result is what a sweep did.
type Result struct {
	Purged      int `json:"purged"`      // reports and uploads
	Blobs       int `json:"blobs"`       // files of them, whose grace was over
	Orphans     int `json:"orphans"`     // blobs that belonged to nobody, and are garbage now
	Interrupted int `json:"interrupted"` // uploads that were not resumed
}

const (
	// batch is how many rows are handled together.
	batch = 1000
	// fileBatch is how many files are: so many that those of a folder are deleted together,
	// and that the file system's journal, which a sync of the catalog waits for, is
	// written less often.
	fileBatch = 5000
)

// Options says how to sweep.
type Options struct {
	// Confirmed lets a sweep go ahead that the policy would refuse.
	Confirmed bool
	// Orphans also looks through the whole blob store for blobs that belong to
	// nobody.
	Orphans bool
}

// Sweep purges what is due now. An error may come after part of the work was
// done; what was done is told.
func (s *Sweeper) Sweep(ctx context.Context, actor string, o Options) (Result, error) {
	var done Result
	now := s.Now()
	if !o.Confirmed {
		doubtful, err := s.check(ctx, now)
		if err != nil {
			return done, err
		}
		if doubtful {
			return done, s.Catalog.SetLastSweep(ctx, now)
		}
	}
	for {
		n, err := s.Catalog.PurgeDue(ctx, actor, now)
		done.Purged += n
		if err != nil {
			return done, err
		}
		if n == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return done, err
		}
	}
	if err := s.Catalog.SetLastSweep(ctx, now); err != nil {
		return done, err
	}
	err := errors.Join(
		s.dropInterrupted(ctx, now, &done),
		s.collectGarbage(ctx, now, &done),
		s.Catalog.Tidy(ctx, now.Add(-s.Remember)),
	)
	if o.Orphans {
		err = errors.Join(err, s.collectOrphans(ctx, now, o.Confirmed, &done))
	}
	return done, err
}

// Check returns a [*RefusedError] if the policy refuses a sweep at the time now.
func (s *Sweeper) Check(ctx context.Context, now time.Time) error {
	_, err := s.check(ctx, now)
	return err
}

// check also reports whether the clock is in doubt although the policy lets the
// sweep go ahead, because there is nothing that it could purge.
func (s *Sweeper) check(ctx context.Context, now time.Time) (doubtful bool, err error) {
	last, err := s.Catalog.LastSweep(ctx)
	if err != nil {
		return false, err
	}
	found, err := s.Catalog.Counts(ctx, now)
	if err != nil {
		return false, err
	}
	return s.Policy.doubt(now, last) != "", s.Policy.Check(now, last, found)
}

func (s *Sweeper) dropInterrupted(ctx context.Context, now time.Time, done *Result) error {
	for {
		n, err := s.Catalog.DropStalePartials(ctx, now.Add(-s.KeepInterrupted), batch)
		done.Interrupted += n
		if err != nil || n < batch {
			return err
		}
	}
}

// collectGarbage gives back files whose grace is over: the file first, its garbage
// row second, so that a crash in between only has it looked at again.
func (s *Sweeper) collectGarbage(ctx context.Context, now time.Time, done *Result) error {
	before := now.Add(-s.Grace)
	// More may be let go of a pack after it was listed, and has its whole grace.
	live := func(ctx context.Context, pack string) ([]string, bool, error) {
		return s.Catalog.Blobs(ctx, pack, before)
	}
	for {
		files, err := s.Catalog.Garbage(ctx, before, fileBatch)
		if err != nil || len(files) == 0 {
			return err
		}
		slices.Sort(files)
		collected, failed := s.Blobs.Collect(ctx, files, live)
		done.Blobs += len(collected)
		for some := range slices.Chunk(collected, batch) {
			if err := s.Catalog.ForgetGarbage(ctx, some, before); err != nil {
				return err
			}
		}
		if len(collected) == 0 || ctx.Err() != nil {
			return failed // what is left, also what is in use, would come again for ever
		}
	}
}

// collectOrphans disowns files that belong to nobody and are old enough not to be
// somebody's delivery under way. Where there are too many, the catalog is more
// likely to be wrong than they are.
func (s *Sweeper) collectOrphans(ctx context.Context, now time.Time, confirmed bool, done *Result) error {
	var orphans []string
	var lost, all int64 // blobs
	err := s.Blobs.Files(ctx, func(list []string) error {
		for some := range slices.Chunk(list, batch) {
			unknown, err := s.Catalog.Unknown(ctx, some)
			if err != nil {
				return err
			}
			for _, file := range some {
				_, orphan := slices.BinarySearch(unknown, file)
				if !orphan && !blobid.IsPack(file) {
					all++
					continue
				}
				most, modified, err := s.Blobs.Look(file)
				if errors.Is(err, fs.ErrNotExist) { // deleted since
					continue
				}
				if err != nil {
					return err
				}
				all += most
				if orphan && now.Sub(modified) >= s.Grace {
					orphans, lost = append(orphans, file), lost+most
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !confirmed && s.Policy.tooMany(lost, all) {
		return &OrphansError{Orphans: lost, Blobs: all}
	}
	for some := range slices.Chunk(orphans, batch) {
		n, err := s.Catalog.Disown(ctx, some)
		done.Orphans += n
		if err != nil {
			return err
		}
	}
	return nil
}

// orphanInterval is how often [Sweeper.Run] looks for orphans: they are rare,
// and it asks the catalog about every blob that there is.
const orphanInterval = 24 * time.Hour

// Run sweeps at once, and then every so often, until ctx ends. A refused sweep
// is logged each time, and the gateway goes on.
func (s *Sweeper) Run(ctx context.Context) {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	var orphans time.Time
	for {
		o := Options{Orphans: s.Now().Sub(orphans) >= orphanInterval}
		done, err := s.Sweep(ctx, "gateway", o)
		if o.Orphans && err == nil {
			orphans = s.Now()
		}
		if s.Observe != nil && ctx.Err() == nil {
			s.Observe(done, err)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.Log.Error("sweep", "event", "sweep.failed", "error", err, "purged", done.Purged)
		case done != Result{}:
			s.Log.Info("sweep", "event", "sweep.done", "purged", done.Purged, "blobs", done.Blobs, "orphans", done.Orphans, "interrupted", done.Interrupted)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
