package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/steady"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// turnTime is how long one client's files are taken in before it is others' turn.
const turnTime = 2 * time.Second

// result is what came of one turn.
type result struct {
	client string
	began  time.Time
	// more: there are files left that can be taken now. next is when there may be
	// others, zero for not before something happens.
	more bool
	next time.Time
	// trouble is why nobody's files can be taken in now; err, why this client's
	// can't. What there is stays.
	trouble, err error
}

// turn takes in the oldest files of a client, for a while.
func (s *Spool) turn(ctx context.Context, client string) result {
	root, err := openFolder(s.Folder)
	if err != nil {
		return result{trouble: missing(s.Folder, err)}
	}
	defer root.Close() // only read from
	if err := s.claimed(root); err != nil {
		return result{trouble: err}
	}
	if client == nobody {
		return s.clear(ctx, root)
	}
	dir, err := root.open(client)
	if gone(err) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return result{} // no folder any more; what took its place is nobody's
	}
	if err != nil {
		return result{err: unusable(err)}
	}
	defer dir.Close()
	if err := dir.writable(); err != nil {
		return result{err: unusable(err)}
	}
	l := look{Spool: s, root: root, client: client}
	if r := l.leftovers(ctx); r.err != nil || r.trouble != nil {
		return r
	}
	found, err := s.scan(dir, client, func(entry) bool { return true })
	if err != nil {
		return result{err: err}
	}
	return l.all(ctx, dir, found, l.file)
}

// clear rejects what lies beside the clients' folders.
func (s *Spool) clear(ctx context.Context, root *folder) result {
	found, err := s.scan(root, nobody, func(e entry) bool { return !e.isFolder() && !reserved(e.name) })
	if err != nil {
		return result{err: err}
	}
	l := look{Spool: s, root: root, client: nobody}
	return l.all(ctx, root, found, func(ctx context.Context, dir *folder, e entry) error {
		why := rejection{"it lies beside the clients' folders, and not in one", "move it from rejected/" + nobodyFolder + " to " + s.Folder + "/CLIENT"}
		if e.kind() == unix.S_IFLNK {
			why = rejection{"a client's folder must not be a symbolic link", "make it a folder, or have it bind-mounted"}
		}
		return l.reject(ctx, dir, e, why)
	})
}

// look is one turn with one client's files.
type look struct {
	*Spool
	root   *folder
	client string
}

// all takes one file after the other until the time of the turn is over.
func (l *look) all(ctx context.Context, dir *folder, f found, take func(context.Context, *folder, entry) error) result {
	r := result{more: f.more, next: f.next}
	end := time.Now().Add(turnTime)
	for i, e := range f.files {
		if ctx.Err() != nil {
			return r
		}
		if i > 0 && time.Now().After(end) {
			r.more = true
			return r
		}
		err := l.spare()
		if err == nil {
			err = take(ctx, dir, e)
		}
		switch {
		case ctx.Err() != nil:
			return r
		case err == nil:
			l.notes.drop(l.key(e))
			l.renamed.drop(l.key(e))
		case isTrouble(err):
			r.trouble = err
			return r
		case errors.Is(err, errLater):
			until := l.Now().Add(l.Settle)
			r.next = earliest(r.next, l.notes.put(l.key(e), e.identity, until).until)
		default:
			again, mine := l.failed(e, err)
			if !mine {
				r.err = err
				return r
			}
			r.next = earliest(r.next, again)
		}
	}
	return r
}

func (l *look) key(e entry) string { return l.client + "/" + e.name }

// spare returns an error below the free space that is to be kept.
func (l *look) spare() error {
	if l.MinFree == 0 {
		return nil
	}
	free, err := l.Free()
	if err != nil {
		return &trouble{err, ""}
	}
	if free < l.MinFree {
		return &trouble{
			fmt.Errorf("%w: less than spool.min_free is free", reports.ErrNoSpace), "make room on the disk of the data folder (`df -h`)",
		}
	}
	return nil
}

// failed notes a failure, and reports whether it lies in the file alone, so that
// the next ones may go before it.
func (l *look) failed(e entry, err error) (again time.Time, mine bool) {
	var inFile *steady.ReadError
	var path *fs.PathError
	mine = errors.As(err, &inFile) || errors.As(err, &path)
	if errors.Is(err, reports.ErrQuota) {
		return time.Time{}, false // one that is smaller must not overtake it
	}
	n := l.notes.failed(l.key(e), e.identity, l.Now())
	if mine && (n.tries == 1 || errors.Is(err, steady.ErrChanged)) {
		l.Log.Warn("a file could not be taken in; it is tried again", "event", "spool.retried", "client", l.client, "name", e.name, "error", err, "at", n.until)
	}
	return n.until, mine
}

// errLater says that a file is still being written.
var errLater = errors.New("the file is not whole yet")

// file takes in a file from its client's folder, or rejects it.
func (l *look) file(ctx context.Context, dir *folder, e entry) error {
	return l.take(ctx, dir, e, func(now entry) error { return l.release(dir, now) })
}

// take publishes a file and then calls release, or rejects it.
func (l *look) take(ctx context.Context, dir *folder, e entry, release func(now entry) error) error {
	id, err := reports.ParseClientID(l.client)
	if err != nil {
		return l.reject(ctx, dir, e, refusal(err))
	}
	if why, refused := unfit(e); refused {
		return l.reject(ctx, dir, e, why)
	}
	f, now, err := l.open(dir, e)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return l.reject(ctx, dir, e, unreadable(e))
	case gone(err), errors.Is(err, errReplaced):
		return nil // the next look finds what is there now
	case err != nil:
		return err
	}
	defer f.Close()
	if !l.marked(dir, now) && beingWritten(f.File) {
		return errLater
	}
	name, err := reports.ParseSegment(e.name)
	if err != nil {
		return l.reject(ctx, dir, e, refusal(err))
	}
	outcome, err := l.Publisher.Publish(ctx, publish.Delivery{
		Client: id, Name: name, Modified: now.modified, Size: now.size,
		Actor: fmt.Sprintf("spool:%s uid:%d", l.Folder, now.owner),
	}, f)
	switch {
	case errors.Is(err, reports.ErrName), errors.Is(err, reports.ErrUnknownClient), errors.Is(err, reports.ErrTooLarge):
		return l.reject(ctx, dir, e, refusal(err))
	case err != nil:
		return err
	}
	l.acknowledge(now, outcome)
	return release(now)
}

func (l *look) acknowledge(e entry, o publish.Outcome) {
	args := []any{"event", "spool.taken", "client", l.client, "name", e.name, "report", o.Report.ID, "size", e.size, "owner", e.owner}
	switch {
	case o.Known:
		l.Log.Info("taken in; the same was delivered before, and nothing was changed", args...)
	case o.HeldBecause != nil:
		l.Log.Info("taken in and held", append(args, "because", o.HeldBecause)...)
	default:
		l.Log.Info("taken in", args...)
	}
}

// errReplaced says that a name stands for something else than before.
var errReplaced = errors.New("replaced")

// open opens a file that a scan has found, and describes it as it is now.
func (l *look) open(dir *folder, e entry) (*steady.File, entry, error) {
	raw, err := dir.file(e.name)
	if errors.Is(err, unix.ELOOP) {
		return nil, entry{}, errReplaced
	}
	if err != nil {
		return nil, entry{}, err
	}
	now, err := describeOpen(e.name, raw)
	if err == nil && (now.identity != e.identity || now.kind() != unix.S_IFREG) {
		err = errReplaced
	}
	if err != nil {
		return nil, entry{}, errors.Join(err, raw.Close())
	}
	f, err := steady.From(raw)
	return f, now, err
}

// marked reports whether the producer has said that a file is whole.
func (l *look) marked(dir *folder, e entry) bool {
	marker, err := dir.stat(e.name + markerSuffix)
	return err == nil && !marker.changed.Before(e.changed)
}

// isTrouble reports whether an error is about the gateway, and not a file.
func isTrouble(err error) bool {
	var own *trouble
	var engine *database.Error
	if errors.As(err, &own) || errors.As(err, &engine) {
		return true
	}
	for _, known := range []error{reports.ErrNoSpace, database.ErrFull, database.ErrClosed, database.ErrUnknownOutcome} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
