package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEdgeHoldsNothingButCiphertext sets up the two hosts of the DMZ layout, each a
// network namespace: inside, PostgreSQL and the intake; outside, an edge whose file
// system is a root of its own with the intake's folder of blobs mounted. While clients
// fetch and upload, it looks through every file that the edge's process can see and
// through all of its memory for a canary in a report's plaintext and for the gateway's
// own secret keys.
func TestEdgeHoldsNothingButCiphertext(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("two hosts are made of network namespaces and a root of its own, which take root")
	}
	h := newTwoHosts(t)
	canary := "canary-" + rand.Text()
	acme := h.in.clientWithoutSSH("acme", "127.0.0.1")
	acme.key = filepath.Join(acme.home, "key")
	must(t, exec.Command("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", acme.key))
	h.in.sealdrop("key", "import", "--client", "acme", acme.key+".pub")
	h.in.sealdrop("client", "add", "keyless", "--allow", "127.0.0.1")
	password := h.in.command("password", "set", "--client", "acme", "--stdin")
	password.Stdin = strings.NewReader("correct horse battery staple\n")
	must(t, password)
	statement := acme.write("statement.csv", []byte(strings.Repeat(canary+",1,2,3\n", 50_000)))
	h.in.sealdrop("deliver", "--client", "acme", statement)
	h.in.sealdrop("deliver", "--client", "keyless", statement) // held: sealed to the hold key

	edge := h.startEdge()
	acme.at = server{protocol: "sftp", host: "127.0.0.1", port: edge.listens("sftp", ""), user: "acme"}
	needles := h.in.ownSecrets()
	needles["the plaintext's canary"] = []byte(canary)
	for round := range 3 {
		got := h.fetch(acme, "statement.csv.pgp")
		if sum := fmt.Sprintf("%x", sha256.Sum256(got)); sum != acme.files()["statement.csv.pgp"].SHA256 {
			t.Fatalf("fetched something else: %s", sum)
		}
		up := acme.write("up", []byte(fmt.Sprintf("upload %d, stored as it comes", round)))
		h.sftp(acme, fmt.Sprintf("mkdir d%d\nput %s d%d/a\nrename d%d/a b%d\nrm b%d\nput %s kept%d\nrmdir d%d\n", round, up, round, round, round, round, up, round, round))
		h.curl(acme, edge.listens("ftp", ""), round)
		if found := edge.searchMemory(needles); len(found) > 0 {
			t.Fatalf("in the edge's memory: %q", found)
		}
	}
	if found := edge.searchFiles(needles); len(found) > 0 {
		t.Errorf("in the edge's files: %q", found)
	}
	for _, folder := range []string{"keys", "spool"} {
		if _, err := os.Lstat(filepath.Join(edge.root(), "etc/sealdrop/data", folder)); err == nil {
			t.Errorf("the edge has a folder %s", folder)
		}
	}
	// The search does find what is there.
	known := map[string][]byte{"its own database user": []byte("sealdrop_edge")}
	if len(edge.searchMemory(known)) == 0 || len(edge.searchFiles(known)) == 0 {
		t.Error("the search finds nothing at all")
	}
	if inside := (&host{*h.in}); len(inside.searchMemory(needles)) == 0 {
		t.Error("the intake's memory has no secret either: the search proves nothing")
	}
	if s := acme.files()["statement.csv.pgp"].State; s != "collected" {
		t.Errorf("the intake knows the report as %s", s)
	}
	if files := acme.files(); files["kept0"].State != "published" {
		t.Errorf("the upload is not there: %v", files)
	}
	h.refusedToTheEdge()
}

// refusedToTheEdge: with what an edge has, no other key can be made one that reports
// are sealed to, and nobody else be let in.
func (h *twoHosts) refusedToTheEdge() {
	h.t.Helper()
	for _, statement := range []string{
		"UPDATE keys SET material = 'mine'", "INSERT INTO keys SELECT * FROM keys", "UPDATE keys SET approved_at = 1", "DELETE FROM keys",
		"UPDATE clients SET disabled = 0", "INSERT INTO client_networks VALUES ('acme', '0.0.0.0/0')", "UPDATE passwords SET hash = 'mine'",
		"UPDATE entries SET legal_hold = 0", "UPDATE entries SET sealed_to = 'mine'", "UPDATE entries SET expires_at = 1", "DELETE FROM entries",
		"UPDATE audit SET detail = ''", "DELETE FROM audit", "SELECT * FROM messages", "SELECT * FROM producers", "SELECT * FROM sources",
		"CREATE TABLE mine (x TEXT)",
	} {
		out, err := h.psql("sealdrop_edge", statement).CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("permission denied")) {
			h.t.Errorf("%s: %v %s", statement, err, out)
		}
	}
}

// twoHosts is an intake and an edge, with PostgreSQL beside the intake.
type twoHosts struct {
	t           *testing.T
	inside, dmz string // network namespaces
	postgres    string // folder of its socket
	in          *gateway
}

const edgePassword = "known to the edge only"

func newTwoHosts(t *testing.T) *twoHosts {
	t.Helper()
	h := &twoHosts{t: t, inside: fmt.Sprintf("sd%din", os.Getpid()), dmz: fmt.Sprintf("sd%ddmz", os.Getpid())}
	ip := func(args ...string) { must(t, exec.Command("ip", args...)) }
	for _, ns := range []string{h.inside, h.dmz} {
		ip("netns", "add", ns)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
		ip("-n", ns, "link", "set", "lo", "up")
	}
	ip("-n", h.inside, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", h.dmz)
	for ns, address := range map[string]string{h.inside: "192.0.2.1/30", h.dmz: "192.0.2.2/30"} {
		ip("-n", ns, "address", "add", address, "dev", "wire")
		ip("-n", ns, "link", "set", "wire", "up")
	}
	h.startPostgres()
	h.startIntake()
	must(t, h.psqlFile("../../deploy/postgres/edge.sql"))
	must(t, h.psql("sealdrop", "ALTER ROLE sealdrop_edge PASSWORD '"+edgePassword+"'"))
	return h
}

// within is a command in a namespace, which ends with the test.
func within(ns, name string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (h *twoHosts) run(cmd *exec.Cmd, log *lockedBuffer, how syscall.Signal) {
	h.t.Helper()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Signal(how)
		_ = cmd.Wait()
		if h.t.Failed() {
			h.t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), log)
		}
	})
}

func (h *twoHosts) startPostgres() {
	t := h.t
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		if os.Getenv("SEALDROP_TEST_WITHOUT_POSTGRES") != "" {
			t.Skip("PostgreSQL is not installed")
		}
		t.Fatal("PostgreSQL is not installed (`make setup` does it)")
	}
	bin := filepath.Dir(found[0])
	if h.postgres, err = os.MkdirTemp("/tmp", "sdpg"); err != nil { // a socket's path is short
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(h.postgres) })
	must(t, exec.Command("chown", "postgres", h.postgres))
	as := []string{"--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"}
	data := filepath.Join(h.postgres, "data")
	must(t, exec.Command("setpriv", append(as, filepath.Join(bin, "initdb"), "--pgdata="+data, "--auth=trust", "--username=sealdrop",
		"--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")...))
	rules := "local all all trust\nhost sealdrop sealdrop_edge 192.0.2.2/32 scram-sha-256\n"
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	h.run(within(h.inside, "setpriv", append(as, filepath.Join(bin, "postgres"), "-D", data, "-k", h.postgres,
		"-c", "listen_addresses=192.0.2.1", "-c", "shared_buffers=32MB")...), &lockedBuffer{}, syscall.SIGQUIT)
	create := "CREATE DATABASE sealdrop TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
	eventually(t, "PostgreSQL answers", func() bool {
		return exec.Command("psql", "-h", h.postgres, "-U", "sealdrop", "-d", "postgres", "-qc", create).Run() == nil
	})
}

func (h *twoHosts) psql(role, statement string) *exec.Cmd {
	return exec.Command("psql", "-h", h.postgres, "-U", role, "-d", "sealdrop", "-v", "ON_ERROR_STOP=1", "-qc", statement)
}

func (h *twoHosts) psqlFile(file string) *exec.Cmd {
	return exec.Command("psql", "-h", h.postgres, "-U", "sealdrop", "-d", "sealdrop", "-v", "ON_ERROR_STOP=1", "-qf", file)
}

func (h *twoHosts) startIntake() {
	t := h.t
	t.Helper()
	h.in = &gateway{t: t, dir: t.TempDir(), log: &lockedBuffer{}}
	h.in.sealdrop("init", "--dir", h.in.dir, "--roles", "intake", "--catalog-url", "postgres://sealdrop@/sealdrop?host="+h.postgres)
	cmd := within(h.inside, binary, "--config", filepath.Join(h.in.dir, "config.yaml"), "serve")
	cmd.Env = append(os.Environ(), "SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_LISTEN=127.0.0.1:0", "SEALDROP_RETENTION_SWEEP=1s")
	h.run(cmd, h.in.log, syscall.SIGTERM)
	h.in.pid = cmd.Process.Pid
	h.in.port = h.in.listens("sftp", "") // for producers
	if strings.Contains(h.in.log.String(), "protocol=ftp") {
		t.Error("the intake listens for FTP")
	}
}

// startEdge runs the edge in a root of its own.
func (h *twoHosts) startEdge() *host {
	t := h.t
	t.Helper()
	root := t.TempDir()
	conf := filepath.Join(root, "etc/sealdrop")
	made := must(t, exec.Command(binary, "init", "--dir", conf, "--roles", "edge", "-o", "json",
		"--catalog-url", "postgres://sealdrop_edge@192.0.2.1/sealdrop?sslmode=disable"))
	var told struct{ Edge bool }
	if err := json.Unmarshal(made, &told); err != nil || !told.Edge {
		t.Errorf("init says %s, %v", made, err)
	}
	must(t, exec.Command("cp", binary, filepath.Join(root, "sealdrop")))
	if err := os.WriteFile(filepath.Join(conf, "catalog.password"), []byte(edgePassword), 0o600); err != nil {
		t.Fatal(err)
	}
	blobs := filepath.Join(conf, "data/blobs")
	env := append(os.Environ(), "SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_PASSIVE_PORTS=any",
		"SEALDROP_CATALOG_PASSWORD_FILE=/etc/sealdrop/catalog.password")
	serve := `exec chroot "$1" /sealdrop --config /etc/sealdrop/config.yaml serve`

	// Nothing that an edge does needs what FIPS 140-3 does not approve, but FTP's passwords.
	env = append(env, "GODEBUG=fips140=only")
	unmounted := within(h.dmz, "sh", "-ec", serve, "sh", root)
	unmounted.Env = env
	if out, err := unmounted.CombinedOutput(); err == nil || !strings.Contains(string(out), "has none of the") || !strings.Contains(string(out), "hint: mount the intake's folder") {
		t.Errorf("an edge without its share: %v\n%s", err, out)
	}

	e := &host{gateway{t: t, dir: conf, log: &lockedBuffer{}}}
	cmd := within(h.dmz, "sh", "-ec", `mount --bind "$2" "$3"; `+serve, "sh", root, filepath.Join(h.in.dir, "data/blobs"), blobs)
	cmd.Env = env
	h.run(cmd, e.log, syscall.SIGTERM)
	e.pid = cmd.Process.Pid
	return e
}

func (h *twoHosts) sftp(c *client, batch string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	args := append([]string{"netns", "exec", h.dmz, "sftp"}, c.openSSH("-b", "-")...)
	cmd := exec.CommandContext(ctx, "ip", append(args, "acme@127.0.0.1")...)
	cmd.Stdin = strings.NewReader(batch)
	cmd.Dir = c.home
	must(h.t, cmd)
}

func (h *twoHosts) fetch(c *client, name string) []byte {
	h.t.Helper()
	h.sftp(c, "get "+name+"\n")
	got, err := os.ReadFile(filepath.Join(c.home, name))
	if err != nil {
		h.t.Fatal(err)
	}
	return got
}

// curl fetches and uploads over FTP with TLS.
func (h *twoHosts) curl(c *client, port string, round int) {
	h.t.Helper()
	base := []string{"-sSk", "--ssl-reqd", "--max-time", "60", "--user", "acme:correct horse battery staple"}
	must(h.t, within(h.dmz, "curl", append(base, "-o", filepath.Join(c.home, "ftp"), "ftp://127.0.0.1:"+port+"/statement.csv.pgp")...))
	must(h.t, within(h.dmz, "curl", append(base, "-T", filepath.Join(c.home, "up"), fmt.Sprintf("ftp://127.0.0.1:%s/ftp%d", port, round))...))
}
