package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mode is how FTP is encrypted.
type mode string

const (
	plain    mode = "plain"
	explicit mode = "explicit FTPS" // AUTH TLS on the port for FTP
	implicit mode = "implicit FTPS" // TLS from the first byte, on a port of its own
)

// protocol is the mode as the gateway names it in its log.
func (m mode) protocol() string {
	if m == implicit {
		return "ftps"
	}
	return "ftp"
}

// TestClientTableFTP is TestClientTable for the programs that speak FTP, once for
// each kind of encryption.
func TestClientTableFTP(t *testing.T) {
	t.Parallel()
	g := startFTP(t)
	var rows []*row
	t.Run("ftp", func(t *testing.T) {
		for i, p := range ftpPrograms() {
			r := &row{program: p}
			rows = append(rows, r)
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				r.run(g.in(t).ftpClient(fmt.Sprintf("ftp-%d", i), p.mode))
			})
		}
	})
	inDocument(t, "ftp", rows)
}

// startFTP runs a gateway for every kind of FTP, over IPv4 and IPv6.
func startFTP(t *testing.T) *gateway {
	t.Helper()
	certificate, key := selfSigned(t)
	free := freePorts("127.0.0.1", "::1")
	g := startWith(t,
		"SEALDROP_SFTP_LISTEN="+freePorts("127.0.0.1"),
		"SEALDROP_FTP_LISTEN="+free, "SEALDROP_FTP_TLS_IMPLICIT_LISTEN="+free, "SEALDROP_FTP_PASSIVE_PORTS=any",
		"SEALDROP_FTP_TLS_MODE=optional", "SEALDROP_FTP_TLS_CERTIFICATE="+certificate, "SEALDROP_FTP_TLS_KEY="+key)
	g.certificate = certificate
	return g
}

// ftpClient is a client with a password, told how to reach the gateway. Only one
// whose mode it is may log in without encryption.
func (g *gateway) ftpClient(id string, m mode) *client {
	g.t.Helper()
	c := g.clientWithoutSSH(id, "127.0.0.1,::1")
	c.at = server{
		protocol: m.protocol(), host: "127.0.0.1", port: g.listens(m.protocol(), "127.0.0.1"),
		user: id, password: rand.Text(), mode: m, ca: g.certificate,
	}
	if m == plain {
		g.sealdrop("client", "set", id, "--ftp", "plain")
	}
	set := g.command("password", "set", "--client", id, "--stdin")
	set.Stdin = strings.NewReader(c.at.password + "\n")
	must(g.t, set)
	return c
}

// selfSigned makes a certificate for the loopback addresses, and its key.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "gateway"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		DNSNames:     []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pair.Public(), pair)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("tls.crt", "CERTIFICATE", der), write("tls.key", "PRIVATE KEY", private)
}
