package main

import (
	"io"
	"os"
	"strings"
	"testing"
)

// TestPeers runs the whole benchmark with a small file.
func TestPeers(t *testing.T) {
	t.Parallel()
	peers := "../../../.build/peers"
	if _, err := os.Stat(peers); err != nil {
		t.Skip("the peers are not unpacked: deploy/setup --peers")
	}
	if os.Geteuid() != 0 {
		t.Skip("the peers are started by root only")
	}
	// A program that serves no FTP stands for Sealdrop.
	r, err := runAll(t.Context(), settings{size: 3<<20 + 1, rounds: 2, dir: "/dev/shm", peers: peers, sealdrop: "/bin/true"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.servers) != 3 || !strings.Contains(r.skipped, "serves no FTP") {
		t.Errorf("%d servers were measured; Sealdrop was left out because %q", len(r.servers), r.skipped)
	}
	for _, s := range r.servers {
		if s.version() == "" || !strings.HasPrefix(r.negotiated[s.name()], "TLS 1.3, ") {
			t.Errorf("%s: version %q, %s", s.name(), s.version(), r.negotiated[s.name()])
		}
		for _, c := range cells {
			if n := len(r.samples[key{s.name(), c}]); n != 2 {
				t.Errorf("%s, %s: %d samples", s.name(), c, n)
			}
			if m := r.median(s.name(), c); m.wall <= 0 || m.server <= 0 || m.client <= 0 {
				t.Errorf("%s, %s: %+v", s.name(), c, m)
			}
		}
	}
}
