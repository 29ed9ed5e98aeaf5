package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fault is something that goes wrong between a client, or those who hand in, and
// the gateway. It is provoked for real.
type fault struct {
	name string
	at   where
	// provoke brings it about, and returns what the client's program printed.
	provoke func(s *scene) string
	// sees is a part of that. It is "" for a client that is told nothing: its
	// connection is closed.
	sees string
	// reason is what the operator must be told: the reason of a login's refusal, or
	// a part of the words.
	reason string
	// plain says that the words leave nothing open: there is no remedy to tell.
	plain bool
	// look is where the operator looks. nil: the refusal in the log and the audit.
	look func(s *scene) told
}

// told is what the operator is told.
type told struct {
	place  string // where
	line   string // of the log
	reason string
	what   string
	remedy string
}

// where is which of the gateways a fault is provoked at.
type where int

const (
	tolerant  where = iota // plain FTP is possible; one session per client, a ban after four failures
	strict                 // TLS required, and its sessions resumed; a login in six seconds; access.learn
	approving              // keys need a second operator, and the rule holds for all of a gateway
)

// diagnosed is a fault with what became of it.
type diagnosed struct {
	fault
	scene *scene
	told  told
	right bool
}

// TestDiagnosis provokes each fault and finds the right reason where the operator
// looks for it.
func TestDiagnosis(t *testing.T) {
	t.Parallel()
	places := []*place{tolerant: tolerantGateway(t), strict: strictGateway(t), approving: approvingGateway(t)}
	var all []*diagnosed
	t.Run("faults", func(t *testing.T) {
		faults := slices.Concat(slowFaults(), sshFaults(), ftpFaults(), keyFaults(), fileFaults(), configFaults())
		for i, f := range faults {
			d := &diagnosed{fault: f}
			all = append(all, d)
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				d.run(newScene(t, places[f.at], i))
			})
		}
	})
	for _, p := range places {
		p.inAudit(t, all)
	}
	right := 0
	for _, d := range all {
		if d.right {
			right++
		}
	}
	t.Logf("diagnosed %d of %d", right, len(all))
	if !t.Failed() && right == len(all) {
		inDiagnosisDocument(t, all)
	}
}

func (d *diagnosed) run(s *scene) {
	d.scene, s.want = s, d.reason
	got := d.provoke(s)
	if !strings.Contains(got, d.sees) {
		s.t.Errorf("the client's program said %q, want %q", got, d.sees)
	}
	look := d.look
	if look == nil {
		look = refusalInLog
	}
	d.told = look(s)
	if s.t.Failed() || !strings.Contains(d.told.reason, d.reason) {
		s.t.Errorf("the operator was told %+v, want %q", d.told, d.reason)
		return
	}
	if d.told.what == "" || d.told.remedy == "" && !d.plain {
		s.t.Errorf("the operator was told %+v, which has no words or no remedy", d.told)
		return
	}
	d.right = true
}

// place is a running gateway with the settings that it has from its environment.
type place struct {
	*gateway
	settings []string
}

func tolerantGateway(t *testing.T) *place {
	certificate, key := selfSigned(t)
	free := freePorts("127.0.0.1")
	return startPlace(t, certificate,
		"SEALDROP_SFTP_LISTEN="+freePorts("127.0.0.1", "::"), "SEALDROP_SFTP_LIMITS_SESSIONS_PER_CLIENT=1", "SEALDROP_ACCESS_FAILURES=4",
		"SEALDROP_FTP_LISTEN="+free, "SEALDROP_FTP_TLS_IMPLICIT_LISTEN="+free, "SEALDROP_FTP_PASSIVE_PORTS=any",
		"SEALDROP_FTP_TLS_MODE=optional", "SEALDROP_FTP_TLS_CERTIFICATE="+certificate, "SEALDROP_FTP_TLS_KEY="+key)
}

func strictGateway(t *testing.T) *place {
	certificate, key := selfSigned(t)
	free := freePorts("127.0.0.1")
	return startPlace(t, certificate,
		"SEALDROP_SFTP_LISTEN="+free, "SEALDROP_SFTP_LIMITS_LOGIN_TIMEOUT=6s", "SEALDROP_ACCESS_LEARN=true",
		"SEALDROP_FTP_LISTEN="+free, "SEALDROP_FTP_PASSIVE_PORTS=any", "SEALDROP_FTP_LIMITS_LOGIN_TIMEOUT=6s",
		"SEALDROP_FTP_TLS_REQUIRE_SESSION_REUSE=true", "SEALDROP_FTP_TLS_CERTIFICATE="+certificate, "SEALDROP_FTP_TLS_KEY="+key)
}

func approvingGateway(t *testing.T) *place {
	return startPlace(t, "", "SEALDROP_SFTP_LISTEN="+freePorts("127.0.0.1"), "SEALDROP_KEYS_APPROVAL=two-person")
}

func startPlace(t *testing.T, certificate string, settings ...string) *place {
	t.Helper()
	p := &place{gateway: startWith(t, settings...), settings: settings}
	p.certificate = certificate
	p.port = p.listens("sftp", "127.0.0.1")
	return p
}

// scene is one fault's own part of a gateway: a client with an address of its own.
type scene struct {
	*client
	t     *testing.T
	place *place
	from  netip.Addr
	want  string // the reason
}

// newScene makes a client that may connect from its own addresses, 127.1.n.0/24,
// with no key and no password yet.
func newScene(t *testing.T, p *place, n int) *scene {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	own := *p
	own.gateway = p.in(t)
	s := &scene{t: t, place: &own, from: netip.AddrFrom4([4]byte{127, 1, byte(n), 1})}
	s.client = &client{g: own.gateway, id: fmt.Sprintf("client%d", n), home: home}
	s.g.sealdrop("client", "add", s.id, "--allow", fmt.Sprintf("127.1.%d.0/24", n))
	// A gateway under a flood of strangers looks for new networks every 20 ms, and
	// here many clients are new at a time.
	time.Sleep(30 * time.Millisecond)
	return s
}

// withKey gives the client an SSH key that is registered.
func (s *scene) withKey() *scene {
	s.t.Helper()
	s.key = s.newKey("key", "ed25519")
	s.g.sealdrop("key", "import", "--client", s.id, s.key+".pub")
	return s
}

// newKey makes a pair on the client's computer.
func (s *scene) newKey(name, kind string, more ...string) string {
	s.t.Helper()
	path := filepath.Join(s.home, name)
	must(s.t, exec.Command("ssh-keygen", append([]string{"-q", "-m", "PEM", "-t", kind, "-N", "", "-f", path}, more...)...))
	return path
}

const rightPassword = "correct horse battery staple"

// withPassword gives the client a password, and says how it may use FTP.
func (s *scene) withPassword(ftp string, more ...string) *scene {
	s.t.Helper()
	s.g.sealdrop("client", "set", s.id, "--ftp", ftp)
	set := s.g.command(append([]string{"password", "set", "--client", s.id, "--stdin"}, more...)...)
	set.Stdin = strings.NewReader(rightPassword + "\n")
	must(s.t, set)
	return s
}

// attempt runs a program that is expected to fail, and returns what it printed.
func (s *scene) attempt(name string, args ...string) string {
	s.t.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) {
		s.t.Fatal(err)
	}
	if err == nil {
		s.t.Errorf("%s had no fault: %s", name, out)
	}
	return string(out)
}

// dial opens a socket from the client's address.
func (s *scene) dial(port string) net.Conn {
	s.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: s.from.AsSlice()}, Timeout: 30 * time.Second}
	conn, err := d.Dial("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

// loggedIn waits until the client is.
func (s *scene) loggedIn() {
	s.t.Helper()
	mustLog(s.t, s.g, "msg=login event=login.allowed client="+s.id+" ")
}

// refusalInLog finds the last refusal of the client's address.
func refusalInLog(s *scene) told {
	s.t.Helper()
	return s.inLog(`msg="login refused" event=login.refused reason=(\S+) .*address=` + regexp.QuoteMeta(s.from.String()) + ` .*`)
}

// inLog finds the last line that matches; its group is the reason. What a client
// gave up is recorded after its program has ended, so it waits for the reason that
// is wanted, within reason.
func (s *scene) inLog(pattern string) told {
	s.t.Helper()
	expression := regexp.MustCompile(pattern)
	var last []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if all := expression.FindAllStringSubmatch(s.g.log.String(), -1); len(all) > 0 {
			if last = all[len(all)-1]; strings.Contains(last[1], s.want) {
				break
			}
		}
	}
	if last == nil {
		s.t.Fatalf("the log has no %s", pattern)
	}
	return told{place: "the log, `audit list`", line: last[0], reason: last[1], what: attribute(last[0], "what"), remedy: attribute(last[0], "remedy")}
}

// inLogAs is inLog for a line that has its words in another attribute, and for the
// log alone.
func (s *scene) inLogAs(pattern, words string) told {
	s.t.Helper()
	found := s.inLog(pattern)
	found.place, found.what = "the log", attribute(found.line, words)
	return found
}

// attribute is a quoted one of a line in the log.
func attribute(line, key string) string {
	m := regexp.MustCompile(` ` + key + `=("(?:[^"\\]|\\.)*")`).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	text, err := strconv.Unquote(m[1])
	if err != nil {
		return ""
	}
	return text
}

// why asks `sealdrop why` about the client from its address.
func why(args ...string) func(s *scene) told {
	return func(s *scene) told {
		s.t.Helper()
		cmd := s.g.command(append([]string{"why", "--client", s.id, "--from", s.from.String(), "-o", "json"}, args...)...)
		cmd.Env = append(os.Environ(), s.place.settings...)
		out, _ := cmd.Output() // it fails where the client does not get in
		var d struct{ Reason, What, Remedy string }
		if err := json.Unmarshal(out, &d); err != nil {
			s.t.Fatalf("%v: %s", err, out)
		}
		return told{place: "`why`", reason: d.Reason, what: d.What, remedy: d.Remedy}
	}
}

// refused runs one of the gateway's own commands, which must fail with a hint.
func (s *scene) refused(args ...string) string {
	s.t.Helper()
	return s.failing(s.g.command(args...))
}

func (s *scene) failing(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	if err == nil {
		s.t.Errorf("%s was not refused: %s", strings.Join(cmd.Args, " "), out)
	}
	return string(out)
}

// commandTold takes apart what a command of the operator's printed.
func commandTold(output string) told {
	_, text, _ := strings.Cut(output, "error: ")
	text, _, _ = strings.Cut(text, "\nerror: ") // the first is the fault
	what, remedy, _ := strings.Cut(text, "hint: ")
	return told{place: "the command", reason: what, what: strings.TrimSpace(what), remedy: strings.TrimSpace(remedy)}
}

// atCommand is for a fault whose only witness is the operator's own command.
func atCommand(name, reason string, run func(s *scene) string) fault {
	var output string
	return fault{
		name: name, reason: reason,
		provoke: func(s *scene) string { output = run(s); return "" },
		look:    func(*scene) told { return commandTold(output) },
	}
}

// obvious is atCommand for words that leave nothing open.
func obvious(name, reason string, run func(s *scene) string) fault {
	f := atCommand(name, reason, run)
	f.plain = true
	return f
}

// record is one of the audit.
type record struct {
	Event, Client string
	Detail        map[string]string
}

// inAudit checks that the audit has the same reasons as the log, under the
// addresses that they are for. A refusal is in the log first.
func (p *place) inAudit(t *testing.T, all []*diagnosed) {
	t.Helper()
	var missing []*diagnosed
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var records []record
		if err := json.Unmarshal(p.in(t).sealdrop("audit", "list", "--limit", "100000", "-o", "json"), &records); err != nil {
			t.Fatal(err)
		}
		if missing = p.notIn(records, all); len(missing) == 0 {
			return
		}
	}
	for _, d := range missing {
		t.Errorf("%s: the audit has no refusal for %s from %s", d.name, d.reason, d.scene.from)
		d.right = false
	}
}

// notIn finds the refusals at this gateway that the records lack.
func (p *place) notIn(records []record, all []*diagnosed) (missing []*diagnosed) {
	for _, d := range all {
		if d.scene == nil || d.scene.place.dir != p.dir || d.look != nil {
			continue
		}
		if !slices.ContainsFunc(records, func(r record) bool {
			return r.Event == "login.refused" && r.Detail["address"] == d.scene.from.String() && r.Detail["reason"] == d.reason
		}) {
			missing = append(missing, d)
		}
	}
	return missing
}

// ended finds the end of the client's session.
func ended(s *scene) told {
	s.t.Helper()
	return s.inLogAs(`msg="session ended" event=session.ended client=`+s.id+` .*reason=(\S+) .*`, "what")
}
