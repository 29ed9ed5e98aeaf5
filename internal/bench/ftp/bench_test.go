package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
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
	r, err := measure(t.Context(), settings{size: 3<<20 + 1, rounds: 2, dir: "/dev/shm", peers: peers, sealdrop: "/bin/true"}, io.Discard)
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

// TestTreeTime has a shell's child work: one that runs on, and one that has ended.
func TestTreeTime(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"running": `(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read x); :`,
		"ended":   `(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done); echo done; read x`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(out, make([]byte, len("done\n"))); err != nil {
				t.Fatal(err)
			}
			used, err := treeTime(cmd.Process.Pid)
			_ = in.Close()
			_ = cmd.Wait()
			if err != nil {
				t.Fatal(err)
			}
			whole := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if difference := (whole - used).Abs(); used < 20*time.Millisecond || difference > 30*time.Millisecond {
				t.Errorf("treeTime says %v, and the kernel in the end %v", used, whole)
			}
			if _, err := treeTime(cmd.Process.Pid); err == nil {
				t.Error("a process that has ended has a processor time")
			}
		})
	}
}

func TestParseEntry(t *testing.T) {
	t.Parallel()
	stat := "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 4242 9 9\n"
	e, err := parseEntry(7, stat)
	want := entry{pid: 7, parent: 3, started: "4242", reaped: 150 * time.Millisecond}
	if err != nil || e != want {
		t.Errorf("got %+v, %v, not %+v", e, err, want)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 3 7", strings.Replace(stat, " 7 8 20", " x 8 20", 1)} {
		if _, err := parseEntry(7, bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
