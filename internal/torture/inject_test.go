//go:build linux && amd64

package torture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// boundaryKills is how many kills all paths together get. It is a sample of each
// path's boundaries; TORTURE_KILLS changes it, and from about 2000 on every boundary
// of every path gets its turn, again and again.
const boundaryKills = 18

// killedPath is something that the gateway does to reports, and what is true of it
// whenever it is killed.
type killedPath struct {
	name string
	// prepare makes the state before it, once.
	prepare func(g *gateway)
	// attempt does it with the tracer, and returns what it had printed, or "" if it was
	// not acknowledged.
	attempt func(g *gateway, tr *tracer) (acknowledged string, end ending)
	// names is how often each report must be there in the end: once, or not any more.
	names map[string]int
	// fresh tells that the reports are not there before it.
	fresh bool
	// removes tells that removed reports are what it is about. Elsewhere they are
	// what was replaced, and don't count.
	removes bool
	// holds checks what was acknowledged.
	holds func(g *gateway, acknowledged string, listed map[string]report)
	// env is set for every command of the trials.
	env []string
}

// TestKill9AtEverySystemCall kills each path right before a system call that changes
// something: at a sample of them, or at all in the long run. Then nothing that was
// acknowledged may be lost, nothing may be there twice or without its blob, no
// plaintext may be on the disk, and the same again must succeed.
func TestKill9AtEverySystemCall(t *testing.T) {
	t.Parallel()
	paths := killedPaths()
	each := number(t, "TORTURE_KILLS", boundaryKills) / len(paths)
	tallies := make([]tally, len(paths))
	t.Run("paths", func(t *testing.T) {
		for i, p := range paths {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				tallies[i] = p.torture(t, uint64(i), each)
			})
		}
	})
	var sum tally
	for _, n := range tallies {
		sum.trials, sum.boundaries, sum.acknowledged = sum.trials+n.trials, sum.boundaries+n.boundaries, sum.acknowledged+n.acknowledged
	}
	t.Logf("in all: %d kills at %d system call boundaries of %d paths, %d acknowledged before the kill", sum.trials, sum.boundaries, len(paths), sum.acknowledged)
}

// tally counts what a path went through.
type tally struct{ trials, boundaries, acknowledged int }

func (p killedPath) torture(t *testing.T, lane uint64, want int) (n tally) {
	base := newGateway(t)
	base.seed = uint64(number(t, "TORTURE_SEED", 1)) // the same sample each time
	dice := rand.New(rand.NewPCG(base.seed, lane))
	p.prepare(base)
	base.env = p.env
	whole := &tracer{}
	p.trial(t, base, whole)
	n.boundaries = int(whole.calls.Load())
	if n.boundaries < 10 {
		t.Fatalf("it makes %d system calls that change something, which can't be", n.boundaries)
	}
	// A run takes a call more or less than another, so that the last ones may not be
	// reached; the first run that ends by itself ends a round.
	step := max(1, float64(n.boundaries)/float64(max(want, 1)))
	for n.trials < want && !t.Failed() {
		for at := step * dice.Float64(); n.trials < want; at += step {
			end, acknowledged := p.trial(t, base, &tracer{n: int64(at) + 1})
			if !end.injected {
				break
			}
			n.trials++
			if acknowledged {
				n.acknowledged++
			}
		}
	}
	t.Logf("seed %d: %d kills over %d boundaries, %d acknowledged before the kill", base.seed, n.trials, n.boundaries, n.acknowledged)
	return n
}

// trial takes the path once on a copy of base.
func (p killedPath) trial(t *testing.T, base *gateway, tr *tracer) (end ending, acknowledged bool) {
	t.Helper()
	g := base.copied(t)
	defer os.RemoveAll(g.dir)
	said, end := p.attempt(g, tr)
	if !end.injected && said == "" && !t.Failed() {
		t.Errorf("it failed without a kill: %v", end.status)
	}
	p.check(g, said, false)
	said2, _ := p.attempt(g, &tracer{})
	if said2 == "" && !t.Failed() {
		t.Error("the same again, after the kill, is not acknowledged")
	}
	p.check(g, said2, true)
	g.run("audit", "verify")
	if t.Failed() {
		t.Logf("seed %d, killed before call %d", g.seed, tr.n)
	}
	return end, said != ""
}

// check checks what holds at any time, and in the end.
func (p killedPath) check(g *gateway, acknowledged string, done bool) {
	g.t.Helper()
	g.checkSound()
	listed := g.reports()
	if acknowledged != "" {
		p.holds(g, acknowledged, listed)
	}
	count := map[string]int{}
	for _, r := range listed {
		if r.State != "removed" || p.removes {
			count[r.Client+"/"+r.Name]++
		}
	}
	for name, n := range count {
		if _, ok := p.names[name]; !ok || n > 1 {
			g.t.Errorf("%s is there %d times, want %d", name, n, p.names[name])
		}
	}
	for name, want := range p.names {
		switch n := count[name]; {
		case done && n != want:
			g.t.Errorf("in the end %s is there %d times, want %d", name, n, want)
		case n < want && !p.fresh:
			g.t.Errorf("%s was there before, and is lost", name)
		}
	}
}

// checkSound looks at every blob of every report with the gateway's own fsck, and
// for plaintext without it.
func (g *gateway) checkSound() {
	g.t.Helper()
	cmd := g.command("fsck", "-o", "json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil {
		g.t.Errorf("sealdrop fsck: %v\n%s%s", err, out, stderr.Bytes())
	}
	g.checkNoPlaintext()
}

// copied is the same gateway in another folder.
func (g *gateway) copied(t *testing.T) *gateway {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(g.dir), "trial")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", g.dir+"/.", dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return &gateway{t: t, dir: dir, seed: g.seed, key: g.key, env: g.env}
}

// file writes a file of a client's, and returns its path.
func (g *gateway) file(name string, size int) string {
	g.t.Helper()
	line := fmt.Sprintf("%s,%s,%x\n", marker, name, g.seed)
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, []byte(strings.Repeat(line, size/len(line)+1)), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// traced runs a command under the tracer. What it had printed in whole lines is its
// acknowledgement, and "" if that is nothing.
func (g *gateway) traced(tr *tracer, args ...string) (string, ending) {
	g.t.Helper()
	stdout, stderr := g.printed("stdout"), g.printed("stderr")
	defer stdout.Close()
	defer stderr.Close()
	cmd := g.command(args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = g.dir, stdout, stderr
	end, err := tr.run(cmd)
	if err != nil {
		g.t.Fatal(err)
	}
	out, err := os.ReadFile(stdout.Name())
	if err != nil {
		g.t.Fatal(err)
	}
	if !end.injected && end.status.ExitStatus() != 0 {
		said, _ := os.ReadFile(stderr.Name()) // it only adds to the message
		g.t.Errorf("sealdrop %s: exit status %d\n%s", args[0], end.status.ExitStatus(), said)
		return "", end
	}
	return string(out[:bytes.LastIndexByte(out, '\n')+1]), end
}

// oneShot is an attempt by one command.
func oneShot(args ...string) func(*gateway, *tracer) (string, ending) {
	return func(g *gateway, tr *tracer) (string, ending) { return g.traced(tr, args...) }
}

// acknowledgedIDs are the first words of a table's lines that are ids.
func acknowledgedIDs(table string) (ids []string) {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 1 && len(f[0]) == 26 {
			ids = append(ids, f[0])
		}
	}
	return ids
}

// holdsAll checks that all that a table names is there, in one of the states.
func holdsAll(states ...string) func(*gateway, string, map[string]report) {
	return func(g *gateway, said string, listed map[string]report) {
		g.t.Helper()
		for _, id := range acknowledgedIDs(said) {
			r, ok := listed[id]
			if !ok {
				g.t.Errorf("report %s was acknowledged and is lost", id)
			} else if !strings.Contains(strings.Join(states, " "), r.State) {
				g.t.Errorf("report %s was acknowledged and is %s, want %s", id, r.State, states)
			}
		}
	}
}

func (g *gateway) privateKeyFile(key pgp.PrivateKey) string {
	g.t.Helper()
	path := filepath.Join(g.dir, "private.asc")
	if err := os.WriteFile(path, []byte(key.Armored()), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// certificateFile makes another key, and returns its certificate's file.
func (g *gateway) certificateFile(name string) string {
	g.t.Helper()
	key, err := pgp.GeneratePrivateKey(name, time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	path := filepath.Join(g.dir, name+"-new.asc")
	if err := os.WriteFile(path, []byte(key.Certificate().Armored()), 0o600); err != nil {
		g.t.Fatal(err)
	}
	return path
}

// decoded reads a command's JSON.
func decoded[T any](g *gateway, text string) (v T) {
	g.t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		g.t.Errorf("%v: %s", err, text)
	}
	return v
}
