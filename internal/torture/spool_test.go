package torture

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// spoolKills is how many times the gateway is killed while it takes files in from
// its spool folder; TORTURE_KILLS changes it.
const spoolKills = 25

// TestKill9WhileTakingIn kills `sealdrop serve` again and again while a batch job
// drops files. In the end every file must be exactly one report and none be left.
func TestKill9WhileTakingIn(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	files := g.statements(150)
	dice := rand.New(rand.NewPCG(g.seed, 7))
	spool := filepath.Join(g.dir, "spool")
	for client := range files {
		if err := os.MkdirAll(filepath.Join(spool, client), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	kills := number(t, "TORTURE_KILLS", spoolKills)
	var feeder sync.WaitGroup
	defer feeder.Wait()
	fed := make(chan struct{})
	feeder.Go(func() { // half are there at once, the others come while it is killed
		defer close(fed)
		for client, names := range files {
			for i, name := range names {
				drop(t, name, filepath.Join(spool, client))
				if i > len(names)/2 {
					time.Sleep(5 * time.Millisecond)
				}
			}
		}
	})
	for range kills {
		after := 50*time.Millisecond + time.Duration(dice.IntN(300))*time.Millisecond
		g.serveAndKill(spool, func() { time.Sleep(after) })
		if waiting(t, spool) == 0 {
			break // all the more kills would hit nothing
		}
	}
	<-fed
	before := waiting(t, spool)
	g.serveAndKill(spool, func() {
		for deadline := time.Now().Add(2 * time.Minute); waiting(t, spool) > 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("%d files are left in the spool folder", waiting(t, spool))
				return
			}
		}
	})
	t.Logf("seed %d: killed up to %d times; %d files were left for the last run", g.seed, kills, before)
	listed := g.reports()
	g.checkEachOnce(files, listed)
	g.checkBlobs(listed)
	g.checkContent(listed)
	g.checkNoPlaintext()
	g.run("audit", "verify")
}

// drop copies a file into a folder under another name, and renames it.
func drop(t *testing.T, file, folder string) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, ".dropping"), data, 0o644)
	}
	if err == nil {
		err = os.Rename(filepath.Join(folder, ".dropping"), filepath.Join(folder, filepath.Base(file)))
	}
	if err != nil {
		t.Error(err)
	}
}

// waiting counts the files in a spool folder.
func waiting(t *testing.T, spool string) (n int) {
	t.Helper()
	err := filepath.WalkDir(spool, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != ".dropping" && d.Name() != ".sealdrop" { // the latter is the gateways' own
			n++
		}
		return nil // what goes away meanwhile does not wait
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// serveAndKill runs the gateway until wait returns.
func (g *gateway) serveAndKill(spool string, wait func()) {
	g.t.Helper()
	var stderr bytes.Buffer
	cmd := g.command("serve")
	cmd.Env = append(cmd.Env, "SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_SPOOL_FOLDERS="+spool, "SEALDROP_SPOOL_SETTLE=1s", "SEALDROP_SPOOL_RESCAN=1s", "SEALDROP_SPOOL_MIN_FREE=1MiB")
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	wait()
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	for _, word := range []string{"level=ERROR", "level=WARN", "error:", "panic"} {
		if strings.Contains(stderr.String(), word) {
			g.t.Errorf("the gateway says:\n%s", stderr.String())
			return
		}
	}
}
