package torture

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// kills is how many deliveries are killed in a run; TORTURE_KILLS changes it.
const kills = 200

// marker stands in every plaintext, and must be found nowhere in the data
// folder.
const marker = "CONFIDENTIAL-4b1d-PLAINTEXT"

// TestKill9WhilePublishing kills `sealdrop deliver` again and again. What it had
// acknowledged by then must be there, whole; nothing may be there twice or
// without its blob; and no plaintext may be on the disk.
func TestKill9WhilePublishing(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	files := g.statements(300)
	acknowledged := map[string]string{} // report id to file
	var mu sync.Mutex
	var killed, whole int
	spread := 80 * time.Millisecond // within which a delivery is killed
	var lanes sync.WaitGroup
	for lane := range uint64(2) {
		dice := rand.New(rand.NewPCG(g.seed, lane))
		lanes.Go(func() {
			for {
				mu.Lock()
				done := killed >= number(t, "TORTURE_KILLS", kills)
				within := spread
				mu.Unlock()
				if done || t.Failed() {
					return
				}
				batch := pick(dice, files, 8)
				acks, wasKilled := g.deliverAndKill(batch, time.Duration(dice.Int64N(int64(within))))
				mu.Lock()
				if wasKilled {
					if killed++; killed%20 == 0 && len(acknowledged) == 0 {
						spread *= 2 // a slow machine acknowledges nothing by then
					}
				} else {
					whole++
				}
				for id, file := range acks {
					acknowledged[id] = file
				}
				mu.Unlock()
			}
		})
	}
	lanes.Wait()
	t.Logf("seed %d: %d deliveries killed, %d ended first, %d reports acknowledged", g.seed, killed, whole, len(acknowledged))
	if len(acknowledged) == 0 || killed == 0 {
		t.Fatal("the run proves nothing: no delivery was acknowledged, or none was killed")
	}

	listed := g.reports()
	for id, file := range acknowledged {
		if _, ok := listed[id]; !ok {
			t.Errorf("report %s (%s) was acknowledged and is lost", id, file)
		}
	}
	g.checkBlobs(listed)
	g.checkNoPlaintext()
	g.run("audit", "verify")

	// What was not acknowledged is delivered again, and so is what was.
	for client, names := range files {
		args := []string{"deliver", "--client", client}
		g.run(append(args, names...)...)
	}
	listed = g.reports()
	g.checkEachOnce(files, listed)
	g.checkBlobs(listed)
	g.checkContent(listed)

	// Orphans are disowned once they are older than the grace, which is a second
	// here, and deleted once they have been garbage for as long.
	for range 2 {
		time.Sleep(1100 * time.Millisecond)
		g.run("retention", "run")
	}
	blobs, left := g.blobs()
	used := map[string]bool{}
	for _, b := range blobs {
		used[b.path] = true
	}
	if left = slices.DeleteFunc(left, func(path string) bool { return used[path] }); len(left) > 0 {
		t.Errorf("%d files without a report are left after the sweep: %v", len(left), left)
	}
	g.checkBlobs(g.reports())
	g.checkNoPlaintext()
	g.checkAllGoes()
}

// checkAllGoes deletes all reports, of one client after the other: what is left is whole, and in the end
// there is nothing.
func (g *gateway) checkAllGoes() {
	g.t.Helper()
	for _, client := range []string{"acme", "borealis"} {
		g.run("client", "remove", client, "--with-reports")
		time.Sleep(1100 * time.Millisecond) // the grace
		g.run("retention", "run")
		g.checkBlobs(g.reports())
	}
	if _, files := g.blobs(); len(files) > 0 {
		g.t.Errorf("all reports are deleted, and there are still %v", files)
	}
}

// pick chooses n of one client's files.
func pick(dice *rand.Rand, files map[string][]string, n int) []string {
	client := []string{"acme", "borealis"}[dice.IntN(2)]
	batch := []string{client}
	for range n {
		batch = append(batch, files[client][dice.IntN(len(files[client]))])
	}
	return batch
}

// gateway is a data folder with two clients: acme has a PGP key, and what
// borealis gets is held.
type gateway struct {
	t    *testing.T
	dir  string
	seed uint64
	key  pgp.PrivateKey
	env  []string // added to every command's

	outside string   // a folder for what programs print; "" is dir
	program string   // instead of the one under test; "" is that one
	wrapper []string // the words before it
}

// printed opens a file for what a program prints.
func (g *gateway) printed(name string) *os.File {
	g.t.Helper()
	f, err := os.Create(filepath.Join(cmp.Or(g.outside, g.dir), name))
	if err != nil {
		g.t.Fatal(err)
	}
	return f
}

func newGateway(t *testing.T) *gateway { return newGatewayIn(t, t.TempDir()) }

func newGatewayIn(t *testing.T, dir string) *gateway {
	g := &gateway{t: t, dir: dir, seed: uint64(number(t, "TORTURE_SEED", int(time.Now().UnixNano()&0xffffffff)))}
	var err error
	if g.key, err = pgp.GeneratePrivateKey("acme", time.Now()); err != nil {
		t.Fatal(err)
	}
	g.run("init", "--dir", g.dir)
	cert := filepath.Join(g.dir, "acme.asc")
	if err := os.WriteFile(cert, []byte(g.key.Certificate().Armored()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, client := range []string{"acme", "borealis"} {
		g.run("client", "add", client, "--allow", "127.0.0.1")
	}
	g.run("key", "import", "--client", "acme", cert)
	return g
}

func (g *gateway) command(args ...string) *exec.Cmd {
	words := append(slices.Clone(g.wrapper), cmp.Or(g.program, binary), "--config", filepath.Join(g.dir, "config.yaml"))
	words = append(words, args...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "SEALDROP_RETENTION_GRACE=1s", "SEALDROP_RETENTION_MAX_SHARE=100%")
	cmd.Env = append(cmd.Env, g.env...)
	if len(args) > 0 && args[0] == "init" {
		cmd = exec.Command(binary, args...)
	}
	return cmd
}

func (g *gateway) run(args ...string) []byte {
	g.t.Helper()
	var stderr bytes.Buffer
	cmd := g.command(args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("sealdrop %s: %v\n%s", args[0], err, stderr.Bytes())
	}
	return out
}

// statements writes n files for each client, most of them small.
func (g *gateway) statements(n int) map[string][]string {
	dice := rand.New(rand.NewPCG(g.seed, 99))
	files := map[string][]string{}
	for _, client := range []string{"acme", "borealis"} {
		for i := range n {
			size := 2_000 + dice.IntN(30_000)
			if i%25 == 0 {
				size = 3_000_000
			}
			var b bytes.Buffer
			for b.Len() < size {
				fmt.Fprintf(&b, "%s,%s,%d,%x\n", marker, client, i, dice.Uint64())
			}
			name := filepath.Join(g.dir, fmt.Sprintf("%s-%03d.csv", client, i))
			if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
				g.t.Fatal(err)
			}
			files[client] = append(files[client], name)
		}
	}
	return files
}

// deliverAndKill delivers files and kills the process after a while. It returns
// what was acknowledged by then.
func (g *gateway) deliverAndKill(batch []string, after time.Duration) (acks map[string]string, killed bool) {
	cmd := g.command(append([]string{"deliver", "--client", batch[0]}, batch[1:]...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Error(err)
		return nil, false
	}
	if err := cmd.Start(); err != nil {
		g.t.Error(err)
		return nil, false
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	acks = map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		// A line that was cut short by the kill acknowledges nothing.
		if f := strings.Fields(lines.Text()); len(f) >= 6 && len(f[0]) == 26 {
			acks[f[0]] = f[4]
		}
	}
	err = cmd.Wait()
	killed = cmd.ProcessState.ExitCode() == -1
	if err != nil && !killed {
		g.t.Errorf("sealdrop deliver: %v", err)
	}
	return acks, killed
}

// report is what the checks need of `report list -o json`.
type report struct {
	ID, Client, Name, State, SHA256 string
	Size                            int64
	SealedTo                        []string `json:"sealed_to"`
}

func (g *gateway) reports() map[string]report {
	g.t.Helper()
	var list []report
	if err := json.Unmarshal(g.run("report", "list", "--limit", "0", "-o", "json"), &list); err != nil {
		g.t.Fatal(err)
	}
	byID := map[string]report{}
	for _, r := range list {
		byID[r.ID] = r
	}
	return byID
}

// stored is where the bytes of a blob are.
type stored struct {
	path     string
	at, size int64
}

// content reads them, without the gateway's help.
func (s stored) content() ([]byte, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, s.size)
	_, err = f.ReadAt(b, s.at)
	return b, err
}

// whole reports whether a report's blob is there, byte for byte.
func (s stored) whole(r report) bool {
	content, err := s.content()
	sum := sha256.Sum256(content)
	return err == nil && hex.EncodeToString(sum[:]) == r.SHA256
}

// blobs returns where the blob of every report is, by the report's id, and the files that there
// are.
func (g *gateway) blobs() (blobs map[string]stored, files []string) {
	g.t.Helper()
	root := filepath.Join(g.dir, "data", "blobs")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	db, err := database.InFolder(filepath.Join(g.dir, "data")).OpenAsIs(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	defer db.Close()
	blobs = map[string]stored{}
	for after := ""; ; {
		page, err := catalog.New(db, time.Now).Files(g.t.Context(), reports.ClientID{}, after, 1000)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, r := range page {
			id, ok := blobid.Parse(r.Blob)
			if !ok || id.Packed && id.Size != r.Size {
				g.t.Errorf("report %s with %d bytes has the blob %q", r.ID, r.Size, r.Blob)
			}
			blobs[r.ID] = stored{path: filepath.Join(root, id.File[:2], id.File), at: id.Offset, size: r.Size}
			after = r.ID
		}
		if len(page) < 1000 {
			return blobs, files
		}
	}
}

// checkBlobs checks that every report's content is there, byte for byte.
func (g *gateway) checkBlobs(listed map[string]report) {
	g.t.Helper()
	blobs, _ := g.blobs()
	for _, r := range listed {
		if !blobs[r.ID].whole(r) {
			g.t.Errorf("report %s (%s, %s) has no blob with its digest", r.ID, r.Name, r.State)
		}
	}
}

func (g *gateway) checkNoPlaintext() {
	g.t.Helper()
	err := filepath.WalkDir(filepath.Join(g.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(marker)) {
			g.t.Errorf("%s holds plaintext", path)
		}
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// checkEachOnce checks that every file is exactly one report.
func (g *gateway) checkEachOnce(files map[string][]string, listed map[string]report) {
	g.t.Helper()
	count := map[string]int{}
	for _, r := range listed {
		count[r.Client+"/"+r.Name]++
	}
	for client, names := range files {
		for _, name := range names {
			if n := count[client+"/"+filepath.Base(name)+".pgp"]; n != 1 {
				g.t.Errorf("%s is there %d times", name, n)
			}
		}
	}
	if want := len(files["acme"]) + len(files["borealis"]); len(listed) != want {
		g.t.Errorf("there are %d reports, want %d", len(listed), want)
	}
}

// checkContent opens some of acme's reports with gpg.
func (g *gateway) checkContent(listed map[string]report) {
	g.t.Helper()
	home, err := os.MkdirTemp("/tmp", "torture") // short: gpg-agent's socket lies in it
	if err != nil {
		g.t.Fatal(err)
	}
	defer os.RemoveAll(home)
	ctx, cancel := context.WithTimeout(g.t.Context(), 5*time.Minute)
	defer cancel()
	gpg := func(stdin []byte, args ...string) []byte {
		cmd := exec.CommandContext(ctx, "gpg", append([]string{"--homedir", home, "--batch", "--quiet"}, args...)...)
		cmd.Stdin = bytes.NewReader(stdin)
		out, err := cmd.Output()
		if err != nil {
			g.t.Fatalf("gpg %v: %v", args, err)
		}
		return out
	}
	defer func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() }()
	gpg([]byte(g.key.Armored()), "--import")
	blobs, _ := g.blobs()
	checked := 0
	for _, r := range listed {
		if r.Client != "acme" || checked == 30 {
			continue
		}
		checked++
		want, err := os.ReadFile(filepath.Join(g.dir, strings.TrimSuffix(r.Name, ".pgp")))
		if err != nil {
			g.t.Fatal(err)
		}
		sealed, err := blobs[r.ID].content()
		if err != nil {
			g.t.Fatal(err)
		}
		if got := gpg(sealed, "--decrypt"); !bytes.Equal(got, want) {
			g.t.Errorf("%s opens to something else", r.Name)
		}
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	s := os.Getenv(variable)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}
