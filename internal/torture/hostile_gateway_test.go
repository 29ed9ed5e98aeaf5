package torture

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Who connects from where. Everybody is on the loopback, which is a network of 24
// bits.
const (
	honestNetwork  = "127.1.0.0/16"
	hostileNetwork = "127.2.0.0/16" // admitted: hostile clients, and strangers at their addresses
	foreignNetwork = "127.3.0.0/16" // on nobody's list
)

// target is what the attacking process is told of the gateway.
type target struct {
	SFTP, FTP, FTPS string // addresses
	User, Password  string // of a client of the gateway's
	Key             string // PEM, of the same
	Wide            string // a folder of that client's with many others in it
}

// besieged is a gateway with honest clients and a hostile one.
type besieged struct {
	t      *testing.T
	dir    string
	target target
	honest []*honest
	cmd    *exec.Cmd
	log    *siegeLog
}

// newBesieged makes a data folder with the clients, the hostile one with a folder
// of so many others.
func newBesieged(t *testing.T, wide int) *besieged {
	t.Helper()
	b := &besieged{t: t, dir: t.TempDir()}
	b.sealdrop(nil, "init", "--dir", b.dir)
	key, password := b.addClient("hostile", hostileNetwork)
	b.target = target{User: "hostile", Password: password, Key: key, Wide: "wide"}
	for i, protocol := range []string{"sftp", "ftps"} {
		id := "honest-" + protocol
		key, password := b.addClient(id, honestNetwork)
		signer, err := ssh.ParsePrivateKey([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		b.honest = append(b.honest, &honest{
			protocol: protocol, user: id, signer: signer, password: password, from: fmt.Sprintf("127.1.%d.7", i),
		})
	}
	b.widen("hostile", b.target.Wide, wide)
	return b
}

// widen makes a folder with n others in it.
func (b *besieged) widen(client, name string, n int) {
	b.t.Helper()
	check := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	db, err := database.Open(b.t.Context(), filepath.Join(b.dir, "data"))
	check(err)
	defer db.Close()
	c := catalog.New(db, time.Now)
	id, err := reports.ParseClientID(client)
	check(err)
	mkdir := func(path string) error {
		name, err := reports.ParseName(path)
		if err != nil {
			return err
		}
		return c.Mkdir(b.t.Context(), "test", id, name)
	}
	check(mkdir(name))
	var lanes sync.WaitGroup
	const together = 64 // share a commit
	for lane := range together {
		lanes.Go(func() {
			for i := lane; i < n; i += together {
				if err := mkdir(fmt.Sprintf("%s/a-folder-of-the-usual-length-%06d", name, i)); err != nil {
					b.t.Error(err)
					return
				}
			}
		})
	}
	lanes.Wait()
}

// addClient adds a client with a key and a password.
func (b *besieged) addClient(id, network string) (key, password string) {
	b.t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		b.t.Fatal(err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		b.t.Fatal(err)
	}
	password = rand.Text()
	b.sealdrop(nil, "client", "add", id, "--allow", network)
	b.sealdrop(ssh.MarshalAuthorizedKey(line), "key", "import", "--client", id, "-")
	b.sealdrop([]byte(password+"\n"), "password", "set", "--client", id, "--stdin")
	return string(pem.EncodeToMemory(block)), password
}

func (b *besieged) sealdrop(stdin []byte, args ...string) {
	b.t.Helper()
	if args[0] != "init" {
		args = append([]string{"--config", filepath.Join(b.dir, "config.yaml")}, args...)
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("sealdrop %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// serve starts the gateway, with its limits as they are shipped.
func (b *besieged) serve() {
	b.t.Helper()
	b.log = &siegeLog{}
	b.cmd = exec.Command(binary, "--config", filepath.Join(b.dir, "config.yaml"), "serve")
	b.cmd.Env = append(os.Environ(), "SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_LISTEN=127.0.0.1:0",
		"SEALDROP_FTP_TLS_IMPLICIT_LISTEN=127.0.0.1:0", "SEALDROP_FTP_PASSIVE_PORTS=any")
	b.cmd.Stderr = b.log
	// No Pdeathsig: the kernel would send it when the thread ends that starts the gateway,
	// and the threads of tracers end.
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.target.SFTP, b.target.FTP, b.target.FTPS = b.listens("sftp"), b.listens("ftp"), b.listens("ftps")
	for _, h := range b.honest {
		h.at = map[string]string{"sftp": b.target.SFTP, "ftps": b.target.FTPS}[h.protocol]
	}
}

func (b *besieged) listens(protocol string) (address string) {
	b.t.Helper()
	line := regexp.MustCompile(`msg=listening .*protocol=` + protocol + ` address="?(\S*:\d+)`)
	b.eventually("the gateway listens for "+protocol, func() bool {
		m := line.FindStringSubmatch(b.log.String())
		if m != nil {
			address = m[1]
		}
		return m != nil
	})
	return address
}

// eventually fails after a time that only a gateway which is stuck takes.
func (b *besieged) eventually(what string, holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain until %s; the gateway's last words:\n%s", what, b.log.end())
		}
	}
}

// goroutines ends the gateway, and returns how many goroutines it had: its last
// words upon SIGQUIT.
func (b *besieged) goroutines() int {
	_ = b.cmd.Process.Signal(syscall.SIGQUIT)
	_ = b.cmd.Wait()
	return len(regexp.MustCompile(`(?m)^goroutine \d+ `).FindAllString(b.log.String(), -1))
}

// proc is a file of the gateway's process in /proc.
func (b *besieged) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(b.cmd.Process.Pid), file)
}

// forgetPeak makes peak begin anew.
func (b *besieged) forgetPeak() {
	b.t.Helper()
	if err := os.WriteFile(b.proc("clear_refs"), []byte("5"), 0); err != nil {
		b.t.Fatal(err)
	}
}

// peak is the most memory that the gateway had resident, in MiB.
func (b *besieged) peak() int {
	b.t.Helper()
	status, err := os.ReadFile(b.proc("status"))
	if err != nil {
		b.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if m == nil {
		b.t.Fatalf("there is no VmHWM in\n%s", status)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib >> 10
}

// descriptors counts the files and sockets that the gateway has open.
func (b *besieged) descriptors() int {
	b.t.Helper()
	list, err := os.ReadDir(b.proc("fd"))
	if err != nil {
		b.t.Fatal(err)
	}
	return len(list)
}

// siegeLog is what the gateway says.
type siegeLog struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *siegeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// end is the end of the log.
func (l *siegeLog) end() string {
	text := l.String()
	return text[max(0, len(text)-8<<10):]
}

func (l *siegeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
