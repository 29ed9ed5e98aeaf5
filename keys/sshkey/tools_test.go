package sshkey_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/keys/sshkey"
)

// run runs a key tool and returns what it printed; the test is skipped where the
// tool isn't installed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// shown is what "ssh-keygen -l" shows of a public key's file.
func shown(t *testing.T, file string) (bits, fingerprint string) {
	t.Helper()
	words := strings.Fields(run(t, "ssh-keygen", "-l", "-f", file))
	return words[0], words[1]
}

// parseOne parses a text that holds one key.
func parseOne(t *testing.T, data []byte) sshkey.PublicKey {
	t.Helper()
	keys, err := sshkey.Parse(data)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, data)
	}
	if len(keys) != 1 {
		t.Fatalf("Parse gives %d keys, want 1", len(keys))
	}
	return keys[0]
}

var kinds = []struct {
	args      []string
	algorithm string
}{
	{[]string{"-t", "ed25519"}, "ssh-ed25519"},
	{[]string{"-t", "rsa", "-b", "2048"}, "ssh-rsa"},
	{[]string{"-t", "rsa", "-b", "2050"}, "ssh-rsa"},
	{[]string{"-t", "ecdsa", "-b", "256"}, "ecdsa-sha2-nistp256"},
	{[]string{"-t", "ecdsa", "-b", "384"}, "ecdsa-sha2-nistp384"},
	{[]string{"-t", "ecdsa", "-b", "521"}, "ecdsa-sha2-nistp521"},
}

// sshKeygen makes a pair and returns the private key's file.
func sshKeygen(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	run(t, "ssh-keygen", append([]string{"-q", "-N", "", "-C", "jane@example.com", "-f", file}, args...)...)
	return file
}

func TestParseReadsWhatSSHKeygenWrites(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(strings.Join(kind.args, " "), func(t *testing.T) {
			t.Parallel()
			file := sshKeygen(t, kind.args...)
			bits, fingerprint := shown(t, file+".pub")
			texts := map[string]string{"openssh": string(read(t, file+".pub"))}
			for format, form := range map[string]string{"RFC4716": "rfc4716", "PKCS8": "pkcs8", "PEM": "pkcs1"} {
				if kind.algorithm != "ssh-rsa" && format != "RFC4716" && (format == "PEM" || kind.algorithm == "ssh-ed25519") {
					continue // ssh-keygen can't write these
				}
				texts[form] = run(t, "ssh-keygen", "-e", "-m", format, "-f", file+".pub")
			}
			for form, text := range texts {
				for name, mangled := range mangle(text) {
					key := parseOne(t, []byte(mangled))
					if got := fmt.Sprint(key.Bits()); key.Fingerprint() != fingerprint || got != bits || key.Algorithm() != kind.algorithm || key.Form() != form {
						t.Errorf("%s, %s: got %s %s %s %s; ssh-keygen shows %s %s", form, name, key.Form(), got, key.Algorithm(), key.Fingerprint(), bits, fingerprint)
					}
					if want := strings.TrimSpace(texts["openssh"]); form == "openssh" && key.Line() != want {
						t.Errorf("%s: Line = %q, want %q", name, key.Line(), want)
					}
				}
			}
		})
	}
}

// mangle gives a text as mails and editors bring it.
func mangle(text string) map[string]string {
	return map[string]string{
		"as written":         text,
		"CRLF":               strings.ReplaceAll(text, "\n", "\r\n"),
		"CR":                 strings.ReplaceAll(text, "\n", "\r"),
		"byte order mark":    "\ufeff" + text,
		"blank lines":        "\n\r\n  \n" + text + "\n\n",
		"quoted":             "> " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n> "),
		"indented":           "    " + strings.ReplaceAll(text, "\n", "\n    "),
		"HTML":               "<html><body><p>" + strings.ReplaceAll(text, "\n", "<br>\n") + "</p></body></html>",
		"in a mail":          "Dear all,\n\nplease find our key below (ssh-rsa or so):\n\n" + text + "\n--\nJane Doe <jane@example.com>\nhttps://example.com/\n",
		"no last line end":   strings.TrimSpace(text),
		"twice in one file":  text + "\n" + text,
		"after a # comment":  "# our key\n" + text,
		"UTF-16 with a mark": "\xff\xfe" + widen(text),
		"UTF-16 without":     widen(text),
	}
}

// widen encodes ASCII text as UTF-16LE.
func widen(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.Write([]byte{text[i], 0})
	}
	return b.String()
}

func TestParseReadsWhatPuTTYgenWrites(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct{ name, algorithm string }{
		{"rsa -b 2048", "ssh-rsa"}, {"ed25519", "ssh-ed25519"}, {"ecdsa -b 384", "ecdsa-sha2-nistp384"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			ppk := filepath.Join(t.TempDir(), "key.ppk")
			args := append([]string{"-q", "-t"}, strings.Fields(kind.name)...)
			run(t, "puttygen", append(args, "-C", "rsa-key 20260102", "--new-passphrase", os.DevNull, "-o", ppk)...)
			for putty, form := range map[string]string{"public": "rfc4716", "public-openssh": "openssh"} {
				file := ppk + "." + putty
				run(t, "puttygen", ppk, "-O", putty, "-o", file)
				key := parseOne(t, read(t, file))
				if key.Form() != form || key.Algorithm() != kind.algorithm || key.Comment() != "rsa-key 20260102" {
					t.Errorf("%s: got %s, %s, %q", putty, key.Form(), key.Algorithm(), key.Comment())
				}
				line := filepath.Join(t.TempDir(), "line.pub")
				if err := os.WriteFile(line, []byte(key.Line()+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, fingerprint := shown(t, line); key.Fingerprint() != fingerprint {
					t.Errorf("%s: fingerprint %s, ssh-keygen shows %s", putty, key.Fingerprint(), fingerprint)
				}
				if out := run(t, "puttygen", "-l", ppk); !strings.Contains(out, key.Fingerprint()) {
					t.Errorf("%s: fingerprint %s, puttygen shows %s", putty, key.Fingerprint(), out)
				}
			}
		})
	}
}

func TestPrivateKeyIsRefusedWithoutAByteOfIt(t *testing.T) {
	t.Parallel()
	const openssh, pem, ppk, sshcom = "an OpenSSH private key", "a PEM private key", "a PuTTY private key (.ppk)", "an SSH2 private key"
	putty := func(args ...string) []string {
		return append([]string{"puttygen", "-q", "--new-passphrase", os.DevNull, "-C", "jane@example.com"}, args...)
	}
	keygen := func(args ...string) []string {
		return append([]string{"ssh-keygen", "-q", "-C", "jane@example.com"}, args...)
	}
	tests := map[string]struct {
		command []string
		want    string
	}{
		"openssh":            {keygen("-t", "ed25519", "-N", "", "-f", "FILE"), openssh},
		"openssh, encrypted": {keygen("-t", "ed25519", "-N", "a phrase", "-f", "FILE"), openssh},
		"pem":                {keygen("-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f", "FILE"), pem},
		"pem, encrypted":     {keygen("-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "a phrase", "-f", "FILE"), pem},
		"pkcs8":              {keygen("-t", "ecdsa", "-m", "PKCS8", "-N", "", "-f", "FILE"), pem},
		"ppk 2":              {putty("-t", "ed25519", "--ppk-param", "version=2", "-o", "FILE"), ppk},
		"ppk 3":              {putty("-t", "rsa", "-b", "2048", "--ppk-param", "version=3", "-o", "FILE"), ppk},
		"ssh.com":            {putty("-t", "rsa", "-b", "2048", "-O", "private-sshcom", "-o", "FILE"), sshcom},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "key")
			for i, arg := range test.command {
				if arg == "FILE" {
					test.command[i] = file
				}
			}
			run(t, test.command[0], test.command[1:]...)
			text := string(read(t, file))
			for how, mangled := range mangle(text) {
				wantPrivate(t, how, mangled, test.want)
			}
			wantPrivate(t, "cut off", text[:len(text)/2], test.want)
		})
	}
}

// wantPrivate checks that a text is refused as a private key, and that the error
// shares no run of eight characters with its base64.
func wantPrivate(t *testing.T, how, text, want string) {
	t.Helper()
	keys, err := sshkey.Parse([]byte(text))
	private := new(sshkey.PrivateKeyError)
	if !errors.As(err, &private) || keys != nil || private.What != want {
		t.Errorf("%s: Parse = %d keys, %v; want a PrivateKeyError for %s", how, len(keys), err, want)
		return
	}
	said := fmt.Sprintf("%v %+v %#v %s", err, private, private, private.Hint())
	for _, must := range []string{"destroy", "new pair", "ssh-keygen -t ed25519", "puttygen"} {
		if !strings.Contains(said, must) {
			t.Errorf("%s: %q lacks %q", how, said, must)
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		for i := 0; i+8 <= len(line) && !strings.ContainsAny(line, " :<"); i++ {
			if strings.Contains(said, line[i:i+8]) {
				t.Errorf("%s: the error holds %q of the key", how, line[i:i+8])
			}
		}
	}
}

func TestCertificateIsRefused(t *testing.T) {
	t.Parallel()
	ca, user := sshKeygen(t, "-t", "ed25519"), sshKeygen(t, "-t", "rsa", "-b", "2048")
	run(t, "ssh-keygen", "-q", "-s", ca, "-I", "jane", user+".pub")
	certificate := read(t, user+"-cert.pub")
	_, err := sshkey.Parse(certificate)
	unsupported := new(sshkey.UnsupportedKeyError)
	if !errors.As(err, &unsupported) || unsupported.Algorithm != "ssh-rsa-cert-v01@openssh.com" || unsupported.Line != 1 ||
		!strings.Contains(unsupported.Hint(), ".pub") {
		t.Errorf("Parse = %v", err)
	}
	pub, _, _, _, err := ssh.ParseAuthorizedKey(certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := sshkey.Check(pub); !errors.As(err, &unsupported) {
		t.Errorf("Check = %v", err)
	}
}

func TestDSAIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dsa.ppk")
	run(t, "puttygen", "-q", "-t", "dsa", "-b", "1024", "--new-passphrase", os.DevNull, "-o", file)
	for _, form := range []string{"public", "public-openssh"} {
		run(t, "puttygen", file, "-O", form, "-o", file+form)
		_, err := sshkey.Parse(read(t, file+form))
		if weak := new(sshkey.WeakKeyError); !errors.As(err, &weak) || weak.Algorithm != "ssh-dss" || weak.Line != 1 || weak.Hint() == "" {
			t.Errorf("%s: Parse = %v", form, err)
		}
	}
}

func TestShortRSAIsRefused(t *testing.T) {
	t.Parallel()
	file := sshKeygen(t, "-t", "rsa", "-b", "1024")
	texts := []string{string(read(t, file+".pub"))}
	for _, format := range []string{"RFC4716", "PKCS8", "PEM"} {
		texts = append(texts, run(t, "ssh-keygen", "-e", "-m", format, "-f", file+".pub"))
	}
	for _, text := range texts {
		_, err := sshkey.Parse([]byte("\n\n" + text))
		weak := new(sshkey.WeakKeyError)
		if !errors.As(err, &weak) || weak.Bits != 1024 || err.Error() != "line 3: an RSA key of 1024 bits is too weak: at least 2048" {
			t.Errorf("Parse = %v\n%s", err, text)
		}
		if hint := weak.Hint(); !strings.Contains(hint, "ssh-keygen -t ed25519") || !strings.Contains(hint, "puttygen -t rsa -b 3072") {
			t.Errorf("hint: %s", hint)
		}
	}
}
