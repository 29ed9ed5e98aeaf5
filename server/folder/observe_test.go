package folder_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sealdrop/sealdrop/server/folder"
)

// TestObserve: every file that was opened is told of once it is closed.
func TestObserve(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var got []string
	g.Observe = func(tr folder.Transfer) {
		got = append(got, fmt.Sprint(tr.Protocol, " upload ", tr.Upload, " ", tr.Bytes, " ", tr.Well))
	}
	f := g.session(t, "one")
	put(t, f, "a", "hello")
	read := func(broken bool) {
		t.Helper()
		r, err := f.Open(t.Context(), parseName(t, "a"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // what is sent twice counts once
			if _, err := r.ReadAt(make([]byte, 3), 0); err != nil {
				t.Fatal(err)
			}
		}
		if broken {
			r.TransferError(errors.New("the client went away"))
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	read(false)
	read(true)
	u, err := f.Create(t.Context(), parseName(t, "b"), folder.Truncate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteAt([]byte("he"), 0); err != nil {
		t.Fatal(err)
	}
	u.TransferError(errors.New("the client went away"))
	if err := u.Close(); err == nil {
		t.Error("an upload that broke off was stored")
	}
	want := []string{"sftp upload true 5 true", "sftp upload false 3 true", "sftp upload false 3 false", "sftp upload true 2 false"}
	if !slices.Equal(got, want) {
		t.Errorf("told of %q, want %q", got, want)
	}
}
