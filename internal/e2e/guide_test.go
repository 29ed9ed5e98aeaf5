package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// guideSections returns the shell commands of a guide in Markdown by the id of the
// section that they stand in, block by block, in the order of the sections.
func guideSections(t *testing.T, text string) (ids []string, commands map[string][]string) {
	t.Helper()
	commands = map[string][]string{}
	anchor := regexp.MustCompile(`^<a id="([a-z-]+)"></a>$`)
	id, in := "", false
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case in && line == "```":
			in = false
		case in:
			commands[id][len(commands[id])-1] += line + "\n"
		case line == "```sh":
			in = true
			if _, seen := commands[id]; !seen {
				ids = append(ids, id)
			}
			commands[id] = append(commands[id], "")
		case anchor.MatchString(line):
			id = anchor.FindStringSubmatch(line)[1]
		}
	}
	return ids, commands
}

// reader is a person at a computer of their own: a home folder, which lies where the
// system says that the user's is (ssh asks the system, not HOME), and somebody who
// types the passphrase when a program asks for it.
type reader struct {
	t          *testing.T
	home, user string
	bin        string
	away       bool // nobody answers what a program asks on the terminal
}

const passphrase = "correct horse"

// The programs that ask: ssh's askpass, and gpg's pinentry with its own protocol.
const (
	askpass  = "#!/bin/sh\necho '" + passphrase + "'\n"
	pinentry = `#!/bin/sh
echo OK
while read -r verb rest; do
	case $verb in
	GETPIN) echo 'D ` + passphrase + `'; echo OK ;;
	BYE) echo OK; exit ;;
	*) echo OK ;;
	esac
done
`
)

func newReader(t *testing.T) *reader {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, home: shortDir(t), bin: t.TempDir(), user: me.HomeDir}
	for path, text := range map[string]string{
		filepath.Join(r.bin, "askpass"):                   askpass,
		filepath.Join(r.bin, "pinentry"):                  pinentry,
		filepath.Join(r.home, ".gnupg", "gpg-agent.conf"): "pinentry-program " + filepath.Join(r.bin, "pinentry") + "\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _, _ = r.shell("gpgconf --kill all").CombinedOutput() })
	return r
}

// shortDir is a folder whose path leaves room for the name of gpg-agent's socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "g")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// ownMounts are the words before a program that may mount what it likes, unseen by
// others.
func ownMounts() []string {
	if os.Geteuid() == 0 {
		return []string{"unshare", "--mount"}
	}
	return []string{"unshare", "--map-root-user", "--mount"}
}

// shell is a shell at a terminal, in the reader's home folder, that stops at the first
// command that fails.
func (r *reader) shell(script string) *exec.Cmd {
	script = `mount --bind "$1" "$2" && cd "$2" || exit 99
` + script
	file := filepath.Join(r.bin, "script")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		r.t.Fatal(err)
	}
	inside := fmt.Sprintf("%s bash -e -u -o pipefail %s %s %s", strings.Join(ownMounts(), " "), file, r.home, r.user)
	cmd := exec.Command("script", "--quiet", "--return", "--command", inside, "/dev/null")
	if !r.away { // gpg asks on the terminal if it may go on
		cmd.Stdin = strings.NewReader("y\n")
	}
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.user, "LC_ALL=C.UTF-8", "SSH_ASKPASS=" + filepath.Join(r.bin, "askpass"), "SSH_ASKPASS_REQUIRE=force",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (r *reader) follow(section, commands string) string {
	r.t.Helper()
	if commands == "" {
		r.t.Fatalf("the section %s has no commands", section)
	}
	out, err := r.shell(commands).CombinedOutput()
	if err != nil {
		r.t.Fatalf("section %s: %v\n%s\n%s", section, err, commands, out)
	}
	return string(out)
}

// TestLinuxGuideIsTrue runs every command of the guide, in the order of the text and
// as it is written there: by the end the reader has made keys, fetched and decrypted a
// report, done what is to be done every day a second time, and all of it again on another
// computer with the backup. What the operator does in between is done here.
func TestLinuxGuideIsTrue(t *testing.T) {
	t.Parallel()
	may := append(ownMounts(), "mount", "-t", "tmpfs", "tmpfs", "/mnt")
	if out, err := exec.Command(may[0], may[1:]...).CombinedOutput(); err != nil {
		t.Skipf("ssh looks for its files in the home folder of the system's user, and another can't be put in its place here: %v: %s", err, out)
	}
	const signing = "SEALDROP_SEALING_SIGN=true" // then there are the most commands
	g := startWith(t, "SEALDROP_SFTP_LISTEN="+freePorts("127.0.0.1"), signing)
	g.sealdrop("client", "add", "acme", "--name", "Acme Capital", "--allow", "127.0.0.1")
	command := g.command("guide", "--client", "acme", "--lang", "en", "--os", "linux", "--host", "127.0.0.1")
	command.Env = append(os.Environ(), "SEALDROP_SFTP_LISTEN=127.0.0.1:"+g.port, signing)
	ids, commands := guideSections(t, string(must(t, command)))
	r := newReader(t)
	ran := map[string]bool{}
	step := func(id string) string { ran[id] = true; return r.follow(id, strings.Join(commands[id], "\n")) }

	step("ssh-key-shell")
	step("pgp-key-linux")
	if out := step("send"); !strings.Contains(out, "SHA256:") || !strings.Contains(out, "RSA") {
		t.Errorf("the fingerprints are not shown:\n%s", out)
	}
	public := filepath.Join(r.home, "acme-public")
	g.sealdrop("key", "import", "--client", "acme", filepath.Join(public, "acme_rsa.pub"), filepath.Join(public, "acme-pgp.asc"))
	deliver := func(name, text string, flags ...string) {
		t.Helper()
		report := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(report, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		command := g.command(append([]string{"deliver", "--client", "acme", report}, flags...)...)
		command.Env = append(os.Environ(), signing)
		must(t, command)
	}
	deliver("statement.csv", "figures of the month\n")

	if out := step("openssh"); !strings.Contains(out, "statement.csv.pgp") {
		t.Errorf("the report is not listed:\n%s", out)
	}
	if out := step("decrypt-linux"); !strings.Contains(out, "Good signature") {
		t.Errorf("the signature was not found good:\n%s", out)
	}
	r.opened("statement.csv", "figures of the month\n")
	r.everyDay(commands, deliver)
	step("backup")
	for _, id := range []string{"problem-b", "problem-c"} {
		if out := step(id); !strings.Contains(out, "SHA256:") {
			t.Errorf("section %s shows no fingerprint:\n%s", id, out)
		}
	}

	// Another computer, with nothing on it but the backup.
	old := r
	r = newReader(t)
	if err := os.CopyFS(filepath.Join(r.home, "acme-keys"), os.DirFS(filepath.Join(old.home, "acme-keys"))); err != nil {
		t.Fatal(err)
	}
	step("move")
	step("openssh")
	step("decrypt-linux")
	r.opened("statement.csv", "figures of the month\n")
	r.opened("costs.csv", "costs, mended\n")

	for _, id := range ids {
		if !ran[id] {
			t.Errorf("the commands of the section %s were not run", id)
		}
	}
}

// everyDay follows what the guide has to be done every time, which is the last block of
// its section, on two more days, with nobody there to answer questions.
func (r *reader) everyDay(commands map[string][]string, deliver func(name, text string, flags ...string)) {
	r.t.Helper()
	r.away = true
	defer func() { r.away = false }()
	again := func(id string) string { r.t.Helper(); return r.follow(id, commands[id][len(commands[id])-1]) }

	// The reader has worked on the first report, and the transfer of another broke off.
	r.write("statement.csv", "figures with notes\n")
	r.write("broken.csv.pgp", "half a report")
	deliver("costs.csv", "costs\n")
	if out := again("openssh"); !strings.Contains(out, "costs.csv.pgp") {
		r.t.Errorf("the second report is not listed:\n%s", out)
	}
	again("decrypt-linux")
	r.opened("costs.csv", "costs\n")
	r.opened("statement.csv", "figures with notes\n")
	if _, err := os.Stat(r.path("broken.csv")); err == nil {
		r.t.Error("half a report looks like a whole one")
	}

	// The producer has replaced a report by another of the same name.
	deliver("costs.csv", "costs, mended\n", "--replace")
	again("openssh")
	if out := again("decrypt-linux"); strings.Contains(out, "statement") {
		r.t.Errorf("a report that was decrypted was decrypted again:\n%s", out)
	}
	r.opened("costs.csv", "costs, mended\n")
	r.opened("statement.csv", "figures with notes\n")
}

// path is that of a file in the folder that the guide has reports fetched to.
func (r *reader) path(name string) string { return filepath.Join(r.home, "acme-reports", name) }

func (r *reader) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reader) opened(name, text string) {
	r.t.Helper()
	if got, err := os.ReadFile(r.path(name)); err != nil || string(got) != text {
		r.t.Errorf("the decrypted %s is %q, %v", name, got, err)
	}
}
