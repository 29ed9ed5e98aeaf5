package systemd_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/systemd"
)

// asService makes this program a service that answers on the sockets it is handed.
const asService = "SEALDROP_TEST_SERVICE"

func TestMain(m *testing.M) {
	if os.Getenv(asService) != "" {
		os.Exit(service())
	}
	os.Exit(m.Run())
}

// service accepts one connection per socket, says the socket's name, and closes.
func service() int {
	sockets, err := systemd.Sockets(os.Getenv)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	for _, name := range []string{"sftp", "ftp", systemd.Unnamed} {
		for _, l := range sockets[name] {
			c, err := l.Accept()
			if err != nil {
				fmt.Println("error:", err)
				return 1
			}
			_, _ = fmt.Fprintln(c, name)
			_ = c.Close()
		}
	}
	return 0
}

// start runs the service as systemd does: the process that gets the sockets is the
// one whose number LISTEN_PID is.
func start(t *testing.T, names string, files ...*os.File) (wait func() (string, error)) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, exe)
	cmd.Env = append(os.Environ(), asService+"=1", fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles = files
	var out strings.Builder
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	return func() (string, error) {
		err := cmd.Wait()
		return out.String(), err
	}
}

func listen(t *testing.T) (*net.TCPListener, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = l.Close(), f.Close() })
	return l.(*net.TCPListener), f
}

func ask(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr.String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func TestSocketsByName(t *testing.T) {
	t.Parallel()
	sftp, first := listen(t)
	ftp, second := listen(t)
	odd, third := listen(t)
	wait := start(t, "sftp:ftp:", first, second, third)
	for _, want := range []struct {
		name string
		addr net.Addr
	}{{"sftp", sftp.Addr()}, {"ftp", ftp.Addr()}, {systemd.Unnamed, odd.Addr()}} {
		line, err := bufio.NewReader(ask(t, want.addr)).ReadString('\n')
		if line != want.name+"\n" {
			t.Errorf("on %s's socket: %q, %v", want.name, line, err)
		}
	}
	if out, err := wait(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestClientWaitsForTheNextProcess: the socket is systemd's, so that a client which
// comes between two processes is not refused.
func TestClientWaitsForTheNextProcess(t *testing.T) {
	t.Parallel()
	l, f := listen(t)
	wait := start(t, "sftp", f)
	if _, err := io.ReadAll(ask(t, l.Addr())); err != nil {
		t.Fatal(err)
	}
	if out, err := wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	between := ask(t, l.Addr())
	start(t, "sftp", f)
	if answer, err := io.ReadAll(between); string(answer) != "sftp\n" || err != nil {
		t.Errorf("the client that waited heard %q, %v", answer, err)
	}
}

func TestSocketsThatAreNone(t *testing.T) {
	t.Parallel()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := start(t, "sftp", f)()
	if err == nil || !strings.Contains(out, `systemd's socket "sftp"`) {
		t.Errorf("%v: %q", err, out)
	}
	for _, env := range []map[string]string{{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}} {
		if found, err := systemd.Sockets(func(k string) string { return env[k] }); len(found) > 0 || err != nil {
			t.Errorf("%v: another process's sockets: %v, %v", env, found, err)
		}
	}
	env := map[string]string{"LISTEN_PID": fmt.Sprint(os.Getpid()), "LISTEN_FDS": "some"}
	if _, err := systemd.Sockets(func(k string) string { return env[k] }); err == nil {
		t.Error("LISTEN_FDS=some is taken for a number")
	}
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	for _, path := range []string{filepath.Join(t.TempDir(), "notify"), "@sealdrop-test-" + fmt.Sprint(os.Getpid())} {
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer manager.Close()
		env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": fmt.Sprint(os.Getpid())}
		n, err := systemd.Open(func(k string) string { return env[k] })
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		if n.Watchdog() != 30*time.Second {
			t.Errorf("watchdog %v", n.Watchdog())
		}
		for _, err := range []error{
			n.Ready("serving"), n.Reloading(), n.Alive("2 sessions\nREADY=0"), n.Status("waiting"), n.Stopping("draining", 90*time.Second),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		var got []string
		buf := make([]byte, 1024)
		for range 5 {
			_ = manager.SetReadDeadline(time.Now().Add(time.Minute))
			read, err := manager.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, regexp.MustCompile(`USEC=\d{6,}$`).ReplaceAllString(string(buf[:read]), "USEC=N"))
		}
		want := []string{
			"READY=1\nSTATUS=serving", "RELOADING=1\nMONOTONIC_USEC=N", "WATCHDOG=1\nSTATUS=2 sessions READY=0", "STATUS=waiting",
			"STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=N",
		}
		if !slices.Equal(got, want) {
			t.Errorf("heard %q", got)
		}
	}
}

func TestWithoutSystemd(t *testing.T) {
	t.Parallel()
	n, err := systemd.Open(func(string) string { return "" })
	if n != nil || err != nil {
		t.Fatalf("%v, %v", n, err)
	}
	if n.Watchdog() != 0 || n.Ready("") != nil || n.Alive("") != nil || n.Close() != nil {
		t.Error("a notifier without systemd does something")
	}
	if _, err := systemd.Open(func(string) string { return "/nowhere/notify" }); err == nil {
		t.Error("a socket that is not there is no error")
	}
}
