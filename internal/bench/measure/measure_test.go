package measure

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []time.Duration
		want   time.Duration
	}{
		{nil, 0},
		{[]time.Duration{3}, 3},
		{[]time.Duration{9, 1, 3}, 3},
		{[]time.Duration{9, 1, 3, 5}, 4},
	} {
		if got := Median(test.values); got != test.want {
			t.Errorf("the median of %v is %v, not %v", test.values, got, test.want)
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
			used, err := TreeTime(cmd.Process.Pid)
			_ = in.Close()
			_ = cmd.Wait()
			if err != nil {
				t.Fatal(err)
			}
			whole := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if difference := (whole - used).Abs(); used < 20*time.Millisecond || difference > 30*time.Millisecond {
				t.Errorf("TreeTime says %v, and the kernel in the end %v", used, whole)
			}
			if _, err := TreeTime(cmd.Process.Pid); err == nil {
				t.Error("a process that has ended has a processor time")
			}
		})
	}
}

func TestParseProcess(t *testing.T) {
	t.Parallel()
	stat := "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 4242 9 9\n"
	e, err := parseProcess(7, stat)
	want := Process{PID: 7, parent: 3, started: "4242", reaped: 150 * time.Millisecond}
	if err != nil || e != want {
		t.Errorf("got %+v, %v, not %+v", e, err, want)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 3 7", strings.Replace(stat, " 7 8 20", " x 8 20", 1)} {
		if _, err := parseProcess(7, bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	begin, end := Marks("make it")
	text := "# A\n" + begin + "old\n" + end + "by hand\n"
	got, err := Between(text, "make it", "new\n")
	if want := "# A\n" + begin + "new\n" + end + "by hand\n"; err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{"", begin, end + begin, "<!-- begin: written by make -->\n" + end} {
		if _, err := Between(bad, "make it", "new\n"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestLibrariesFromAnotherFolder: sshd changes to the root folder and starts itself again.
func TestLibrariesFromAnotherFolder(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/other"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Dir(root))
	want := "LD_LIBRARY_PATH=" + root + "/usr/lib/x86_64-linux-gnu:" + root + "/lib/x86_64-linux-gnu"
	if got := Libraries(filepath.Base(root)); got != want {
		t.Errorf("got %s, not %s", got, want)
	}
}
