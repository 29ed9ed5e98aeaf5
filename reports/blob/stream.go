package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// Stream writes one blob from its beginning to its end. A small one is put together with
// others; a large one gets a file of its own as soon as it is. It is not for concurrent
// use. The usual shape is
//
//	w := dir.Stream()
//	defer w.Abort() // does nothing once Commit has succeeded
//	if _, err := io.Copy(w, sealed); err != nil { … }
//	if err := w.Commit(); err != nil { … }
//	defer w.Settle()
//	// now a catalog row may name w.ID()
type Stream struct {
	dir  *Dir
	head *[]byte // what was written, as long as it is a member's size
	w    *Writer // to the file of its own, nil as long as there is none

	pack  *pack // that Commit put it into; nil once it is settled
	id    string
	size  int64
	ended outcome
	fault error // what Commit returned, if ended is failed
}

// heads are for what [Stream] collects.
var heads = sync.Pool{New: func() any {
	b := make([]byte, 0, 16<<10)
	return &b
}}

// Stream begins a blob. Nothing is on the disk before there is much to put there.
func (d *Dir) Stream() *Stream {
	return &Stream{dir: d, head: heads.Get().(*[]byte)}
}

// ID returns the blob's id once it is committed.
func (s *Stream) ID() string { return s.id }

// Size returns the blob's length in bytes so far.
func (s *Stream) Size() int64 { return s.size }

// Write appends b to the blob. An error for want of space or inodes wraps [reports.ErrNoSpace].
func (s *Stream) Write(b []byte) (int, error) {
	if s.ended != open {
		return 0, fmt.Errorf("writing a blob: %w", fs.ErrClosed)
	}
	if s.w == nil && s.size+int64(len(b)) <= largestMember {
		*s.head = append(*s.head, b...)
		s.size += int64(len(b))
		return len(b), nil
	}
	if s.w == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	n, err := s.w.Write(b)
	s.size += int64(n)
	return n, err
}

// spill moves what was written to a file of its own.
func (s *Stream) spill() (err error) {
	if s.w, err = s.dir.Create(); err != nil {
		return err
	}
	_, err = s.w.Write(*s.head)
	s.release()
	return err
}

// release gives back the memory.
func (s *Stream) release() {
	if s.head != nil {
		*s.head = (*s.head)[:0]
		heads.Put(s.head)
		s.head = nil
	}
}

// Commit makes the blob durable: once nil is returned it survives a kill and a power
// loss. It is kept from being collected until Settle. After an error Abort should delete
// what there is of it. Calling Commit again returns the same result and does nothing;
// after Abort it returns an error that wraps [fs.ErrClosed].
func (s *Stream) Commit() error {
	switch s.ended {
	case open:
	case committed, failed:
		return s.fault
	default:
		return fmt.Errorf("committing a blob: it was aborted: %w", fs.ErrClosed)
	}
	if s.w != nil || s.size == 0 { // a pack's members have bytes
		s.fault = s.commitFile()
	} else {
		s.fault = s.commitMember()
	}
	s.release()
	s.ended = committed
	if s.fault != nil {
		s.ended = failed
	}
	return s.fault
}

// commitFile commits the blob as a file of its own.
func (s *Stream) commitFile() error {
	if s.w == nil {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.id = s.w.ID()
	return s.w.Commit()
}

func (s *Stream) commitMember() error {
	const op = "committing a small blob"
	p, offset, err := s.dir.reserve(s.size)
	if errors.Is(err, errNoLocks) {
		return s.commitFile()
	}
	if err != nil {
		return s.dir.fault(op, err)
	}
	if _, err = p.f.WriteAt(*s.head, offset); err == nil {
		err = p.syncs.Do(p.sync)
	}
	if err != nil {
		s.dir.giveUp(p, offset, s.size, err)
		return s.dir.fault(op, err)
	}
	s.pack, s.id = p, blobid.Member(p.id, offset, s.size)
	return nil
}

// Settle says that whatever row will show the blob is there by now. Who does not know
// whether there is one, because a transaction's outcome is unknown, does not call it: the
// blob is then kept as long as the store is open. It may be called repeatedly.
func (s *Stream) Settle() {
	if s.pack != nil {
		s.dir.settle(s.pack)
		s.pack = nil
	}
}

// Abort deletes the blob, unless it was committed: then it does nothing. It may be called
// any number of times; after an error it tries again to delete.
func (s *Stream) Abort() error {
	if s.ended == committed {
		return nil
	}
	if s.ended == open {
		s.ended = aborted
	}
	s.release()
	if s.w != nil {
		return s.w.Abort()
	}
	return nil
}
