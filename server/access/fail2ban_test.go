package access_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/server/access"
)

const fail2ban = "../../.build/fail2ban"

// foundByFail2ban returns the addresses that fail2ban finds in a log with a mode of our
// filter. deploy/setup unpacks fail2ban.
func foundByFail2ban(t *testing.T, log []byte, mode string) []string {
	t.Helper()
	root, err := filepath.Abs(fail2ban)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr/bin/fail2ban-regex")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("fail2ban is missing: %v; run deploy/setup", err)
		}
		t.Skip("fail2ban is missing; run deploy/setup")
	}
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, log, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-W", "ignore", filepath.Join(root, "usr/bin/fail2ban-regex"),
		"-c", filepath.Join(root, "etc/fail2ban"), "-o", "ip", file, "../../deploy/fail2ban/filter.d/sealdrop.conf[mode="+mode+"]")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+filepath.Join(root, "usr/lib/python3/dist-packages"), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fail2ban-regex: %v", err)
	}
	found := strings.Fields(string(out))
	slices.Sort(found)
	return slices.Compact(found)
}

// forms are those in which the gateway logs.
func forms(w io.Writer) []slog.Handler {
	return []slog.Handler{slog.NewTextHandler(w, nil), slog.NewJSONHandler(w, nil)}
}

// journal is what journald puts in front.
const journal = "gateway sealdrop[4711]: "

// TestFail2ban: the filter finds who is refused and who is locked out, in each form
// of the log.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	var all []byte
	var lockedOut, refused []string
	for i, prefix := range []string{"", journal} {
		var log bytes.Buffer
		for j, handler := range forms(&log) {
			f := newFixture(t)
			f.add(t, "beta", "2001:db8::/32")
			f.enrol(t, "beta", "B")
			f.Log = slog.New(handler)
			n := 2*i + j
			four, six, once := fmt.Sprint("192.0.2.10", n), fmt.Sprintf("2001:db8:%d:2", n), fmt.Sprint("192.0.2.20", n)
			for range 5 { // as many as lock an address out
				f.tryAs(t, "acme", four)
				f.tryAs(t, "beta", six+"::66")
			}
			f.tryAs(t, "acme", once)
			f.login(t)
			lockedOut = append(lockedOut, four, six+"::/64")
			refused = append(refused, four, six+"::/64", six+"::66", once)
		}
		all = append(all, prefix+strings.ReplaceAll(strings.TrimSpace(log.String()), "\n", "\n"+prefix)+"\n"...)
	}
	slices.Sort(lockedOut)
	slices.Sort(refused)
	if got := foundByFail2ban(t, all, "lockout"); !slices.Equal(got, lockedOut) {
		t.Errorf("locked out are %q, want %q, in\n%s", got, lockedOut, all)
	}
	if got := foundByFail2ban(t, all, "refused"); !slices.Equal(got, refused) {
		t.Errorf("refused are %q, want %q, in\n%s", got, refused, all)
	}
}

// tryAs tries to log in with a key that is nobody's.
func (f *fixture) tryAs(t *testing.T, user, from string) {
	t.Helper()
	a := f.attempt(access.Key{Fingerprint: "stranger", Algorithm: "ssh-ed25519", Bits: 256})
	a.User, a.Address = user, netip.MustParseAddr(from)
	if s, _, err := f.Login(context.Background(), a, nil); err != nil || s != nil {
		t.Fatalf("a stranger's login: %v, %v", s, err)
	}
}

// TestUserNameThatBansSomebodyElse: a user name, or a program's name, is written so
// that a filter takes another address for the one that was refused.
func TestUserNameThatBansSomebodyElse(t *testing.T) {
	t.Parallel()
	const victim = "203.0.113.9"
	crafted := []string{
		"x address=" + victim,
		`x" address=` + victim + ` y="`,
		`x\" address=` + victim + " ",
		"x\ntime=2026-11-22T04:30:34.063Z level=WARN msg=\"locked out after failed logins\" event=address.banned address=" + victim + " failures=20",
		"x\r\n" + `{"time":"2026-11-22T04:30:34Z","level":"WARN","msg":"login refused","event":"login.refused","reason":"key-unknown","address":"` + victim + `"`,
		`","event":"login.refused","reason":"key-unknown","address":"` + victim + `","x":"`,
		`time=2026-11-22T04:30:34.063Z level=WARN msg=x event=login.refused reason=key-unknown address=` + victim + " ",
		journal + "time=2026-11-22T04:30:34.063Z level=WARN msg=x event=address.banned address=" + victim + " ",
		"event=address.banned address=" + victim,
		"\u2028time= level=WARN msg=x event=address.banned address=" + victim + " ",
	}
	var log bytes.Buffer
	for _, handler := range forms(&log) {
		f := newFixture(t)
		f.Log = slog.New(handler)
		for i, text := range crafted {
			a := f.attempt(access.Key{Fingerprint: text, Algorithm: "ssh-ed25519", Bits: 256})
			a.User, a.Software, a.Detail = text, text, text
			a.Address = netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})
			if s, _, err := f.Login(context.Background(), a, nil); err != nil || s != nil {
				t.Fatalf("%v, %v", s, err)
			}
		}
	}
	got := foundByFail2ban(t, log.Bytes(), "refused") // which has all that lockout has
	if slices.Contains(got, victim) {
		t.Errorf("%s is banned for what others did, in\n%s", victim, log.String())
	}
	if len(got) != len(crafted) {
		t.Errorf("of %d that were refused, %q are found, in\n%s", len(crafted), got, log.String())
	}
}
