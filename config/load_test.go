package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/sealdrop/sealdrop/reports/expect"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// loadText loads an archive's config.yaml, and returns the folder it is in.
func loadText(t *testing.T, archive string, environ ...string) (c *Config, dir string) {
	t.Helper()
	dir = unpack(t, txtar.Parse([]byte(archive)))
	c, err := Load(filepath.Join(dir, "config.yaml"), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func hours(n int) Duration { return Duration(time.Duration(n) * time.Hour) }

// defaults is the configuration that an empty file makes, as the reference says.
func defaults(dir string) *Config {
	return &Config{
		File:  filepath.Join(dir, "config.yaml"),
		Data:  filepath.Join(dir, "data"),
		Roles: []Role{All},
		Log:   Log{Level: slog.LevelInfo, Format: "text"},
		SFTP: SFTP{
			Listen: []string{":32"},
			HostKeys: []string{
				filepath.Join(dir, "data/hostkeys/ssh_host_ed25519_key"),
				filepath.Join(dir, "data/hostkeys/ssh_host_rsa_key"),
			},
			NextHostKeys: []string{},
			Limits: Limits{
				Connections: 4000, ConnectionsPerAddress: 50, Unauthenticated: 200,
				LoginTimeout: Duration(30 * time.Second), IdleTimeout: Duration(15 * time.Minute),
				Tries: 6, SessionsPerClient: 50, HandlesPerSession: 128,
			},
			KeepInterrupted: hours(24),
		},
		FTP: FTP{
			Listen: []string{}, PassivePorts: Ports{30000, 30199}, PublicAddress: []PublicAddress{},
			TLS: TLS{Mode: "required", ImplicitListen: []string{}},
			Limits: FTPLimits{
				Connections: 2000, ConnectionsPerAddress: 50, Unauthenticated: 200,
				LoginTimeout: Duration(30 * time.Second), IdleTimeout: Duration(15 * time.Minute), StallTimeout: Duration(time.Minute), Tries: 3,
			},
		},
		API: API{
			Listen: []string{},
			Allow: []netip.Prefix{
				netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.0.0.0/8"),
				netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
			},
			Limits: APILimits{
				Connections: 200, ConnectionsPerAddress: 50, Uploads: 32, UploadsPerProducer: 16, MinRate: 1 << 10, ReportSize: 64 << 30,
				HeaderTimeout: Duration(10 * time.Second), IdleTimeout: Duration(time.Minute), StallTimeout: Duration(time.Minute),
			},
		},
		Sealing:     Sealing{Compress: true},
		Keys:        Keys{Approval: "off"},
		Retention:   Retention{After: hours(2400), Sweep: hours(1), MaxShare: 25, MaxGap: hours(14 * 24), Grace: hours(24)},
		Access:      Access{Failures: 20, Window: Duration(10 * time.Minute), Ban: Duration(15 * time.Minute)},
		Quota:       Quota{Bytes: Unlimited, Files: Unlimited},
		Spool:       Spool{Folders: []string{}, After: "remove", Settle: Duration(2 * time.Second), Rescan: Duration(time.Minute), Workers: 2, MinFree: 1 << 30},
		Ops:         Ops{Listen: []string{}},
		Status:      Status{Timezone: time.Local, BackupAge: hours(48), AuditAge: hours(7 * 24), UncollectedAfter: hours(72)},
		Notify:      defaultNotify(),
		Shutdown:    Shutdown{Drain: Duration(time.Minute)},
		ClientsFrom: []string{filepath.Join(dir, "clients.d/*.yaml")},
	}
}

func defaultNotify() Notify {
	digest, _ := contact.ParseSchedule("daily 07:00")
	utc, _ := contact.ParseZone("UTC")
	days := func(n int) Duration { return hours(24 * n) }
	return Notify{
		Operators: []contact.Contact{}, OperatorsDigest: digest, Timezone: utc, Gather: Duration(time.Minute), PerMinute: 30,
		Timeout: Duration(20 * time.Second), Expiry: []Duration{days(60), days(30), days(7)}, Reminders: []Duration{days(14), days(3)},
		Refusals: 10, Retry: NotifyRetry{First: Duration(time.Minute), Cap: hours(6), GiveUp: days(3)},
		SMTP: SMTP{Port: 587, StartTLS: "required"}, SMS: SMS{Body: `{"to": "{{.To}}", "text": "{{.Text}}"}`},
		MailedSize: 10 << 20,
	}
}

// equal compares two configurations but for the origins of their values.
func equal(t *testing.T, want, got *Config) {
	t.Helper()
	w, g := *want, *got
	w.origins, g.origins = nil, nil
	if diff := cmp.Diff(w, g, cmp.AllowUnexported(Config{}, Client{}.ID), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }), cmp.Comparer(func(a, b expect.Pattern) bool { return a == b }),
		cmp.Comparer(func(a, b contact.Contact) bool { return a.String() == b.String() }), cmp.Comparer(func(a, b contact.Schedule) bool { return a == b }),
		cmp.Comparer(func(a, b contact.Zone) bool { return a.String() == b.String() })); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestEmptyFilesAreDefaults(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":        "",
		"comments":       "# nothing yet\n",
		"empty document": "---\n",
		"empty sections": "log:\nsftp:\n  limits:\nclients:\n",
		"byte order":     "\ufeffdata: ./data\n",
		"CRLF":           "data: ./data\r\nretention:\r\n  after: 100d\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "config.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Load(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, defaults(dir), c)
		})
	}
}

// everyKey sets each key to a value that is not its default.
const everyKey = `
-- config.yaml --
data: /var/lib/sealdrop
catalog: {url: "postgres://sealdrop@db.example/sealdrop", password_file: db.password}
log: {level: debug, format: json}
sftp:
  listen: [":2032", "[2001:db8::7]:32"]
  host_keys: keys/host
  limits:
    connections: 1
    connections_per_address: 2
    unauthenticated: 3
    login_timeout: 4s
    idle_timeout: 5m
    tries: 6
    sessions_per_client: 7
    handles_per_session: 8
  keep_interrupted: 9h
ftp: {listen: ":21", passive_ports: 40000-40009, public_address: [203.0.113.9, ":21=198.51.100.2"], tls: {mode: optional, certificate: c.pem, key: k.pem, implicit_listen: ":990", require_session_reuse: true}, limits: {connections: 1, connections_per_address: 2, unauthenticated: 3, login_timeout: 4s, idle_timeout: 5m, stall_timeout: 6s, tries: 7}}
sealing: {compress: false, escrow: escrow.asc, sign: true}
retention: {after: 10d, sweep: 11m, max_share: 12%, max_gap: 2w, grace: 1d12h}
access: {failures: 14, window: 15s, ban: 16s, learn: true}
clients_from: more.yaml
clients:
  - id: acme
    name: Acme Capital
    allow: [203.0.113.0/24, "2001:db8::/48", 198.51.100.7]
    retention: 30d
    disabled: true
    ftp: off
    quota: 1536MiB
    quota_files: unlimited
quota: {bytes: 17GB, files: 18}
spool: {folders: [drop, /srv/spool], after: move, settle: 19s, rescan: 20s, workers: 21, min_free: 22MiB}
ops: {listen: ["unix:/run/sealdrop/ops.sock", "127.0.0.1:9320"], pprof: true}
-- more.yaml --
clients:
  - id: globex
    allow: 192.0.2.1
`

func TestEveryKey(t *testing.T) {
	t.Parallel()
	c, dir := loadText(t, everyKey)
	want := defaults(dir)
	want.Data = "/var/lib/sealdrop"
	want.Catalog = Catalog{URL: "postgres://sealdrop@db.example/sealdrop", PasswordFile: filepath.Join(dir, "db.password")}
	want.Log = Log{Level: slog.LevelDebug, Format: "json"}
	want.SFTP = SFTP{
		Listen:       []string{":2032", "[2001:db8::7]:32"},
		NextHostKeys: []string{},
		HostKeys:     []string{filepath.Join(dir, "keys/host")},
		Limits: Limits{
			Connections: 1, ConnectionsPerAddress: 2, Unauthenticated: 3,
			LoginTimeout: Duration(4 * time.Second), IdleTimeout: Duration(5 * time.Minute),
			Tries: 6, SessionsPerClient: 7, HandlesPerSession: 8,
		},
		KeepInterrupted: hours(9),
	}
	want.FTP = FTP{
		Listen: []string{":21"}, PassivePorts: Ports{40000, 40009},
		PublicAddress: []PublicAddress{{Address: netip.MustParseAddr("203.0.113.9")}, {":21", netip.MustParseAddr("198.51.100.2")}},
		TLS: TLS{
			Mode: "optional", Certificate: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem"),
			ImplicitListen: []string{":990"}, RequireSessionReuse: true,
		},
		Limits: FTPLimits{
			Connections: 1, ConnectionsPerAddress: 2, Unauthenticated: 3,
			LoginTimeout: Duration(4 * time.Second), IdleTimeout: Duration(5 * time.Minute), StallTimeout: Duration(6 * time.Second), Tries: 7,
		},
	}
	want.Sealing = Sealing{Escrow: filepath.Join(dir, "escrow.asc"), Sign: true}
	want.Retention = Retention{After: hours(240), Sweep: Duration(11 * time.Minute), MaxShare: 12, MaxGap: hours(336), Grace: hours(36)}
	want.Access = Access{Failures: 14, Window: Duration(15 * time.Second), Ban: Duration(16 * time.Second), Learn: true}
	want.Quota = Quota{Bytes: 17e9, Files: 18}
	want.Ops = Ops{Listen: []string{"unix:/run/sealdrop/ops.sock", "127.0.0.1:9320"}, Pprof: true}
	want.Spool = Spool{
		Folders: []string{filepath.Join(dir, "drop"), "/srv/spool"}, After: "move",
		Settle: Duration(19 * time.Second), Rescan: Duration(20 * time.Second), Workers: 21, MinFree: 22 << 20,
	}
	want.ClientsFrom = []string{filepath.Join(dir, "more.yaml")}
	acme, err := parseID("acme")
	if err != nil {
		t.Fatal(err)
	}
	globex, err := parseID("globex")
	if err != nil {
		t.Fatal(err)
	}
	at := func(file string, line int) string { return fmt.Sprintf("%s:%d", filepath.Join(dir, file), line) }
	want.Clients = []Client{{
		ID: acme, Name: "Acme Capital", Retention: hours(720), Disabled: true, FTP: "off", Quota: 1536 << 20, QuotaFiles: Unlimited,
		Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/48"), netip.MustParsePrefix("198.51.100.7/32")},
		Declared: map[string]string{
			"id": at("config.yaml", 23), "name": at("config.yaml", 24), "allow": at("config.yaml", 25),
			"retention": at("config.yaml", 26), "disabled": at("config.yaml", 27),
			"ftp": at("config.yaml", 28), "quota": at("config.yaml", 29), "quota_files": at("config.yaml", 30),
		},
	}, {
		ID:       globex,
		Allow:    []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
		Declared: map[string]string{"id": at("more.yaml", 2), "allow": at("more.yaml", 3)},
	}}
	equal(t, want, c)
}

func TestEnvironmentOverridesFileOverridesDefault(t *testing.T) {
	t.Parallel()
	c, dir := loadText(t, `
-- config.yaml --
retention: {after: 10d, sweep: 5m}
sftp:
  limits: {tries: 3}
-- a.yaml --
[]
-- b.yaml --
[]
`, "PATH=/bin", "SEALDROP_RETENTION_AFTER=30d", "SEALDROP_RETENTION_AFTER=40d", "SEALDROP_SFTP_LISTEN= :99, 127.0.0.1:0",
		"SEALDROP_SFTP_LIMITS_IDLE_TIMEOUT=1m", "SEALDROP_CLIENTS_FROM=a.yaml,b.yaml", "SEALDROP_SEALING_ESCROW=",
		"SEALDROP_CONFIG=x", "SEALDROP_TEST_X=y", "sealdrop_lower=z")
	want := defaults(dir)
	want.Retention.After, want.Retention.Sweep = hours(960), Duration(5*time.Minute)
	want.SFTP.Listen = []string{":99", "127.0.0.1:0"}
	want.SFTP.Limits.Tries, want.SFTP.Limits.IdleTimeout = 3, Duration(time.Minute)
	want.ClientsFrom = []string{filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")}
	equal(t, want, c)
	for key, origin := range map[string]string{
		"retention.after": "SEALDROP_RETENTION_AFTER",
		"retention.sweep": filepath.Join(dir, "config.yaml") + ":1",
		"retention.grace": "default",
	} {
		if got := c.Origins()[key]; got != origin {
			t.Errorf("origin of %s is %q, want %q", key, got, origin)
		}
	}
}

func TestEveryKeyHasItsVariable(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, f := range settings() {
		v := f.variable()
		if other := seen[v]; other != "" {
			t.Errorf("%s overrides both %s and %s", v, other, f.key)
		}
		seen[v] = f.key
		c, _ := loadText(t, "-- config.yaml --\n", v+"="+f.def)
		if got := c.Origins()[f.key]; got != v {
			t.Errorf("with %s set, %s comes from %q", v, f.key, got)
		}
	}
}

func TestAnchorsAndMergeKeys(t *testing.T) {
	t.Parallel()
	c, _ := loadText(t, `
-- config.yaml --
clients:
  - &base
    id: acme
    allow: &offices [203.0.113.0/24, 198.51.100.7]
    retention: 30d
  - <<: *base
    id: globex
    retention: 60d
  - id: initech
    allow: *offices
`)
	for i, want := range []string{"acme 2 30d", "globex 2 60d", "initech 2 0s"} {
		cl := c.Clients[i]
		if got := fmt.Sprint(cl.ID, " ", len(cl.Allow), " ", cl.Retention); got != want {
			t.Errorf("client %d is %s, want %s", i, got, want)
		}
	}
	if at := c.Clients[1].Declared["allow"]; !strings.HasSuffix(at, "config.yaml:4") {
		t.Errorf("a merged field is declared at %s, want its line 4", at)
	}
}

func TestAliasesDoNotUnfoldWithoutEnd(t *testing.T) {
	t.Parallel()
	const unfold = "unfold to too many values"
	wide := "[" + strings.Repeat("192.0.2.1,", 2000) + "]"
	for name, test := range map[string]struct{ text, want string }{
		"wide allow lists": {"clients:\n- &a {id: a, allow: &w " + wide + "}\n" + strings.Repeat("- *a\n", 2000), unfold},
		"circle":           {"clients: &c [*c]\n", "clients[0]: is a list; a mapping is expected"},
		"merge circle":     {"clients:\n- &c\n  id: a\n  <<: [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]\n", "merge keys (<<) within merge keys, too deep"},
		"merged lists":     {"clients:\n- {id: a, <<: &l [" + strings.Repeat("{},", 2000) + "]}\n" + strings.Repeat("- {<<: *l}\n", 2000), unfold},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("%.500v; want %s", err, test.want)
			}
		})
	}
}

func TestFaultsAreBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clients.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("- {id: A}\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := LoadClients(path)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != maxFaults+1 {
		t.Fatalf("%d faults, want %d and one that counts the rest", len(faults), maxFaults)
	}
	if last := faults[maxFaults].Error(); !strings.HasSuffix(last, "4000 more faults are not shown") {
		t.Errorf("the last fault is %q", last)
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, maxFile+1); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxClientsFile+1); err != nil {
		t.Fatal(err)
	}
	load := func(path string) error { _, err := Load(path, nil); return err }
	loadClients := func(path string) error { _, _, err := LoadClients(path); return err }
	for _, test := range []struct {
		load             func(string) error
		path, want, hint string
	}{
		{load, filepath.Join(dir, "none.yaml"), "no such file or directory", "run `sealdrop init` to make one, or name another with --config FILE"},
		{loadClients, filepath.Join(dir, "none.yaml"), "no such file or directory", ""},
		{load, dir, "is a directory", "name the file in it, such as " + filepath.Join(dir, "config.yaml")},
		{loadClients, dir, "is a directory", "name the files in it, as in " + filepath.Join(dir, "*.yaml")},
		{load, big, "is larger than 4 MiB", "declare clients in files of their own, named by clients_from"},
		{loadClients, huge, "is larger than 64 MiB", "split it"},
	} {
		err := test.load(test.path)
		if err == nil || err.Error() != test.path+": "+test.want || hintOf(err) != test.hint {
			t.Errorf("%s: %v (hint %q), want %q (hint %q)", test.path, err, hintOf(err), test.want, test.hint)
		}
	}
}

// TestEveryPathIsTakenFromTheFilesFolder: sftp.next_host_keys was forgotten, and taken from
// whatever folder the program was started in.
func TestEveryPathIsTakenFromTheFilesFolder(t *testing.T) {
	t.Parallel()
	var environ []string
	paths := 0
	for _, f := range settings() {
		if f.kind == "path" || f.kind == "list of paths" {
			paths++
			environ = append(environ, f.variable()+"=some/"+f.key+"*")
		}
	}
	c, dir := loadText(t, "-- config.yaml --\n", environ...)
	for _, f := range settings() {
		if f.kind != "path" && f.kind != "list of paths" {
			continue
		}
		got := f.value.show(c)
		if list, is := got.([]any); is && len(list) == 1 {
			got = list[0]
		}
		if want := filepath.Join(dir, "some", f.key+"*"); got != want {
			t.Errorf("%s is %v, want %s", f.key, got, want)
		}
	}
	if paths < 10 {
		t.Errorf("there are %d paths only; are they called otherwise by now?", paths)
	}
}

// TestOddBytes holds the faults of files that no archive of text can hold.
func TestOddBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"data: x\nlog: \xff\xfe\n":  ":2: the file is not plain text in UTF-8",
		"data: x\n\n\nlog: \x01\n":  ":4: the file is not plain text in UTF-8",
		"data: \"a\\0b\"\n":         `:1: data: "a\x00b" has characters that no path should have`,
		"a: b\n\u0085\x00\n":        ":2: the file is not plain text in UTF-8",
		strings.Repeat("[", 20_000): ":1: this is not valid YAML",
	} {
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, nil); err == nil || err.Error() != path+want {
			t.Errorf("%.20q: %v, want %s", text, err, want)
		}
	}
}

func TestLoadClients(t *testing.T) {
	t.Parallel()
	dir := unpack(t, txtar.Parse([]byte(`
-- list.yaml --
- id: acme
  allow: [203.0.113.0/24]
- id: globex
-- mapping.yaml --
clients:
  - id: acme
-- empty.yaml --
`)))
	for file, want := range map[string][2]int{"list.yaml": {2, 1}, "mapping.yaml": {1, 1}, "empty.yaml": {0, 0}} {
		clients, warnings, err := LoadClients(filepath.Join(dir, file))
		if err != nil || len(clients) != want[0] || len(warnings) != want[1] {
			t.Errorf("%s: %d clients, %d warnings, %v; want %v", file, len(clients), len(warnings), err, want)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.yaml"), filepath.Join(dir, "second.yaml")
	_, err := find([]string{first, second})
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "no configuration: there is neither "+first+" nor "+second {
		t.Errorf("with no file: %v", err)
	}
	if hint := hintOf(err); !strings.Contains(hint, "sealdrop init") {
		t.Errorf("hint is %q", hint)
	}
	for _, path := range []string{second, first} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := find([]string{first, second}); got != path || err != nil {
			t.Errorf("found %q, %v; want %q", got, err, path)
		}
	}
}

// manyClients is a file of n clients as an operator's script would write it.
func manyClients(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- id: client-%d\n  name: Client %d\n  allow: [10.%d.%d.0/24, \"2001:db8:%x::/48\"]\n  retention: 30d\n", i, i, i>>8&255, i&255, i)
	}
	return []byte(b.String())
}

func BenchmarkLoad20000Clients(b *testing.B) {
	path := filepath.Join(b.TempDir(), "clients.yaml")
	if err := os.WriteFile(path, manyClients(20_000), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		clients, _, err := LoadClients(path)
		if err != nil || len(clients) != 20_000 {
			b.Fatal(len(clients), err)
		}
	}
}
