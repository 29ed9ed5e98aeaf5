package certificate

import (
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Authorities is a file with the certificates of authorities. It is safe for
// concurrent use.
type Authorities struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	current *x509.CertPool
	seen    fileStamp
	checked time.Time
}

type fileStamp struct {
	time time.Time
	size int64
}

// OpenAuthorities reads certificates of authorities (PEM).
func OpenAuthorities(path string, now func() time.Time, log *slog.Logger) (*Authorities, error) {
	a := &Authorities{path: path, now: now, log: log, checked: now()}
	a.seen, _ = a.stamp() // what is wrong with the file, reading it tells better
	var err error
	a.current, err = ReadAuthorities(path)
	return a, err
}

func (a *Authorities) stamp() (fileStamp, error) {
	info, err := os.Stat(a.path)
	if err != nil {
		return fileStamp{}, err
	}
	return fileStamp{info.ModTime(), info.Size()}, nil
}

// Get returns the authorities as they are now. The pool must not be changed.
func (a *Authorities) Get() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if elapsed := now.Sub(a.checked); elapsed >= 0 && elapsed < checkEvery {
		return a.current
	}
	a.checked = now
	s, err := a.stamp()
	if err == nil && s == a.seen {
		return a.current
	}
	a.seen = s
	fresh, err := ReadAuthorities(a.path)
	if err != nil {
		a.log.Error("the changed certificates of authorities can't be used; those before stay", "event", "certificate.unusable", "error", err)
		return a.current
	}
	a.log.Info("certificates of authorities read again", "event", "certificate.reread", "file", a.path)
	a.current = fresh
	return a.current
}

// ReadAuthorities reads certificates of authorities (PEM) once.
func ReadAuthorities(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates of authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, &NoAuthorityError{path}
	}
	return pool, nil
}

// NoAuthorityError says that a file has no certificate in it.
type NoAuthorityError struct{ Path string }

func (e *NoAuthorityError) Error() string { return "there is no certificate in " + e.Path }

// Hint says what an operator can do.
func (*NoAuthorityError) Hint() string {
	return "name a PEM file that has -----BEGIN CERTIFICATE----- in it"
}
