package explorer_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/explorer"
)

// fake is a server with answers to hand.
type fake struct {
	t        *testing.T
	network  net.Listener
	data     net.Listener
	answers  map[string]string // by command; what is not in it is answered as usual
	outgoing map[string]string // what a transfer sends

	mu    sync.Mutex
	heard []string // a line for each connection, and one for each command
}

func serve(t *testing.T, host string, answers, outgoing map[string]string) *fake {
	t.Helper()
	f := &fake{t: t, network: listen(t, host), data: listen(t, host), answers: answers, outgoing: outgoing}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := f.network.Accept()
			if err != nil {
				return
			}
			group.Go(func() { f.talk(conn) })
		}
	})
	t.Cleanup(func() {
		_ = f.network.Close()
		_ = f.data.Close()
		group.Wait()
	})
	return f
}

func listen(t *testing.T, host string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("%s: %v", host, err)
	}
	return l
}

func (f *fake) note(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, line)
}

func (f *fake) talk(conn net.Conn) {
	defer conn.Close()
	f.note("")
	fmt.Fprint(conn, "220-hello\r\n220-there\r\n220 fake\r\n")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		line := lines.Text()
		f.note(line)
		answer, ok := f.answers[line]
		if !ok {
			answer = f.usual(line)
		}
		fmt.Fprintf(conn, "%s\r\n", answer)
		if strings.HasPrefix(answer, "150") {
			f.transfer(line)
			fmt.Fprint(conn, "226 done\r\n")
		}
	}
}

func (f *fake) usual(line string) string {
	verb, _, _ := strings.Cut(line, " ")
	port := f.data.Addr().(*net.TCPAddr).Port
	return map[string]string{
		"USER": "331 password", "PASS": "230 in", "opts": "200 on", "PWD": `257 "/"`, "CWD": "250 ok", "TYPE": "200 ok",
		"PASV": fmt.Sprintf("227 Entering Passive Mode (127,0,0,1,%d,%d)", port>>8, port&0xff),
		"EPSV": fmt.Sprintf("229 ok (|||%d|)", port),
		"LIST": "150 here", "RETR": "150 here", "STOR": "150 go", "SIZE": "213 5", "MKD": `257 "x"`, "RNFR": "350 to?", "RNTO": "250 ok",
		"DELE": "250 ok", "RMD": "250 ok", "syst": "215 UNIX", "site": "214 none", "noop": "200 ok",
	}[verb]
}

func (f *fake) transfer(line string) {
	conn, err := f.data.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	if strings.HasPrefix(line, "STOR") {
		content, _ := io.ReadAll(conn)
		f.note("= " + string(content))
		return
	}
	_, _ = io.WriteString(conn, f.outgoing[line])
}

func (f *fake) client() *explorer.Client {
	return &explorer.Client{Address: f.network.Addr().String(), User: "acme", Password: "secret"}
}

func (f *fake) expect(want ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(want, f.heard); diff != "" {
		f.t.Errorf("the server heard (-want +got):\n%s", diff)
	}
	f.heard = nil
}

// refusesAnonymous is what every server of ours answers the first login.
func refusesAnonymous() map[string]string { return map[string]string{"PASS IEUser@": "530 no"} }

const entry = "drwxr-xr-x 2 ftp ftp 0 Jan 15 2019 "

// TestCommands holds the replay to what was seen of Windows Explorer.
func TestCommands(t *testing.T) {
	t.Parallel()
	f := serve(t, "127.0.0.1", refusesAnonymous(), map[string]string{"LIST": entry + "in\r\n", "RETR a b": "hello"})
	c := f.client()
	ctx := t.Context()
	login := []string{"", "USER acme", "PASS secret", "opts utf8 on", "PWD"}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, err := c.List(ctx, "/")
	ok(err)
	if len(entries) != 1 || entries[0].Name != "in" || !entries[0].Folder {
		t.Errorf("listed %+v", entries)
	}
	f.expect(append(append([]string{"", "USER anonymous", "PASS IEUser@"}, login...), "CWD /", "TYPE A", "PASV", "LIST")...)

	var got bytes.Buffer
	ok(c.Open(ctx, "in/a b", &got))
	if got.String() != "hello" {
		t.Errorf("opened %q", &got)
	}
	f.expect(append(login, "CWD /in/", "TYPE I", "PASV", "SIZE a b", "RETR a b")...)

	ok(c.Upload(ctx, "up", strings.NewReader("content")))
	f.expect(append(login, "CWD /", "TYPE I", "PASV", "STOR up", "= content")...)

	ok(c.NewFolder(ctx, "in/mine"))
	f.expect("CWD /in/", "MKD New folder", "CWD /in/", "RNFR New folder", "RNTO mine")
	ok(c.NewFolder(ctx, "New folder"))
	f.expect("CWD /", "MKD New folder")
	ok(c.Rename(ctx, "/a", "b"))
	f.expect("CWD /", "RNFR a", "RNTO b")
	ok(c.Close())
	ok(c.Close())
}

func TestOlderVersionSaysMore(t *testing.T) {
	t.Parallel()
	f := serve(t, "127.0.0.1", refusesAnonymous(), nil)
	c := f.client()
	c.Older = true
	for range 2 {
		if _, err := c.List(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	defer c.Close()
	f.expect("", "USER anonymous", "PASS IEUser@", "", "USER acme", "PASS secret", "opts utf8 on", "syst", "site help", "PWD",
		"CWD /", "TYPE A", "PASV", "LIST", "noop", "CWD /", "TYPE A", "PASV", "LIST")
}

func TestDeleteGoesThroughFolders(t *testing.T) {
	t.Parallel()
	f := serve(t, "127.0.0.1", refusesAnonymous(), map[string]string{"LIST": "-rw-r--r-- 1 ftp ftp 1 Jan 15 2019 a\r\n"})
	c := f.client()
	defer c.Close()
	if err := c.Delete(t.Context(), "in/a"); err != nil {
		t.Error(err)
	}
	if err := c.Delete(t.Context(), "in/b"); !errors.Is(err, explorer.ErrNotListed) {
		t.Errorf("what is not there: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.heard[len(f.heard)-5] != "DELE a" {
		t.Errorf("the server heard %q", f.heard)
	}
}

func TestOverIPv6(t *testing.T) {
	t.Parallel()
	f := serve(t, "::1", refusesAnonymous(), map[string]string{"LIST": entry + "six\r\n"})
	c := f.client()
	defer c.Close()
	if entries, err := c.List(t.Context(), "/"); err != nil || len(entries) != 1 {
		t.Errorf("listed %v, %v", entries, err)
	}
	f.expect("", "USER anonymous", "PASS IEUser@", "", "USER acme", "PASS secret", "opts utf8 on", "PWD", "CWD /", "TYPE A", "EPSV", "LIST")
}

// TestFaults: what a server may get wrong is an error, which never has the
// password in it; nor has the transcript.
func TestFaults(t *testing.T) {
	t.Parallel()
	for answer, fault := range map[string]string{
		"USER acme": "530 not in the clear", "PASS secret": "530 no", "opts utf8 on": "501 no", "PWD": "nonsense",
		"PASV": "227 (1,2,3,4,5,256)", "CWD /": "550 no", "TYPE A": "504 no", "LIST": "425 no", "PASS IEUser@": "230 welcome",
	} {
		answers := refusesAnonymous()
		answers[answer] = fault
		f := serve(t, "127.0.0.1", answers, nil)
		c := f.client()
		var log bytes.Buffer
		c.Log = &log
		_, err := c.List(t.Context(), "/")
		if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(log.String(), "secret") {
			t.Errorf("%s: %v\n%s", answer, err, &log)
		}
		reply := new(explorer.ReplyError)
		if code := fault[:3]; code >= "400" && code < "600" && (!errors.As(err, &reply) || fmt.Sprint(reply.Code) != code) {
			t.Errorf("%s: %v", answer, err)
		}
		_ = c.Close()
	}
	f := serve(t, "127.0.0.1", refusesAnonymous(), map[string]string{"LIST": "\r\n", "RETR a": "four"})
	c := f.client()
	defer c.Close()
	if _, err := c.List(t.Context(), "/"); err == nil {
		t.Error("a lone line break is no listing of an empty folder")
	}
	if err := c.Open(t.Context(), "a", io.Discard); err == nil {
		t.Error("less came than SIZE said")
	}
	if err := c.Rename(t.Context(), "a", "b\r\nDELE c"); err == nil {
		t.Error("a name with a line break was sent")
	}
}
