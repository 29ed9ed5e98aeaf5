package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestOptionalSideThatFails is measured no more, and leaves a note; the run goes on.
func TestOptionalSideThatFails(t *testing.T) {
	t.Parallel()
	b := &bench{progress: io.Discard}
	works := func(context.Context, int) (sample, error) { return sample{wall: 1}, nil }
	sides := []side{{own, works}, {sftpgoName, func(_ context.Context, round int) (sample, error) {
		if round > 0 {
			return nil, errors.New("it ended at once; it said:\nunknown flag\nusage")
		}
		return sample{wall: 2}, nil
	}}}
	m := measured{sides: []string{own, sftpgoName}, samples: make(map[string][]sample)}
	for round := range 3 {
		if err := b.round(t.Context(), &m, sides, round); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.samples[own]) != 3 || len(m.samples[sftpgoName]) != 0 || !slices.Equal(m.sides, []string{own}) {
		t.Errorf("sides %v, samples %v", m.sides, m.samples)
	}
	if want := []string{"SFTPGo is left out: it ended at once"}; !slices.Equal(b.leftOut, want) {
		t.Errorf("the notes are %q", b.leftOut)
	}

	sides[0].run = func(context.Context, int) (sample, error) { return nil, errors.New("broken") }
	if err := b.round(t.Context(), &m, sides, 3); err == nil || !strings.Contains(err.Error(), "sealdrop: broken") {
		t.Errorf("a side that can't be left out fails with %v", err)
	}
}

func TestTableWithoutOptionalPeers(t *testing.T) {
	t.Parallel()
	here, gone := "SFTPGo is not here", "sq is not here"
	r := result{settings: settings{rounds: 1, scale: 1}}
	if text := r.markdown(); !strings.Contains(text, here) || !strings.Contains(text, gone) {
		t.Error(text)
	}
	r.sftpgo, r.sq = "sftpgo", "/usr/bin/sq"
	if text := r.markdown(); strings.Contains(text, here) || strings.Contains(text, gone) {
		t.Error(text)
	}
}

func TestSFTPGoUsers(t *testing.T) {
	t.Parallel()
	key := &clientKey{public: filepath.Join(t.TempDir(), "key.pub")}
	if err := os.WriteFile(key.public, []byte("ssh-rsa AAAA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := sftpgoUsers("bench", "/srv/bench", key)
	if err != nil || !json.Valid(got) {
		t.Fatal(string(got), err)
	}
	want := `{"users":[{"username":"bench","status":1,"home_dir":"/srv/bench","public_keys":["ssh-rsa AAAA"],"permissions":{"/":["*"]}}],"version":17}`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}
