package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/explorer"
)

// explorer is Windows Explorer on the client's computer, and what it said.
func (c *client) explorer(at server) (*explorer.Client, *bytes.Buffer) {
	var said bytes.Buffer
	e := &explorer.Client{Address: at.hostPort(), User: at.user, Password: at.password, Log: &said}
	c.g.t.Cleanup(func() {
		_ = e.Close()
		if c.g.t.Failed() {
			c.g.t.Logf("Explorer's transcript, the end of it:\n%s", said.Bytes()[max(0, said.Len()-4000):])
		}
	})
	return e, &said
}

// TestExplorer does in Windows Explorer what its users do.
func TestExplorer(t *testing.T) {
	t.Parallel()
	g := startFTP(t)
	for name, older := range map[string]bool{"Windows 11": false, "before Windows 10": true} {
		for _, host := range []string{"127.0.0.1", "::1"} {
			t.Run(name+" "+host, func(t *testing.T) {
				t.Parallel()
				c := g.in(t).ftpClient(fmt.Sprintf("explorer-%t-%d", older, len(host)), plain)
				at := c.at
				if host == "::1" {
					at = c.over6()
				}
				e, _ := c.explorer(at)
				e.Older = older
				c.explore(e)
			})
		}
	}
}

func (c *client) explore(e *explorer.Client) {
	t := c.g.t
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	shows := func(dir string, want ...string) []explorer.Entry {
		t.Helper()
		entries, err := e.List(ctx, dir)
		ok(err)
		var names []string
		for _, entry := range entries {
			names = append(names, entry.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("/%s shows %q, want %q", dir, names, want)
		}
		return entries
	}
	shows("") // an empty line in it would be an error

	c.g.sealdrop("deliver", "--client", c.id, "--name", unicodeName, c.write("report", noise(200_000)))
	report := unicodeName + ".pgp"
	entry := shows("", report)[0]
	known := c.files()[report]
	if entry.Folder || entry.Size != known.Size || time.Since(entry.Modified) > 5*time.Minute || time.Until(entry.Modified) > time.Minute {
		t.Errorf("it shows %+v for %+v", entry, known)
	}
	var got bytes.Buffer
	ok(e.Open(ctx, report, &got))
	if sha256Hex(got.Bytes()) != known.SHA256 {
		t.Errorf("%s opens with %d bytes, want %d", report, got.Len(), known.Size)
	}
	eventually(t, "the report counts as collected", func() bool { return c.files()[report].State == "collected" })

	contents := map[string][]byte{"plain.txt": noise(3 << 20), "with  two spaces.txt": noise(10), "Größe 報告書.txt": noise(100_000), "empty": {}}
	for name, content := range contents {
		ok(e.Upload(ctx, name, bytes.NewReader(content)))
		c.mustHave(name, content)
	}
	ok(e.Upload(ctx, "plain.txt", strings.NewReader("another")))
	c.mustHave("plain.txt", []byte("another"))
	ok(e.Delete(ctx, "empty"))

	const folder, renamed = "Neuer Ordner 新", "Ablage (2)"
	ok(e.NewFolder(ctx, folder))
	shows(folder)
	ok(e.Upload(ctx, folder+"/inside.txt", strings.NewReader("inside")))
	ok(e.NewFolder(ctx, folder+"/New folder"))
	ok(e.Rename(ctx, folder+"/inside.txt", "für später.txt"))
	ok(e.Rename(ctx, folder, renamed))
	if folders := shows(renamed, "New folder", "für später.txt"); !folders[0].Folder || folders[1].Folder {
		t.Errorf("it shows %+v", folders)
	}
	got.Reset()
	ok(e.Open(ctx, renamed+"/für später.txt", &got))
	if got.String() != "inside" {
		t.Errorf("it opens with %q", &got)
	}
	ok(e.Delete(ctx, renamed)) // and what is in it
	shows("", "Größe 報告書.txt", "plain.txt", "with  two spaces.txt", report)
}

// TestExplorerFolderOf5000Files: a window with many files in it.
func TestExplorerFolderOf5000Files(t *testing.T) {
	t.Parallel()
	total := 5000
	if testing.Short() {
		total = 500
	}
	c := startFTP(t).ftpClient("acme", plain)
	const uploaders = 32 // uploads at a time share the disk's syncs
	var group sync.WaitGroup
	for first := range uploaders {
		s := c.openFTP()
		group.Go(func() {
			for i := first; i < total; i += uploaders {
				if err := s.put(fmt.Sprintf("Aktivität %05d.csv", i), fmt.Append(nil, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	e, _ := c.explorer(c.at)
	began := time.Now()
	entries, err := e.List(t.Context(), "")
	if err != nil || len(entries) != total {
		t.Fatalf("it shows %d files: %v", len(entries), err)
	}
	t.Logf("%d files are listed in %s", total, time.Since(began))
	for i, entry := range entries {
		if want := fmt.Sprintf("Aktivität %05d.csv", i); entry.Name != want || entry.Size != int64(len(fmt.Sprint(i))) {
			t.Fatalf("file %d is %+v", i, entry)
		}
	}
}

// TestExplorersProbeLocksItsUserOut: each window begins with a login that must fail.
func TestExplorersProbeLocksItsUserOut(t *testing.T) {
	t.Parallel()
	c := startFTP(t).ftpClient("acme", plain)
	var group sync.WaitGroup
	for range 30 {
		e, said := c.explorer(c.at)
		group.Go(func() { // at a time, since each refusal takes a second
			_, err := e.List(t.Context(), "")
			if err != nil || !strings.Contains(said.String(), "> PASS IEUser@\n< 530 ") || strings.Contains(said.String(), c.at.password) {
				t.Errorf("%v; the transcript is:\n%s", err, said)
			}
		})
	}
	group.Wait()
	if out := string(c.g.sealdrop("ban", "list", "-o", "json")); strings.Contains(out, "127.0.0.1") {
		t.Errorf("the address is banned: %s", out)
	}
}

// TestExplorerSendsItsPasswordInTheClearForNothing: a client that is not marked for
// plain FTP is refused before it has sent its password.
func TestExplorerSendsItsPasswordInTheClearForNothing(t *testing.T) {
	t.Parallel()
	g := startFTP(t)
	c := g.ftpClient("acme", explicit)
	_, port, err := net.SplitHostPort(c.at.hostPort())
	if err != nil || port != g.listens("ftp", "127.0.0.1") {
		t.Fatalf("it would go to port %s: %v", port, err)
	}
	for _, user := range []string{"acme", "nobody"} {
		at := c.at
		at.user = user
		e, said := c.explorer(at)
		_, err := e.List(t.Context(), "")
		refused := new(explorer.ReplyError)
		if !errors.As(err, &refused) || refused.Command != "USER "+user || refused.Code != 530 {
			t.Errorf("%s: %v", user, err)
		}
		if strings.Contains(said.String(), "PASS ***") {
			t.Errorf("the password of %s was sent:\n%s", user, said)
		}
	}
	eventually(t, "the log tells why", func() bool { return strings.Contains(g.log.String(), "plain-not-allowed") })
}
