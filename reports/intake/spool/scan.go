package spool

import (
	"container/heap"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// markerSuffix is what the name of a marker adds to its file's.
	markerSuffix = ".done"
	// batch is how many names one scan keeps: the oldest.
	batch = 1024
	// maxNotes bounds what is remembered of single files.
	maxNotes = 4096
)

// passedOver reports whether a name is one of those under which files are still
// being written, or a marker.
func passedOver(name string) bool {
	lower := strings.ToLower(name) // of Windows programs, over a share
	for _, suffix := range []string{".part", ".partial", ".filepart", ".tmp"} {
		if strings.HasSuffix(lower, suffix) {
			return true
		}
	}
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, markerSuffix)
}

// older is the order of arrival.
func older(a, b entry) int {
	if c := a.modified.Compare(b.modified); c != 0 {
		return c
	}
	return strings.Compare(a.name, b.name)
}

// oldest keeps the oldest entries that it was given, the youngest of them first.
type oldest []entry

func (o oldest) Len() int           { return len(o) }
func (o oldest) Less(i, j int) bool { return older(o[i], o[j]) > 0 }
func (o oldest) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }

// Push implements [heap.Interface].
func (o *oldest) Push(x any) { *o = append(*o, x.(entry)) }

// Pop implements [heap.Interface].
func (o *oldest) Pop() any {
	last := len(*o) - 1
	e := (*o)[last]
	*o = (*o)[:last]
	return e
}

// add keeps e unless there are enough that are older.
func (o *oldest) add(e entry) {
	switch {
	case len(*o) < batch:
		heap.Push(o, e)
	case older(e, (*o)[0]) < 0:
		(*o)[0] = e
		heap.Fix(o, 0)
	}
}

// found is what a scan of one folder gives.
type found struct {
	files []entry // what can be taken, in the order of arrival
	more  bool    // there is more than that
	// next is when to look again for what was not whole or is to be tried later;
	// zero if there is nothing of the kind.
	next time.Time
}

func (f *found) notBefore(t time.Time) { f.next = earliest(f.next, t) }

// earliest returns the earlier of two times, of which a zero one means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// scan looks for what can be taken from a client's folder.
func (s *Spool) scan(dir *folder, client string, want func(entry) bool) (found, error) {
	var result found
	var kept oldest
	total, now := 0, s.Now()
	err := dir.names(func(name string) {
		if passedOver(name) {
			return
		}
		e, err := dir.stat(name)
		if err != nil || !want(e) {
			return // it went away, or the next look tells
		}
		if ready, again := s.whole(dir, client, e, now); !ready {
			result.notBefore(again)
			return
		}
		total++
		kept.add(e)
	})
	slices.SortFunc(kept, older)
	result.files, result.more = kept, total > len(kept)
	return result, err
}

// whole reports whether the producer is done with a file, and if not, when to look
// again.
func (s *Spool) whole(dir *folder, client string, e entry, now time.Time) (ready bool, again time.Time) {
	key := client + "/" + e.name
	if n, ok := s.notes.get(key, e.identity); ok {
		return !now.Before(n.until), n.until
	}
	if e.kind() == unix.S_IFREG && s.renamed.has(key) {
		return true, time.Time{}
	}
	age := now.Sub(e.changed)
	if age >= s.Settle {
		return true, time.Time{}
	}
	if marker, err := dir.stat(e.name + markerSuffix); err == nil && !marker.changed.Before(e.changed) {
		return true, time.Time{}
	}
	if age < 0 {
		// The clock was set back: wait for as long from now.
		return false, s.notes.put(key, e.identity, now.Add(s.Settle)).until
	}
	return false, e.changed.Add(s.Settle)
}

// note says that a file is to be left alone for a while.
type note struct {
	identity
	until time.Time
	tries int
}

// notes has the notes of files by "CLIENT/NAME". It forgets them all when there
// are too many: then files are tried early, which harms nothing.
type notes struct {
	mu  sync.Mutex
	all map[string]note
}

// get returns the note of a file. One of another file of the name is dropped.
func (n *notes) get(key string, id identity) (note, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at, ok := n.all[key]
	if ok && at.identity != id {
		delete(n.all, key)
		ok = false
	}
	return at, ok
}

func (n *notes) put(key string, id identity, until time.Time) note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.set(key, note{identity: id, until: until, tries: n.all[key].tries})
}

// failed notes one more failure, and returns the note.
func (n *notes) failed(key string, id identity, now time.Time) note {
	n.mu.Lock()
	defer n.mu.Unlock()
	tries := 1
	if at, ok := n.all[key]; ok && at.identity == id {
		tries = at.tries + 1
	}
	return n.set(key, note{identity: id, until: now.Add(backOff(tries, maxFileWait)), tries: tries})
}

func (n *notes) set(key string, at note) note {
	if n.all == nil || len(n.all) >= maxNotes {
		n.all = make(map[string]note)
	}
	n.all[key] = at
	return at
}

func (n *notes) drop(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, key)
}

// names is a set of "CLIENT/NAME" of bounded size. What it forgets waits for the
// settling time instead.
type names struct {
	mu  sync.Mutex
	all map[string]struct{}
}

func (n *names) has(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.all[key]
	return ok
}

func (n *names) add(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil || len(n.all) >= maxNotes {
		n.all = make(map[string]struct{})
	}
	n.all[key] = struct{}{}
}

func (n *names) drop(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, key)
}

// backOff is how long to wait after so many failures in a row: a second, doubled
// each time, up to a limit.
func backOff(tries int, limit time.Duration) time.Duration {
	wait := time.Second
	for i := 1; i < tries && wait < limit; i++ {
		wait *= 2
	}
	return min(wait, limit)
}

// gone reports whether err says that a file or folder is not there any more.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
