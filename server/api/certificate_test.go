package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports/intake/producer"
	"github.com/sealdrop/sealdrop/server/api"
)

// authority signs producers' certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	return authority{}.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

// sign makes a certificate; the zero authority, one that signs itself.
func (a authority) sign(t *testing.T, template *x509.Certificate) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return authority{cert, key}
}

func (a authority) producer(t *testing.T, name string, usage x509.ExtKeyUsage) *tls.Certificate {
	t.Helper()
	return a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{usage}})
}

func (a authority) issue(t *testing.T, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	made := a.sign(t, template)
	return &tls.Certificate{Certificate: [][]byte{made.cert.Raw}, PrivateKey: made.key}
}

func (a authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// startWith starts an API that trusts the authorities of a pool, and knows the
// certificate batch.
func startWith(t *testing.T, pool *atomic.Pointer[x509.CertPool]) *harness {
	t.Helper()
	h := start(t, func(c *api.Config) { c.ClientCAs = pool.Load })
	_, err := h.producers.Add(t.Context(), "test", producer.Producer{Name: "batch", Certificate: true, All: true})
	must(t, err)
	return h
}

// certified returns a way of sending requests with a certificate, over one connection
// as long as it holds.
func (h *harness) certified(cert *tls.Certificate, cache tls.ClientSessionCache) (transport *http.Transport, put func(name string) answer) {
	transport = &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: h.roots, ClientSessionCache: cache,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
	}}
	h.t.Cleanup(transport.CloseIdleConnections)
	return transport, func(name string) answer {
		h.t.Helper()
		r, err := http.NewRequestWithContext(h.t.Context(), "PUT", "https://"+h.address+here+name, strings.NewReader("x"))
		must(h.t, err)
		got, err := transport.RoundTrip(r)
		must(h.t, err)
		return h.read(got)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	var pool atomic.Pointer[x509.CertPool]
	pool.Store(ours.pool())
	h := startWith(t, &pool)
	const client = x509.ExtKeyUsageClientAuth
	for _, test := range []struct {
		name   string
		cert   *tls.Certificate
		reason producer.Reason
	}{
		{"good", ours.producer(t, "batch", client), ""},
		{"of-another-authority", others.producer(t, "batch", client), producer.CertificateRefused},
		{"of-its-own", authority{}.producer(t, "batch", client), producer.CertificateRefused},
		{"for-servers", ours.producer(t, "batch", x509.ExtKeyUsageServerAuth), producer.CertificateRefused},
		{"unknown-name", ours.producer(t, "nobody", client), producer.CertificateUnknown},
		{"name-of-a-token", ours.producer(t, "nightly", client), producer.CertificateUnknown},
		{"no-name", ours.producer(t, "", client), producer.CertificateUnknown},
		{"expired", ours.issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: "batch"}, ExtKeyUsage: []x509.ExtKeyUsage{client},
			NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		}), producer.CertificateRefused},
	} {
		before := len(h.guard.reasons())
		_, put := h.certified(test.cert, nil)
		a, told := put(test.name), h.guard.reasons()[before:]
		if test.reason == "" && (a.status != 201 || len(told) > 0) || test.reason != "" && (a.status != 401 || !slices.Equal(told, []producer.Reason{test.reason})) {
			t.Errorf("%s: %d %s, recorded %v", test.name, a.status, a.kind(), told)
		}
	}
}

// An authority that is no longer trusted must not live on in a connection, nor in a
// session that is resumed.
func TestAuthorityThatWasTakenAway(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	var pool atomic.Pointer[x509.CertPool]
	pool.Store(ours.pool())
	h := startWith(t, &pool)
	cert := ours.producer(t, "batch", x509.ExtKeyUsageClientAuth)
	transport, put := h.certified(cert, tls.NewLRUClientSessionCache(4))
	if a := put("a"); a.status != 201 {
		t.Errorf("%d %s", a.status, a.kind())
	}
	pool.Store(others.pool())
	if a := put("b"); a.status != 401 {
		t.Errorf("over the same connection: %d %s", a.status, a.kind())
	}
	transport.CloseIdleConnections()
	if a := put("c"); a.status != 401 {
		t.Errorf("over a resumed session: %d %s", a.status, a.kind())
	}
	pool.Store(ours.pool())
	if a := put("d"); a.status != 201 {
		t.Errorf("trusted again: %d %s", a.status, a.kind())
	}
}
