package id_test

import (
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/id"
)

func TestNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 10000 {
		s := id.New()
		if len(s) != 26 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Fatalf("id %q", s)
		}
		if seen[s] {
			t.Fatalf("id %q came twice", s)
		}
		seen[s] = true
	}
}
