package pgp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/sealdrop/sealdrop/internal/keytext"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

// dearmor takes our own armor apart.
func dearmor(t testing.TB, armored string) []byte {
	t.Helper()
	lines := strings.Split(armored, "\n")
	body, err := base64.StdEncoding.DecodeString(strings.Join(lines[2:len(lines)-3], ""))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func toUTF16(text string) []byte {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(text)) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

func TestParseReadsWhatClientsSend(t *testing.T) {
	t.Parallel()
	cert := newKey(t).Certificate()
	text := cert.Armored()
	other := newKey(t).Certificate()
	lines := strings.Split(text, "\n")
	withoutChecksum := strings.Join(slices.Delete(slices.Clone(lines), len(lines)-3, len(lines)-2), "\n")
	for name, data := range map[string]string{
		"armored":          text,
		"binary":           string(dearmor(t, text)),
		"crlf":             strings.ReplaceAll(text, "\n", "\r\n"),
		"cr":               strings.ReplaceAll(text, "\n", "\r"),
		"bom":              "\ufeff" + text,
		"utf-16":           string(toUTF16(text)),
		"quoted":           "> " + strings.ReplaceAll(text, "\n", "\n> "),
		"prose around":     "Hello,\nour key is below.\n\n" + text + "\nKind regards\n",
		"no checksum":      withoutChecksum,
		"version header":   strings.Replace(text, "BLOCK-----\n\n", "BLOCK-----\nVersion: GnuPG v2\nComment: x\n\n", 1),
		"no blank line":    strings.Replace(text, "BLOCK-----\n\n", "BLOCK-----\n", 1),
		"trust packet":     string(dearmor(t, text)) + "\xcc\x02\x00\x00",
		"html":             "<html><body><pre>" + strings.ReplaceAll(text, "\n", "<br>\n") + "</pre></body></html>",
		"in a signed mail": "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + strings.ReplaceAll(text, "-----B", "- -----B") + "\n-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := parseOne(t, []byte(data))
			if got.Fingerprint() != cert.Fingerprint() || got.Usable(time.Now()) != nil {
				t.Errorf("read %s", got)
			}
			if again := parseOne(t, []byte(got.Armored())); again.Fingerprint() != cert.Fingerprint() {
				t.Errorf("stored form read as %s", again)
			}
		})
	}
	for name, data := range map[string]string{
		"two blocks":        text + "\n" + other.Armored(),
		"two keys, binary":  string(dearmor(t, text)) + string(dearmor(t, other.Armored())),
		"two blocks, prose": "one:\n" + text + "two:\n" + other.Armored() + "bye\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certs, err := pgp.Parse([]byte(data))
			if err != nil || len(certs) != 2 || certs[0].Fingerprint() != cert.Fingerprint() || certs[1].Fingerprint() != other.Fingerprint() {
				t.Errorf("got %v, %v", certs, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	text := key.Certificate().Armored()
	other := newKey(t).Certificate().Armored()
	body := dearmor(t, text)
	v5 := bytes.Clone(body)
	v5[2] = 5
	lines := strings.Split(text, "\n")
	checksum := lines[len(lines)-3]
	for name, test := range map[string]struct {
		data string
		want string
	}{
		"empty":                 {"", "empty"},
		"blank":                 {"\ufeff \n\n", "empty"},
		"wrong checksum":        {strings.Replace(text, checksum, "=AAAA", 1), "checksum"},
		"changed letter":        {strings.Replace(text, lines[3], swapCase(lines[3]), 1), "checksum"},
		"no end line":           {strings.Join(lines[:len(lines)-2], "\n"), "cut off"},
		"cut off, binary":       {string(body[:len(body)-10]), "cut off"},
		"second block damaged":  {text + strings.Replace(other, "\n=", "\nAA=A\n=", 1), "damaged"},
		"second block cut off":  {text + other[:len(other)/2], "cut off"},
		"second key unreadable": {string(body) + string(v5), "version 5"},
		"gnupg version 5":       {string(v5), "version 5"},
		"version 3":             {"\x99\x00\x06\x03\x00\x00\x00\x00\x01", "version 3"},
		"message":               {"-----BEGIN PGP MESSAGE-----\n\nAAAA\n-----END PGP MESSAGE-----\n", "message"},
		"signature":             {"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n", "signature"},
		"same key twice":        {text + text, "twice"},
		"no user id":            {string(body[:2+int(body[1])]), "damaged"},
		"user id only":          {"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + base64.StdEncoding.EncodeToString([]byte("\xcd\x01x")) + "\n-----END PGP PUBLIC KEY BLOCK-----\n", "primary key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certs, err := pgp.Parse([]byte(test.data))
			if err == nil || certs != nil {
				t.Fatalf("read %v", certs)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not speak of %q", err, test.want)
			}
			var hinted interface{ Hint() string }
			if !errors.As(err, &hinted) || hinted.Hint() == "" {
				t.Errorf("%v has no hint", err)
			}
		})
	}
}

func swapCase(line string) string {
	if upper := strings.ToUpper(line); upper != line {
		return upper
	}
	return strings.ToLower(line)
}

func TestParseKnowsWhatIsNotPGP(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"ssh":    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0K9Ki0O9zDqrmEAjl8cVBnj9uFLc4X4gSFqOWEn8dQ ops@acme\n",
		"prose":  "Zürich, den 3. Mai",
		"latin1": "\xc5rsrapport\x02\n",
		"pem":    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"zip":    "PK\x03\x04\x00\x00",
	} {
		if _, err := pgp.Parse([]byte(data)); !errors.Is(err, pgp.ErrNotPGP) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var large *keytext.TooLargeError
	if _, err := pgp.Parse(make([]byte, keytext.MaxSize+1)); !errors.As(err, &large) {
		t.Errorf("1 MiB: %v", err)
	}
}

func TestPrivateKeyIsNeverTaken(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	secret, public := key.Armored(), key.Certificate().Armored()
	other := newKey(t).Armored()
	relabel := func(text string) string { return strings.ReplaceAll(text, "PRIVATE", "PUBLIC") }
	binarySecret := string(dearmor(t, secret))
	for name, data := range map[string]string{
		"armored":               secret,
		"binary":                binarySecret,
		"binary, cut off":       binarySecret[:60],
		"labelled public":       relabel(secret),
		"second block":          public + other,
		"second block, public":  public + relabel(other),
		"second in binary":      string(dearmor(t, public)) + binarySecret,
		"secret subkey only":    string(dearmor(t, public)) + "\xc7\x01\x04",
		"utf-16":                string(toUTF16(secret)),
		"quoted":                "> " + strings.ReplaceAll(secret, "\n", "\n> "),
		"first line alone":      "-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
		"openssh":               "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
		"before a broken block": relabel(other) + "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certs, err := pgp.Parse([]byte(data))
			var private *pgp.PrivateKeyError
			if certs != nil || !errors.As(err, &private) {
				t.Fatalf("got %v, %v", certs, err)
			}
			if !strings.Contains(private.Hint(), "destroy") {
				t.Errorf("hint: %s", private.Hint())
			}
			shown := fmt.Sprintf("%v %+v %#v", err, err, err)
			for i := 0; i+12 < len(data); i += 12 {
				if chunk := data[i : i+12]; len(strings.TrimSpace(chunk)) == 12 && strings.Contains(shown, chunk) {
					t.Errorf("the error shows %q", chunk)
				}
			}
		})
	}
}

func TestPrivateKeyShowsNoSecret(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		shown := fmt.Sprintf(verb, key)
		if !strings.Contains(shown, key.Certificate().Fingerprint()) || len(shown) > 80 {
			t.Errorf("%s shows %q", verb, shown)
		}
	}
	if got := key.LogValue().String(); got != key.String() {
		t.Errorf("logs as %q", got)
	}
	again, err := pgp.ReadPrivateKey([]byte(key.Armored()))
	if err != nil || again.Certificate().Fingerprint() != key.Certificate().Fingerprint() {
		t.Errorf("read back %v, %v", again, err)
	}
}

func TestReadPrivateKeyRefuses(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for name, data := range map[string]string{
		"empty":       "",
		"public":      key.Certificate().Armored(),
		"binary half": string(dearmor(t, key.Armored())[:50]),
		"two":         key.Armored() + newKey(t).Armored(),
	} {
		if _, err := pgp.ReadPrivateKey([]byte(data)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := pgp.GeneratePrivateKey("a\nb", time.Now()); err == nil {
		t.Error("name with a line end: taken")
	}
}

// Certificates are shared by all deliveries to a client; run with -race.
func TestCertificateIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	cert, err := pgp.Parse([]byte(newKey(t).Certificate().Armored()))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				at := time.Now().Add(time.Duration(i*j) * time.Hour)
				if err := cert[0].Usable(at); err != nil {
					t.Error(err)
				}
				w, err := pgp.NewWriter(io.Discard, pgp.Options{Recipients: cert, Now: at, Size: -1})
				if err != nil {
					t.Error(err)
					return
				}
				if err := w.Close(); err != nil {
					t.Error(err)
				}
				_ = cert[0].UserIDs()
			}
		})
	}
	wg.Wait()
}
