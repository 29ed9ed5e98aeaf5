package certificate_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/certificate"
)

func TestAuthoritiesAreReadAgain(t *testing.T) {
	t.Parallel()
	now := time.Now()
	pem := func(name string) []byte {
		t.Helper()
		cert, _, err := certificate.SelfSigned(filepath.Join(t.TempDir(), "tls"), []string{name}, now)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	write := func(data []byte) {
		t.Helper()
		now = now.Add(time.Minute)
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, now, now)); err != nil {
			t.Fatal(err)
		}
	}
	write(pem("one.example"))
	a, err := certificate.OpenAuthorities(path, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	one := a.Get()
	if !a.Get().Equal(one) {
		t.Error("it changes by itself")
	}
	write(pem("two.example"))
	two := a.Get()
	if two.Equal(one) {
		t.Error("a changed file is not read")
	}
	write([]byte("half writ"))
	if !a.Get().Equal(two) {
		t.Error("a bad file takes the place of a good one")
	}
	var none *certificate.NoAuthorityError
	if _, err := certificate.ReadAuthorities(path); !errors.As(err, &none) || none.Hint() == "" {
		t.Errorf("the error is %v", err)
	}
}
