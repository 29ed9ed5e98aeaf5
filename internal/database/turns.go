package database

import (
	"context"
	"os"
	"syscall"
	"time"
)

// SQLite knows one writer at a time and no queue: who waits asks again and again, and who
// writes batch after batch has taken the next turn before anybody has asked. Therefore, who
// waits shows it by a shared lock on the open data folder, and who can let others go first
// looks for one. The locks are the system's own and go with the process. Nothing but speed
// depends on them.

// queue is the open data folder of a writer that waits.
type queue struct{ folder *os.File }

// enqueue shows that this process waits. It does not wait itself: where somebody is just
// looking, show is to be called again.
func enqueue(dir string) queue {
	folder, err := os.Open(dir)
	if err != nil {
		return queue{}
	}
	return queue{folder}
}

func (q queue) show() {
	if q.folder != nil {
		_ = syscall.Flock(int(q.folder.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	}
}

// others reports whether anybody else waits.
func (q queue) others() bool {
	if q.folder == nil || syscall.Flock(int(q.folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return q.folder != nil
	}
	_ = syscall.Flock(int(q.folder.Fd()), syscall.LOCK_UN)
	return false
}

// leave closes the folder, and with it goes the lock.
func (q queue) leave() {
	if q.folder != nil {
		q.folder.Close()
	}
}

const (
	// glance is how often somebody looks who lets others go first.
	glance = 500 * time.Microsecond
	// longestWay is how long: who was stopped while it waited must not stop others.
	longestWay = 100 * time.Millisecond
)

// giveWay waits until nobody waits.
func giveWay(ctx context.Context, dir string) {
	q := enqueue(dir)
	if q.folder == nil {
		return
	}
	defer q.leave()
	for deadline := time.Now().Add(longestWay); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(glance) {
		if !q.others() {
			return
		}
	}
}
