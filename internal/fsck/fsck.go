// Package fsck checks that what the catalog says is so: that every row has its
// blob, whole and unchanged, and every blob its row. Start with [Checker.Run].
//
// It only reads, and runs beside a gateway that goes on working. With [Options].Copies it also
// repairs: blobs that are missing or damaged are put in place again from a backup. What changes
// while it looks is looked at again before it is called a finding: a report that
// was purged or resealed meanwhile is none, nor is an upload whose digest is still
// being computed, nor a blob that is younger than the grace, which may be somebody's
// delivery under way.
//
// It reads page by page and keeps nothing of what it has seen, so that its memory
// does not grow with the catalog. Findings are handed out as they come. Each says
// what is wrong, and by which command it is mended.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Kind says what a finding is about. The list is closed.
type Kind string

// The kinds of findings.
const (
	Missing    Kind = "missing"     // a file's blob is not there
	Truncated  Kind = "size"        // it has another length than was stored
	Damaged    Kind = "damaged"     // it has other bytes than were stored, or can't be read
	Unsealed   Kind = "unsealed"    // a report is no OpenPGP message
	Recipients Kind = "recipients"  // it is addressed to other keys than were recorded
	Interrupt  Kind = "interrupted" // an interrupted upload lacks its data
	Orphan     Kind = "orphan"      // a blob belongs to nobody
	Garbage    Kind = "garbage"     // blobs that should be gone are still there
	Usage      Kind = "usage"       // a client's quota counts what is not there, or not all that is
	Audit      Kind = "audit"       // the audit's chain is broken
	Catalog    Kind = "catalog"     // the database itself is damaged
)

// What mends a finding, as it is shown.
const (
	restore = "restore from backup: sealdrop restore BACKUP --to NEWDATA"
	repair  = "bring it back from a backup: sealdrop fsck --repair BACKUP"
	sweep   = "sealdrop retention run"
)

// Finding is something that is not as it should be.
type Finding struct {
	Kind   Kind   `json:"kind"`
	Report string `json:"report,omitempty"` // the id of the report or upload
	Client string `json:"client,omitempty"`
	Name   string `json:"name,omitempty"`
	Blob   string `json:"blob,omitempty"`
	// Problem says what is wrong.
	Problem string `json:"problem"`
	// Mend is the command that mends it.
	Mend string `json:"mend"`
	// Repaired says that it is mended already.
	Repaired bool `json:"repaired,omitempty"`
	// Unrepaired says why a repair that was asked for was not possible.
	Unrepaired string `json:"unrepaired,omitempty"`
}

// Config is what a [Checker] needs.
type Config struct {
	DB      *database.DB
	Catalog *catalog.Catalog
	Blobs   *blob.Dir
	// Certificate returns the certificate of a fingerprint, among those that a
	// client's reports can be sealed to; a zero one if it is not known (any more).
	Certificate func(ctx context.Context, client reports.ClientID, fingerprint string) (pgp.Certificate, error)
	// Grace is how long a blob outlives its row, and Every how often is swept.
	Grace, Every time.Duration
	Now          func() time.Time
}

// Checker compares the catalog with the blobs.
type Checker struct{ Config }

// New returns a checker.
func New(c Config) *Checker { return &Checker{c} }

// Options says what to check.
type Options struct {
	// Quick looks at existence and sizes only, and reads no content.
	Quick bool
	// Client, where it is not zero, selects one client's files; what belongs to
	// nobody, the audit and the database are then left out.
	Client reports.ClientID
	// Copies, if it is not nil, is where blobs that are missing or damaged are repaired from.
	// It does not go with Quick, which does not see all that is damaged.
	Copies Copies
	// Actor is who repairs, for the record.
	Actor string
	// Progress, if it is not nil, is told of every file that was looked at.
	Progress func(bytes int64)
}

// Summary is what a run looked at.
type Summary struct {
	Files    int64 `json:"files"`    // reports and uploads
	Bytes    int64 `json:"bytes"`    // that they hold
	Pending  int64 `json:"pending"`  // uploads whose digest is still being computed
	Blobs    int64 `json:"blobs"`    // that the store holds
	Records  int64 `json:"records"`  // of the audit
	Findings int64 `json:"findings"` // that were handed out
	Repaired int64 `json:"repaired"` // of them
}

// page is how many rows are read at a time.
const page = 500

// Run checks everything, and hands each finding to found as it comes. An error
// means that the check itself could not go on; what it found stays true.
func (c *Checker) Run(ctx context.Context, o Options, found func(Finding)) (Summary, error) {
	r := &run{Checker: c, options: o, ids: map[string][]string{}}
	r.found = func(f Finding) {
		r.done.Findings++
		found(f)
	}
	steps := []func(context.Context) error{r.files, r.partials, r.usage}
	if o.Client.IsZero() {
		steps = append([]func(context.Context) error{r.database}, steps...)
		steps = append(steps, r.orphans, r.garbage, r.audit)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return r.done, err
		}
	}
	return r.done, nil
}

// run is one run of [Checker.Run].
type run struct {
	*Checker
	options Options
	found   func(Finding)
	done    Summary
	ids     map[string][]string // key ids by client and fingerprint; bounded
}

func (r *run) database(ctx context.Context) error {
	err := r.DB.Check(ctx, r.options.Quick)
	var fault *database.Error
	if errors.As(err, &fault) {
		r.found(Finding{Kind: Catalog, Problem: fault.Error(), Mend: restore})
		return nil
	}
	return err
}

func (r *run) files(ctx context.Context) error {
	after := ""
	for {
		list, err := r.Catalog.Files(ctx, r.options.Client, after, page)
		if err != nil {
			return err
		}
		for _, file := range list {
			if err := r.file(ctx, file); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].ID
	}
}

// file examines one file, and once more where it turns out to have changed since
// its row was read.
func (r *run) file(ctx context.Context, file reports.Report) error {
	r.done.Files++
	r.done.Bytes += file.Size
	if r.options.Progress != nil {
		defer r.options.Progress(file.Size)
	}
	repaired := false
	for {
		f, err := r.examine(ctx, file)
		if err != nil {
			return err
		}
		if f == nil {
			return nil
		}
		now, err := r.Catalog.Report(ctx, file.ID)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // purged meanwhile
		case err != nil:
			return err
		case now.Blob == file.Blob:
			f.Report, f.Client, f.Name, f.Blob = file.ID, file.Client.String(), file.Name.String(), file.Blob
			err := r.repair(ctx, file, f, repaired)
			if err != nil {
				return err
			}
			r.found(*f)
			if repaired = f.Repaired; !repaired {
				return nil
			}
		}
		file = now
	}
}

func (r *run) usage(ctx context.Context) error {
	return r.Catalog.Miscounted(ctx, r.options.Client, func(client reports.ClientID, kept, counted reports.Usage) {
		r.found(Finding{
			Kind: Usage, Client: client.String(), Mend: "sealdrop client recount " + client.String(),
			Problem: fmt.Sprintf("the quota of client %s counts %d files with %d bytes, and it has %d with %d",
				client, kept.Files, kept.Bytes, counted.Files, counted.Bytes),
		})
	})
}

func (r *run) partials(ctx context.Context) error {
	after := ""
	for {
		list, err := r.Catalog.Partials(ctx, r.options.Client, after, page)
		if err != nil {
			return err
		}
		for _, p := range list {
			if err := r.partial(ctx, p); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].Blob
	}
}

// partial looks at what an interrupted upload left. More than its row knows of is
// an upload that goes on.
func (r *run) partial(ctx context.Context, p catalog.Partial) error {
	content, err := r.Blobs.Open(p.Blob)
	if err == nil {
		defer content.Close()
		if content.Size() >= p.Size {
			return nil
		}
		err = fmt.Errorf("it has %d bytes of %d", content.Size(), p.Size)
	}
	now, found, lookErr := r.Catalog.Partial(ctx, p.Client, p.Name)
	if lookErr != nil || !found || now.Blob != p.Blob {
		return lookErr
	}
	r.found(Finding{
		Kind: Interrupt, Client: p.Client.String(), Name: p.Name.String(), Blob: p.Blob,
		Problem: fmt.Sprintf("what an interrupted upload left is not whole: %v", err),
		Mend:    "none needed: it is dropped by itself (sftp.keep_interrupted), and was never acknowledged",
	})
	return nil
}

func (r *run) orphans(ctx context.Context) error {
	now := r.Now()
	return r.Blobs.Walk(ctx, func(id string, size int64, modified time.Time) error {
		r.done.Blobs++
		if now.Sub(modified) < r.Grace {
			return nil
		}
		known, err := r.Catalog.BlobKnown(ctx, id)
		if err == nil && !known {
			r.found(Finding{
				Kind: Orphan, Blob: id, Mend: sweep,
				Problem: fmt.Sprintf("a blob of %d bytes belongs to no report; it was last written on %s", size, modified.UTC().Format(time.DateOnly)),
			})
		}
		return err
	})
}

// garbage counts what sweeps should have collected: after the grace, and two sweeps
// to get at it.
func (r *run) garbage(ctx context.Context) error {
	n, err := r.Catalog.CountGarbage(ctx, r.Now().Add(-r.Grace-2*r.Every))
	if err == nil && n > 0 {
		r.found(Finding{
			Kind: Garbage, Mend: sweep,
			Problem: fmt.Sprintf("%d blobs whose reports are gone should have been deleted by now; is the gateway running?", n),
		})
	}
	return err
}

func (r *run) audit(ctx context.Context) error {
	head, err := audit.Verify(ctx, r.DB.Read(), audit.Head{})
	r.done.Records = head.Seq
	var broken *audit.BrokenError
	if errors.As(err, &broken) {
		r.found(Finding{Kind: Audit, Problem: broken.Error(), Mend: "keep a copy of the catalog, then " + restore})
		return nil
	}
	return err
}
