package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/schollz/progressbar/v3"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/manifest"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// batchOptions say which manifest is delivered, and how.
type batchOptions struct {
	file    string // "-": standard input
	journal string // "": beside the manifest
	check   bool
	restart bool
	jobs    int
}

// batch is a manifest being delivered.
type batch struct {
	*app
	to       destination
	template publish.Delivery
	journal  *manifest.Journal // nil: none is kept
	bar      *progressbar.ProgressBar

	mu      sync.Mutex // guards what follows, and what is printed
	shown   bool
	counts  map[string]int
	errs    []error
	dropped int // errors beyond those kept
}

// What becomes of a line, a closed list.
const (
	lineDelivered = "delivered"
	lineHeld      = "held"
	lineKnown     = "known"   // the same was delivered before
	lineSkipped   = "skipped" // by the journal's word
	lineFailed    = "failed"
)

// lineView is how the outcome of a line is shown.
type lineView struct {
	Line    int              `json:"line"`
	Client  reports.ClientID `json:"client"`
	File    string           `json:"file"`
	Outcome string           `json:"outcome"`
	Report  *deliveryView    `json:"report,omitempty"`
	Error   string           `json:"error,omitempty"`
	Hint    string           `json:"hint,omitempty"`
}

// deliverManifest checks a manifest and delivers what it lists.
func (a *app) deliverManifest(ctx context.Context, to destination, d publish.Delivery, o batchOptions) (err error) {
	lines, err := a.readManifest(ctx, to, o.file)
	if err != nil {
		return err
	}
	var total int64
	for _, l := range lines {
		total += l.Size
	}
	if o.check {
		found := struct {
			Lines int   `json:"lines"`
			Bytes int64 `json:"bytes"`
		}{len(lines), total}
		return a.show(found, func(w io.Writer) {
			fmt.Fprintf(w, "%d reports of %s, and nothing is wrong with them\n", len(lines), size(total))
		})
	}
	b := &batch{app: a, to: to, template: d, counts: map[string]int{}}
	if o.journal == "" && o.file != "-" {
		o.journal = o.file + manifest.JournalSuffix
	}
	if o.journal != "" {
		if b.journal, err = manifest.OpenJournal(o.journal, lines, o.restart); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, b.journal.Close()) }()
	}
	b.bar = a.progress(fmt.Sprintf("%d reports", len(lines)), total, true)
	begun := manifest.Run(ctx, lines, o.jobs, b.line)
	_ = b.bar.Close() // it is only shown
	return b.conclude(ctx, len(lines)-begun)
}

func (a *app) readManifest(ctx context.Context, to destination, file string) ([]manifest.Line, error) {
	options := manifest.Options{Client: func(id reports.ClientID) error { return to.client(ctx, id) }}
	if file == "-" {
		return manifest.Read(untilDone(ctx, a.in), options)
	}
	f, err := openReport(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	options.Dir = filepath.Dir(file)
	return manifest.Read(f, options)
}

// line sees to one line.
func (b *batch) line(ctx context.Context, l manifest.Line) {
	v := lineView{Line: l.Number, Client: l.Client, File: l.File}
	report, skipped, err := b.deliverLine(ctx, l)
	switch {
	case err != nil:
		v.Outcome, v.Error, v.Hint = lineFailed, err.Error(), hint(err)
	case skipped:
		v.Outcome = lineSkipped
	case report.Known:
		v.Outcome = lineKnown
	case report.State == reports.Held:
		v.Outcome = lineHeld
	default:
		v.Outcome = lineDelivered
	}
	if err == nil && !skipped {
		v.Report = &report
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[v.Outcome]++
	b.tell(v)
	if err != nil {
		b.keep(fmt.Errorf("line %d: %s: %w", l.Number, l.File, err))
	}
}

// tell prints the outcome of a line as soon as it is known.
func (b *batch) tell(v lineView) {
	if b.format == "json" {
		enc := json.NewEncoder(b.out) // each line of output is a value of its own
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			b.keep(err)
		}
		return
	}
	if v.Report != nil {
		b.acknowledge(*v.Report, !b.shown)
		b.shown = true
	}
}

// maxErrors is how many errors are told at the end.
const maxErrors = 100

func (b *batch) keep(err error) {
	if len(b.errs) == maxErrors {
		b.dropped++
		return
	}
	b.errs = append(b.errs, err)
}

// deliverLine delivers a line unless the journal and the destination agree that it
// was.
func (b *batch) deliverLine(ctx context.Context, l manifest.Line) (v deliveryView, skipped bool, err error) {
	info, err := os.Stat(l.File)
	if err != nil {
		return v, false, withoutPath(err)
	}
	if b.journal != nil {
		if id, found := b.journal.Find(l, info); found {
			known, err := b.to.knows(ctx, l.Client, id)
			if err != nil || known {
				_ = b.bar.Add64(info.Size()) // it is only shown
				return v, known, err
			}
		}
	}
	h := handIn{Delivery: b.template, sha256: l.SHA256}
	h.Client, h.Name, h.Modified, h.Size = l.Client, l.Name, l.Date, info.Size()
	if h.Modified.IsZero() {
		h.Modified = info.ModTime()
	}
	h.open = func() (io.ReadCloser, error) {
		f, err := openReport(l.File)
		if err != nil {
			return nil, err
		}
		info = f.Info
		return tracked(manifest.Verify(f, l.SHA256), f, b.bar), nil
	}
	if v, err = b.to.deliver(ctx, h); err != nil {
		return v, false, interruptedIf(err)
	}
	if b.journal != nil {
		err = b.journal.Record(l, info, v.ID)
	}
	return v, false, err
}

// conclude says what became of the batch. left is how many lines were not begun.
func (b *batch) conclude(ctx context.Context, left int) error {
	if b.format == "table" {
		fmt.Fprintf(b.err, "note: %d delivered, %d held, %d known from before, %d skipped as the journal has them, %d failed\n",
			b.counts[lineDelivered], b.counts[lineHeld], b.counts[lineKnown], b.counts[lineSkipped], b.counts[lineFailed])
	}
	if b.dropped > 0 {
		b.errs = append(b.errs, fmt.Errorf("and %d more lines failed", b.dropped))
	}
	if ctx.Err() != nil {
		b.errs = append(b.errs, &advisedError{
			fmt.Errorf("interrupted; %d lines were not begun", left), "run the same command again: it goes on where it was",
		})
	} else if b.counts[lineFailed] > 0 {
		b.errs = append(b.errs, &advisedError{
			fmt.Errorf("%d of the lines failed", b.counts[lineFailed]), "when the causes are mended, run the same command again: only what is missing is delivered",
		})
	}
	return errors.Join(b.errs...)
}
