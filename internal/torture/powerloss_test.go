//go:build linux

package torture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killsPerLoss is how many of TORTURE_KILLS make one power loss: each takes longer.
const killsPerLoss = 50

// TestPowerLossWhilePublishing takes the file system away under deliveries, without
// what is not on the disk by then, as a power loss does. What was acknowledged must
// be there, whole.
func TestPowerLossWhilePublishing(t *testing.T) {
	t.Parallel()
	losses := max(1, number(t, "TORTURE_KILLS", 2*killsPerLoss)/killsPerLoss)
	n := losePower(t, "gateway", losses, "", nil)
	if n.lost+n.broken+n.unsound > 0 {
		t.Errorf("%d acknowledged reports are lost, %d have no whole blob, %d disks are not sound", n.lost, n.broken, n.unsound)
	}
	if n.acknowledged == 0 {
		t.Error("the run proves nothing: no delivery was acknowledged")
	}
}

// TestPowerLossFindsWhatIsNotSynced shows that the test above would notice: a gateway
// whose fsync does nothing, and one whose catalog is not synced at each commit, must
// lose reports. It is left out of the short run, which may be too short for that.
func TestPowerLossFindsWhatIsNotSynced(t *testing.T) {
	t.Parallel()
	kills := number(t, "TORTURE_KILLS", 0)
	if kills < 10*killsPerLoss {
		t.Skipf("the controls of the power loss need TORTURE_KILLS=%d or more", 10*killsPerLoss)
	}
	losses := max(10, kills/killsPerLoss/4)
	t.Run("no fsync", func(t *testing.T) {
		if _, err := exec.LookPath("strace"); err != nil {
			t.Skip("strace is not installed")
		}
		n := losePower(t, "no fsync", losses, "", []string{"strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"})
		if n.lost+n.broken+n.unsound == 0 {
			t.Error("nothing was lost without fsync: the test notices nothing")
		}
	})
	t.Run("synchronous NORMAL", func(t *testing.T) {
		n := losePower(t, "synchronous=NORMAL", losses, unsyncedBinary(t), nil)
		if n.lost == 0 {
			t.Error("nothing was lost with synchronous=NORMAL: the test notices nothing")
		}
	})
}

// powerTally counts what power losses did.
type powerTally struct {
	acknowledged, lost int
	// later are those that were acknowledged while the power was being cut.
	later, lostLater int
	// broken are the reports without their whole blob, unsound the disks with findings.
	broken, unsound int
}

// losePower publishes on a disk of its own and cuts its power, again and again. The
// program runs behind the words of wrapper.
func losePower(t *testing.T, what string, losses int, program string, wrapper []string) (n powerTally) {
	t.Helper()
	d := newDisk(t)
	seed := uint64(number(t, "TORTURE_SEED", 1))
	dice := rand.New(rand.NewPCG(seed, 50))
	for i := range losses {
		d.make()
		g := newGatewayIn(t, filepath.Join(d.mounted, "gw"))
		unix.Sync() // what was set up is not what is tested
		g.program, g.wrapper = program, wrapper
		before, later := g.deliverUntil(i, 1+dice.IntN(40), d.cutPower)
		d.restore()
		g.program, g.wrapper = "", nil
		n.acknowledged += len(before)
		n.later += len(later)
		n.count(g, before, later)
	}
	t.Logf("%s: seed %d: %d power losses, %d reports acknowledged: %d lost, %d without a whole blob, %d disks not sound (%d acknowledged during the loss, %d of them lost)",
		what, seed, losses, n.acknowledged, n.lost, n.broken, n.unsound, n.later, n.lostLater)
	return n
}

// count looks at what is left after a power loss.
func (n *powerTally) count(g *gateway, before, later []string) {
	var errs bytes.Buffer
	cmd := g.command("report", "list", "--limit", "0", "-o", "json")
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var list []report
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil {
		g.t.Logf("the catalog is not readable: %v: %s", err, errs.Bytes())
		n.unsound++
		n.lost += len(before)
		return
	}
	there := map[string]bool{}
	blobs, _ := g.blobs()
	for _, r := range list {
		there[r.ID] = true
		if !blobs[r.ID].whole(r) {
			n.broken++
		}
	}
	for _, id := range before {
		if !there[id] {
			n.lost++
		}
	}
	for _, id := range later {
		if !there[id] {
			n.lostLater++
		}
	}
	// A blob without a row is what a crash before the commit may leave.
	if out, err := g.command("fsck", "-o", "json").Output(); err != nil && bytes.Count(out, []byte(`"kind"`)) != bytes.Count(out, []byte(`"kind":"orphan"`))+bytes.Count(out, []byte(`"kind": "orphan"`)) {
		n.unsound++
		g.t.Logf("sealdrop fsck: %v: %.500s", err, out)
	}
	g.checkNoPlaintext()
}

// acknowledgements are the ids that a producer has read.
type acknowledgements struct {
	mu  sync.Mutex
	ids []string
	// At the last of so many, the power is cut, before anything else is read.
	last int
	cut  func()
}

func (a *acknowledgements) add(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ids = append(a.ids, id)
	if len(a.ids) == a.last {
		a.cut()
	}
}

// over tells that the power is cut.
func (a *acknowledgements) over() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.ids) >= a.last
}

// deliverUntil has two programs deliver, and cuts the power right after so many
// acknowledgements. It returns their ids, and those that came later: the machine
// would have been off by then, but the program runs on, and during its shutdown ext4
// answers some an fsync as if all were well, to any program.
func (g *gateway) deliverUntil(round, last int, cut func()) (before, later []string) {
	acks := acknowledgements{last: last, cut: cut}
	var lanes sync.WaitGroup
	source := g.t.TempDir()
	for _, client := range []string{"acme", "borealis"} {
		var files []string
		for j := range 60 {
			file := filepath.Join(source, fmt.Sprintf("%s-%d-%d.csv", client, round, j))
			text := strings.Repeat(fmt.Sprintf("%s,%d,%d\n", marker, round, j), 100+j*j)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				g.t.Fatal(err)
			}
			files = append(files, file)
		}
		lanes.Go(func() {
			args := append([]string{"deliver", "--again", "--client", client}, files...)
			for g.deliverUntilFailure(&acks, args) {
			}
		})
	}
	lanes.Wait()
	last = min(last, len(acks.ids)) // fewer, if a delivery failed
	return acks.ids[:last], acks.ids[last:]
}

// deliverUntilFailure adds what a command acknowledges. It fails if its disk does,
// and that it may not do before the power is cut.
func (g *gateway) deliverUntilFailure(acks *acknowledgements, args []string) bool {
	var stderr bytes.Buffer
	cmd := g.command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		g.t.Errorf("delivering: %v", err) // the program is not on the disk that fails
		return false
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) >= 5 && len(f[0]) == 26 {
			acks.add(f[0])
		}
	}
	err = cmd.Wait()
	if acks.over() {
		return false
	}
	if err != nil {
		g.t.Errorf("sealdrop deliver fails before the power is cut: %v\n%s", err, stderr.Bytes())
	}
	return err == nil
}

// disk is an ext4 file system in a file.
type disk struct {
	t              *testing.T
	image, mounted string
	images         int
	folder         *os.File // of the mounted disk, open until its power is cut
}

// newDisk skips the test where there can be none.
func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a power loss is made on an ext4 image of its own, which only root can mount")
	}
	dir := t.TempDir()
	d := &disk{t: t, mounted: filepath.Join(dir, "disk")}
	if err := os.Mkdir(d.mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.unmount() })
	return d
}

// make begins with an empty disk.
func (d *disk) make() {
	d.t.Helper()
	d.unmount()
	d.next()
	for _, args := range [][]string{
		{"truncate", "-s", "128M", d.image},
		{"mkfs.ext4", "-q", "-F", d.image},
		{"mount", "-o", "loop", d.image, d.mounted},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			d.t.Skipf("a power loss is made on an ext4 image of its own, and there can be none here: %s: %v %s", args[0], err, bytes.TrimSpace(out))
		}
	}
	var err error
	if d.folder, err = os.Open(d.mounted); err != nil {
		d.t.Fatal(err)
	}
}

// next takes another name for the image. As long as something holds the file system,
// such as a program with mounts of its own, the kernel would mount the dead one again.
func (d *disk) next() {
	_ = os.Remove(d.image) // at first there is none; what is left goes with the folder
	d.images++
	d.image = filepath.Join(filepath.Dir(d.mounted), fmt.Sprintf("image%d", d.images))
}

// cutPower takes the file system down without writing anything more, not even its
// journal.
func (d *disk) cutPower() {
	const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	err := unix.IoctlSetPointerInt(int(d.folder.Fd()), shutdown, noLogFlush)
	_ = d.folder.Close() // it was only read
	if err != nil {
		d.t.Errorf("cutting the power: %v", err)
	}
}

// restore mounts what was on the disk, after what a system does at its start.
func (d *disk) restore() {
	d.t.Helper()
	d.unmount()
	dead := d.image
	d.image += ".copy"
	if out, err := exec.Command("cp", "--sparse=always", dead, d.image).CombinedOutput(); err != nil {
		d.t.Fatalf("cp: %v\n%s", err, out)
	}
	_ = os.Remove(dead) // what is left goes with the folder
	out, err := exec.Command("e2fsck", "-p", d.image).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) {
		d.t.Fatalf("e2fsck: %v\n%s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mounted).CombinedOutput(); err != nil {
		d.t.Fatalf("mount: %v\n%s", err, out)
	}
}

// unmount is a no-op if the disk is not mounted.
func (d *disk) unmount() {
	for range 100 {
		err := unix.Unmount(d.mounted, 0)
		if !errors.Is(err, unix.EBUSY) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = unix.Unmount(d.mounted, unix.MNT_DETACH) // so that the folder can be removed, at least
}

// unsyncedBinary builds the program with a catalog that is not synced at each commit.
func unsyncedBinary(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs("../database/sqlite.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.ReplaceAll(text, []byte("synchronous(FULL)"), []byte("synchronous(NORMAL)"))
	if bytes.Equal(changed, text) {
		t.Fatalf("%s says nothing of synchronous(FULL)", source)
	}
	dir := t.TempDir()
	replacement := filepath.Join(dir, "sqlite.go")
	if err := os.WriteFile(replacement, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: replacement}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "sealdrop")
	out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "github.com/sealdrop/sealdrop/cmd/sealdrop").CombinedOutput()
	if err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	return program
}
