package database

import (
	"context"
	"testing"
	"time"
)

// TestGiveWay: who gives way waits for who waits, not for nobody, and not for ever.
func TestGiveWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	giveWay(t.Context(), dir) // nobody waits
	giveWay(t.Context(), dir+"/not-there")

	waiting := enqueue(dir)
	waiting.show()
	waiting.show() // as it does again and again
	gone := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		defer close(gone)
		giveWay(ctx, dir) // ends by itself, though nobody leaves
	}()
	<-gone
	if ctx.Err() != nil {
		t.Error("it gave way for ever")
	}
	other := enqueue(dir)
	other.show() // two may wait
	other.leave()
	waiting.leave()
	ended, end := context.WithCancel(t.Context())
	end()
	giveWay(ended, dir)
}

// TestWriterShowsThatItWaits: a writer that is kept waiting by another program is seen by
// who gives way, and no more once it has begun.
func TestWriterShowsThatItWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *DB {
		db, err := Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	holder, waiter := open(), open()
	inside, release := make(chan struct{}), make(chan struct{})
	held, waited := make(chan error, 1), make(chan error, 1)
	go func() {
		held <- holder.Write(context.Background(), func(*Tx) error {
			close(inside)
			<-release
			return nil
		})
	}()
	<-inside
	go func() { waited <- waiter.Write(context.Background(), func(*Tx) error { return nil }) }()
	look := enqueue(dir)
	defer look.leave()
	for !look.others() {
		time.Sleep(time.Millisecond)
	}
	close(release)
	for _, done := range []chan error{held, waited} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if look.others() {
		t.Error("nobody waits any more, and it still looks like it")
	}
}
