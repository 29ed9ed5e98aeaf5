package pgp_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// gnupg is a real gpg with a home of its own.
type gnupg struct {
	t    testing.TB
	home string
}

// newGnuPG skips the test where gpg is missing. The home has a short path, because
// the agent's socket is in it.
func newGnuPG(t testing.TB) *gnupg {
	t.Helper()
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed")
	}
	home, err := os.MkdirTemp("/tmp", "sealdrop-gpg-")
	if err != nil {
		t.Fatal(err)
	}
	g := &gnupg{t: t, home: home}
	t.Cleanup(func() {
		cmd := exec.Command("gpgconf", "--kill", "all")
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
		_ = cmd.Run()
		_ = os.RemoveAll(home)
	})
	return g
}

// try runs gpg and returns its standard output, its messages, and whether it
// succeeded.
func (g *gnupg) try(stdin []byte, args ...string) (stdout []byte, messages string, err error) {
	args = append([]string{"--homedir", g.home, "--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)
	cmd := exec.Command("gpg", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.String(), err
}

func (g *gnupg) run(stdin []byte, args ...string) []byte {
	g.t.Helper()
	out, messages, err := g.try(stdin, args...)
	if err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, messages)
	}
	return out
}

// interactive runs gpg without --batch, as its dialogues demand.
func (g *gnupg) interactive(stdin string, args []string) []byte {
	g.t.Helper()
	cmd := exec.Command("gpg", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.Bytes()
}

// generate makes a key from a parameter file and returns its fingerprint.
func (g *gnupg) generate(parameters string, options ...string) string {
	g.t.Helper()
	args := append(options, "--status-fd", "1", "--generate-key")
	out := g.run([]byte("%no-protection\n"+parameters+"\n%commit\n"), args...)
	_, rest, ok := strings.Cut(string(out), "KEY_CREATED ")
	if !ok {
		g.t.Fatalf("gpg made no key: %s", out)
	}
	return strings.Fields(rest)[1]
}

func (g *gnupg) export(fingerprint string) []byte {
	g.t.Helper()
	return g.run(nil, "--armor", "--export", fingerprint)
}

func (g *gnupg) certificate(fingerprint string) pgp.Certificate {
	g.t.Helper()
	return parseOne(g.t, g.export(fingerprint))
}

// Parameter files for gpg. Curve25519 is quick; it serves where the kind of key does
// not matter.
const (
	curve25519 = "Key-Type: eddsa\nKey-Curve: ed25519\nKey-Usage: sign\nSubkey-Type: ecdh\nSubkey-Curve: cv25519\nSubkey-Usage: encrypt\nExpire-Date: 0\nName-Real: Acme Capital\nName-Email: ops@acme.example"
	signOnly   = "Key-Type: eddsa\nKey-Curve: ed25519\nKey-Usage: sign\nExpire-Date: 0\nName-Real: Sign Only"
)

func rsaParameters(bits string) string {
	return "Key-Type: RSA\nKey-Length: " + bits + "\nKey-Usage: sign\nSubkey-Type: RSA\nSubkey-Length: " + bits + "\nSubkey-Usage: encrypt\nExpire-Date: 0\nName-Real: RSA " + bits
}

func parseOne(t testing.TB, data []byte) pgp.Certificate {
	t.Helper()
	certs, err := pgp.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(certs) != 1 {
		t.Fatalf("got %d certificates", len(certs))
	}
	return certs[0]
}

func newKey(t testing.TB) pgp.PrivateKey {
	t.Helper()
	key, err := pgp.GeneratePrivateKey("Sealdrop hold key", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// seal returns the whole sealed file.
func seal(t testing.TB, content []byte, o pgp.Options) []byte {
	t.Helper()
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	var sealed bytes.Buffer
	w, err := pgp.NewWriter(&sealed, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

// unseal opens a sealed file with the library's own reader, which checks the
// integrity code and the order of packets.
func unseal(sealed []byte, key pgp.PrivateKey) (content []byte, about *openpgp.MessageDetails, err error) {
	ring, err := openpgp.ReadArmoredKeyRing(strings.NewReader(key.Armored()))
	if err != nil {
		return nil, nil, err
	}
	about, err = openpgp.ReadMessage(bytes.NewReader(sealed), ring, nil, &packet.Config{})
	if err != nil {
		return nil, nil, err
	}
	content, err = io.ReadAll(about.UnverifiedBody)
	return content, about, err
}

func mustUnseal(t testing.TB, sealed []byte, key pgp.PrivateKey) []byte {
	t.Helper()
	content, _, err := unseal(sealed, key)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// statement returns text that compresses as an activity statement does.
func statement(size int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	var text bytes.Buffer
	for text.Len() < size {
		writeTrade(&text, random)
	}
	return text.Bytes()[:size]
}

func writeTrade(w *bytes.Buffer, random *rand.Rand) {
	symbols := []string{"AAPL", "MSFT", "SAP", "NESN", "BRK B", "EUR.USD", "ESZ6"}
	w.WriteString("Trades,Data,Order,Stocks,USD,")
	w.WriteString(symbols[random.IntN(len(symbols))])
	w.WriteString(",\"2026-03-")
	w.Write([]byte{'0' + byte(random.IntN(3)), '0' + byte(random.IntN(10))})
	w.WriteString(", 15:30:00\",")
	for range 5 {
		for range 2 + random.IntN(4) {
			w.WriteByte('0' + byte(random.IntN(10)))
		}
		w.WriteByte('.')
		w.WriteByte('0' + byte(random.IntN(10)))
		w.WriteByte(',')
	}
	w.WriteString("O;P\n")
}

func noise(size int) []byte {
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{7})
	_, _ = random.Read(data)
	return data
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
