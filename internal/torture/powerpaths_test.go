//go:build linux && amd64

package torture

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// lossesShort is how many power losses an ordinary run has, over all paths. In the
// long run each path has one for so many of TORTURE_KILLS.
const (
	lossesShort      = 2
	killsPerPathLoss = 200
)

// TestPowerLossOnEveryPath cuts the power on each path that changes reports: half the
// time right after its acknowledgement, and else right before one of its system calls.
// What was there or was acknowledged must be there when the disk is mounted again, and
// the same again must succeed.
func TestPowerLossOnEveryPath(t *testing.T) {
	t.Parallel()
	paths := killedPaths()
	seed := uint64(number(t, "TORTURE_SEED", 1))
	dice := rand.New(rand.NewPCG(seed, 60))
	each := number(t, "TORTURE_KILLS", 0) / killsPerPathLoss
	if each == 0 {
		dice.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		paths, each = paths[:lossesShort], 1
	}
	d := newDisk(t)
	losses, acknowledged := 0, 0
	for _, p := range paths {
		for range each {
			losses++
			if p.losePower(t, d, dice) {
				acknowledged++
			}
			if t.Failed() {
				t.Fatalf("%s, seed %d, power loss %d", p.name, seed, losses)
			}
		}
	}
	t.Logf("seed %d: %d power losses on %d paths, %d of them after the acknowledgement", seed, losses, len(paths), acknowledged)
}

// losePower takes the path once on a disk of its own, whose power is cut.
func (p killedPath) losePower(t *testing.T, d *disk, dice *rand.Rand) (acknowledged bool) {
	t.Helper()
	d.make()
	g := newGatewayIn(t, filepath.Join(d.mounted, "gw"))
	g.outside = t.TempDir()
	p.prepare(g)
	g.env = p.env
	unix.Sync() // what was set up is not what is tested
	tr := &tracer{}
	if dice.IntN(2) == 0 {
		tr.n, tr.first = 1+dice.Int64N(150), d.cutPower
	}
	said, end := p.attempt(g, tr)
	if !end.injected {
		d.cutPower()
	}
	d.restore()
	p.check(g, said, false)
	if again, _ := p.attempt(g, &tracer{}); again == "" && !t.Failed() {
		t.Error("the same again, after the power loss, is not acknowledged")
	} else {
		p.check(g, again, true)
	}
	if out, err := g.command("audit", "verify").CombinedOutput(); err != nil {
		t.Errorf("sealdrop audit verify: %v\n%s", err, out)
	}
	return said != ""
}
