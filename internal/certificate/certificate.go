// Package certificate keeps a TLS certificate that lives in files, and reads it
// again when they change: whoever renews it need not tell the gateway. Start with
// [Open]; where there is none yet, [SelfSigned] makes one.
//
// A changed pair that can't be used (half written, or of two different keys)
// leaves the one before in use, and says so in the log.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/internal/durable"
)

// checkEvery is how often, at most, the files are looked at.
const checkEvery = time.Second

// File is a certificate with its private key. It is safe for concurrent use.
type File struct {
	certificate, key string
	now              func() time.Time
	log              *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	seen    stamp // of the files when they were last read, good or bad
	checked time.Time
}

// stamp tells one state of the two files from another.
type stamp struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

// Open reads a certificate chain and its private key, both PEM.
func Open(certificate, key string, now func() time.Time, log *slog.Logger) (*File, error) {
	f := &File{certificate: certificate, key: key, now: now, log: log}
	f.seen, _ = f.stamp() // what is wrong with the files, reading them tells better
	current, err := f.read()
	if err != nil {
		return nil, err
	}
	f.current, f.checked = current, now()
	return f, nil
}

func (f *File) stamp() (s stamp, err error) {
	cert, err := os.Stat(f.certificate)
	if err != nil {
		return s, err
	}
	key, err := os.Stat(f.key)
	if err != nil {
		return s, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

func (f *File) read() (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, &Error{f.certificate, f.key, err}
	}
	if c.Leaf == nil {
		return nil, &Error{f.certificate, f.key, errors.New("there is no certificate in it")}
	}
	return &c, nil
}

// Error says why a certificate can't be used.
type Error struct {
	Certificate, Key string
	Err              error
}

func (e *Error) Error() string {
	return fmt.Sprintf("reading the TLS certificate %s with its key %s: %v", e.Certificate, e.Key, strings.TrimPrefix(e.Err.Error(), "tls: "))
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what an operator can do.
func (e *Error) Hint() string {
	if errors.Is(e.Err, fs.ErrPermission) {
		return "let the user that the gateway runs as read both files"
	}
	return "both files must be PEM, and the key that of the first certificate: compare `openssl x509 -pubkey -noout -in CERTIFICATE` with `openssl pkey -pubout -in KEY`"
}

// Get returns the certificate as it is now. It has the form that crypto/tls asks
// for one in at each handshake.
func (f *File) Get() (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if elapsed := now.Sub(f.checked); elapsed >= 0 && elapsed < checkEvery {
		return f.current, nil
	}
	f.checked = now
	s, err := f.stamp()
	if err == nil && s == f.seen {
		return f.current, nil
	}
	f.seen = s
	fresh, err := f.read()
	if err != nil {
		f.log.Error("the changed TLS certificate can't be used; the one before stays", "event", "certificate.unusable", "error", err)
		return f.current, nil
	}
	f.log.Info("TLS certificate read again", "event", "certificate.reread", "fingerprint", fingerprint(fresh), "expires", fresh.Leaf.NotAfter)
	f.current = fresh
	return f.current, nil
}

// Fingerprint is the certificate's SHA-256 as clients show it.
func (f *File) Fingerprint() string {
	c, _ := f.Get() // never fails
	return fingerprint(c)
}

// Expires is when the certificate is over.
func (f *File) Expires() time.Time {
	c, _ := f.Get() // never fails
	return c.Leaf.NotAfter
}

func fingerprint(c *tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	parts := make([]string, 0, len(sum))
	for _, b := range sum {
		parts = append(parts, fmt.Sprintf("%02X", b))
	}
	return strings.Join(parts, ":")
}

// lifetime is how long a certificate is valid that nobody but its own clients
// knows to trust: they compare its fingerprint once.
const lifetime = 10 * 365 * 24 * time.Hour

// SelfSigned returns the paths of a self-signed certificate and its key in a
// folder, and makes them if they are not there. Names and addresses are what
// clients may call the gateway.
func SelfSigned(dir string, names []string, now time.Time) (certificate, key string, err error) {
	certificate, key = filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	if _, err := os.Stat(certificate); !errors.Is(err, fs.ErrNotExist) {
		return certificate, key, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("making the folder of the TLS certificate: %w", err)
	}
	cert, private, err := selfSigned(names, now)
	if err != nil {
		return "", "", fmt.Errorf("making a TLS certificate: %w", err)
	}
	// The key first: a crash in between leaves no certificate, and all is made anew.
	if err := durable.WriteFile(key, private, 0o600); err != nil {
		return "", "", fmt.Errorf("writing the TLS key: %w", err)
	}
	if err := durable.WriteFile(certificate, cert, 0o644); err != nil {
		return "", "", fmt.Errorf("writing the TLS certificate: %w", err)
	}
	return certificate, key, nil
}

func selfSigned(names []string, now time.Time) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Sealdrop"},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), nil
}
