package certificate_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/certificate"
)

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	cert, key, err := certificate.SelfSigned(dir, []string{"sftp.example.com", "127.0.0.1", "::1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tls")
	cert, key := selfSigned(t, dir)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	for _, name := range []string{"sftp.example.com", "127.0.0.1", "::1"} {
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	selfSigned(t, dir)
	if after, err := os.ReadFile(cert); err != nil || !bytes.Equal(before, after) {
		t.Errorf("it was made anew: %v", err)
	}
}

func TestChangedFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t, t.TempDir())
	otherCert, otherKey := selfSigned(t, t.TempDir())
	var log bytes.Buffer
	c := &clock{time.Now()}
	f, err := certificate.Open(cert, key, c.now, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	first := f.Fingerprint()
	replace := func(path, with string) {
		data, err := os.ReadFile(with)
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err == nil {
			err = os.Chtimes(path, c.t, c.t)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c.t = c.t.Add(2 * time.Second)
	replace(cert, otherCert)
	if got := f.Fingerprint(); got != first || !strings.Contains(log.String(), "can't be used") {
		t.Errorf("half a change is taken: %s, log %s", got, log.String())
	}
	c.t = c.t.Add(2 * time.Second)
	replace(key, otherKey)
	if got := f.Fingerprint(); got == first || len(got) != 32*3-1 {
		t.Errorf("the fingerprint is still %s", got)
	}
	if until := time.Until(f.Expires()); until < 9*365*24*time.Hour {
		t.Errorf("it expires in %s", until)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t, t.TempDir())
	_, otherKey := selfSigned(t, t.TempDir())
	for _, test := range []struct{ cert, key, want string }{
		{cert + ".gone", key, "no such file"},
		{cert, otherKey, "does not match"},
		{key, key, "certificate"},
	} {
		_, err := certificate.Open(test.cert, test.key, time.Now, slog.New(slog.DiscardHandler))
		hinted, ok := errors.AsType[*certificate.Error](err)
		if !ok || !strings.Contains(err.Error(), test.want) || hinted.Hint() == "" {
			t.Errorf("%s: %v", test.want, err)
		}
	}
	denied := &certificate.Error{Err: fs.ErrPermission}
	if !strings.Contains(denied.Hint(), "let the user") {
		t.Errorf("without permission: %s", denied.Hint())
	}
}
