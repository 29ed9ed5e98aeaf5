package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestHostilePeers has honest clients at work, in peace and under each attack, and
// tells what the attack cost them and the gateway. TORTURE_HOSTILE=1 attacks at full
// size; TORTURE_ATTACKS has parts of the names of the attacks to try.
//
// The attackers are a process of the lowest priority, since they share the
// machine's processors with the gateway, as they would not elsewhere. How long
// anything took is reported and not judged.
func TestHostilePeers(t *testing.T) {
	full := number(t, "TORTURE_HOSTILE", 0) != 0
	wide := 100_000
	if !full {
		wide = 1000
		t.Parallel() // with other tests; what is measured then says little
	}
	b := newBesieged(t, wide)
	seed := uint64(number(t, "TORTURE_SEED", fixedSeed))
	t.Logf("TORTURE_SEED=%d", seed)
	var table strings.Builder
	table.WriteString("| attack | size | MiB at most (bound) | descriptors | honest rounds | median, ms: peace, attack | × | p99, ms: peace, attack | × |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	for _, a := range attackList() {
		if !slices.ContainsFunc(strings.Split(os.Getenv("TORTURE_ATTACKS"), ","), func(part string) bool { return strings.Contains(a.name, part) }) {
			continue
		}
		s := order{Attack: a.name, Target: b.target, Connections: a.few, Volume: a.little, Seed: seed}
		if full {
			s.Connections, s.Volume = a.connections, a.volume
		}
		t.Run(a.name, func(t *testing.T) {
			line := b.in(t).withstand(a, s, full)
			table.WriteString(line + "\n")
			t.Log(line)
		})
	}
	t.Logf("\n%s", table.String())
}

// in is the same data folder for a test of its own.
func (b *besieged) in(t *testing.T) *besieged {
	other := *b
	other.t = t
	return &other
}

// withstand runs one attack against a gateway that was just started, and returns
// the line of the table.
func (b *besieged) withstand(a attack, s order, full bool) string {
	b.serve()
	defer func() {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	}()
	for _, h := range b.honest {
		if err := h.prepare(b.t.Context()); err != nil {
			b.t.Fatalf("preparing: %v", err)
		}
	}
	rounds, least := 4, time.Duration(0)
	if full {
		rounds, least = 60, 5*time.Second
	}
	s.Target = b.target
	idle := b.descriptors()
	f := newFleet(b.t.Context(), b.honest)
	f.during("peace", rounds, least, nil)
	b.forgetPeak()
	attacker := b.begin(s)
	f.during("attack", rounds, least, attacker.full)
	busy, peak := b.descriptors(), b.peak()
	done := attacker.stop()
	f.during("peace", rounds, least, nil)
	f.stop()

	for _, err := range f.failures {
		if full {
			b.t.Errorf("an honest client was let down: %v", err)
		} else { // who shares two cores with all other tests may be too slow to log in
			b.t.Logf("an honest client was let down: %v", err)
		}
	}
	// The database's connections come and go.
	b.eventually("the gateway has let go of the attackers' descriptors", func() bool { return b.descriptors() <= idle+8 })
	for _, h := range b.honest {
		if err := h.round(b.t.Context()); err != nil {
			b.t.Errorf("after the attack: %v", err)
		}
	}
	bound := base + a.most*a.each>>10
	if peak > bound {
		b.t.Errorf("the gateway took %d MiB, more than %d MiB: %d for itself, and %d KiB for each of %d connections", peak, bound, base, a.each, a.most)
	}
	if left := b.goroutines(); left > maxGoroutines {
		b.t.Errorf("%d goroutines were left after the attack", left)
	}
	peace, war := f.latencies("peace"), f.latencies("attack")
	return fmt.Sprintf("| %s | %d connections, %d done, %d refused | %d (%d) | %d → %d | %d, failed %d | %.0f, %.0f | %.1f | %.0f, %.0f | %.1f |",
		a.name, s.Connections, done.Done, done.Refused, peak, bound, idle, busy, len(war), len(f.failures),
		peace.at(0.5), war.at(0.5), war.at(0.5)/peace.at(0.5), peace.at(0.99), war.at(0.99), war.at(0.99)/peace.at(0.99))
}

// maxGoroutines is more than an idle gateway has: its passive ports are most of it.
const maxGoroutines = 160

// fleet is the honest clients at work, all at once.
type fleet struct {
	phase  atomic.Pointer[string]
	cancel context.CancelFunc
	lanes  sync.WaitGroup

	mu       sync.Mutex
	taken    map[string]samples
	failures []error
}

// samples are latencies in milliseconds.
type samples []float64

// at is a quantile.
func (s samples) at(q float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func newFleet(ctx context.Context, clients []*honest) *fleet {
	ctx, cancel := context.WithCancel(ctx)
	f := &fleet{cancel: cancel, taken: map[string]samples{}}
	f.phase.Store(new("begin"))
	for _, h := range clients {
		f.lanes.Go(func() {
			for ctx.Err() == nil {
				phase, started := *f.phase.Load(), time.Now()
				err := h.round(context.WithoutCancel(ctx))
				took := time.Since(started)
				f.mu.Lock()
				f.taken[phase] = append(f.taken[phase], took.Seconds()*1000)
				if err != nil {
					f.failures = append(f.failures, fmt.Errorf("in %s, after %s: %w", phase, took, err))
				}
				f.mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	return f
}

// during waits until so many rounds were begun and ended in a phase, for so long,
// and until what is to happen in it has.
func (f *fleet) during(phase string, rounds int, least time.Duration, event <-chan struct{}) {
	before := len(f.latencies(phase))
	f.phase.Store(&phase)
	time.Sleep(least)
	if event != nil {
		select {
		case <-event:
		case <-time.After(5 * time.Minute):
		}
	}
	for len(f.latencies(phase)) < before+rounds {
		time.Sleep(time.Millisecond)
	}
}

func (f *fleet) latencies(phase string) samples {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.taken[phase])
}

func (f *fleet) stop() {
	f.cancel()
	f.lanes.Wait()
}

// attacker is the attacking process.
type attacker struct {
	b     *besieged
	cmd   *exec.Cmd
	stdin io.Closer
	full  chan struct{} // closed when the attack's volume is reached
	ended chan struct{}
	done  outcome
}

// begin starts an attack, and returns when it is under way.
func (b *besieged) begin(s order) *attacker {
	b.t.Helper()
	orders, err := json.Marshal(s)
	if err != nil {
		b.t.Fatal(err)
	}
	a := &attacker{b: b, full: make(chan struct{}), ended: make(chan struct{})}
	a.cmd = exec.Command("nice", "-n", "19", os.Args[0])
	a.cmd.Env = append(os.Environ(), attackVariable+"="+string(orders), "GOMEMLIMIT=2GiB")
	a.cmd.Stderr = os.Stderr
	a.stdin, err = a.cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = a.cmd.Process.Kill() })
	ready := make(chan struct{})
	go a.listen(out, ready)
	select {
	case <-ready:
	case <-time.After(time.Minute):
		b.t.Error("the attack did not begin")
	case <-a.ended:
		b.t.Error("the attackers ended at once")
	}
	return a
}

// listen follows what the attacking process says.
func (a *attacker) listen(out io.Reader, ready chan struct{}) {
	defer close(a.ended)
	full := sync.OnceFunc(func() { close(a.full) })
	defer full()
	begun := sync.OnceFunc(func() { close(ready) })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch line := lines.Text(); {
		case line == "ready":
			begun()
		case line == "full":
			full()
		default:
			if report, ok := strings.CutPrefix(line, "outcome "); ok {
				_ = json.Unmarshal([]byte(report), &a.done)
			}
		}
	}
}

// stop ends the attack, and returns what it has done.
func (a *attacker) stop() outcome {
	_ = a.stdin.Close()
	<-a.ended
	_ = a.cmd.Wait()
	return a.done
}
