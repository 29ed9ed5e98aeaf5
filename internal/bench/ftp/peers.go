package main

import (
	"bytes"
	"context"
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
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// The one user of every server.
const (
	user     = "bench"
	password = "benchmark-of-ftp"
	// passwordHash is what crypt(3) makes of the password.
	passwordHash = "$6$benchmark$nMc.BP3iY3kK2T/Ciyl1JHYtH30FCIEXolbVlZIy82nRFMYOwU1aWtuvKiwry4joM/2NQgckznndRm4w3Oery0"
)

// makeCertificate writes a key and its certificate to a file in the folder and returns
// the file's name.
func makeCertificate(dir string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", fmt.Errorf("making the certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	for _, block := range []*pem.Block{{Type: "PRIVATE KEY", Bytes: secret}, {Type: "CERTIFICATE", Bytes: certificate}} {
		if err := pem.Encode(&text, block); err != nil {
			return "", err
		}
	}
	file := filepath.Join(dir, "tls.pem")
	return file, os.WriteFile(file, text.Bytes(), 0o600)
}

// findServers returns Sealdrop and its peers. If only Sealdrop can't be measured the
// error is a [*skippedError], and the peers are returned.
func findServers(ctx context.Context, s settings, certificate string) ([]server, error) {
	servers := make([]server, 0, 4)
	for _, p := range []peer{
		{title: "vsftpd", account: login{"anonymous", "vsftpd"}, arguments: vsftpd, versionFlag: "-v"},
		{title: "proftpd", account: login{user: user}, arguments: proftpd, versionFlag: "-v"},
		{title: "pure-ftpd", account: login{user: user}, arguments: pureFTPd, versionFlag: "--help"},
	} {
		p.root, p.certificate = s.peers, certificate
		if root, err := filepath.Abs(s.peers); err == nil {
			p.root = root
		}
		if _, err := os.Stat(p.program("usr/sbin", p.title)); err != nil {
			return nil, &hintedError{fmt.Sprintf("%s is not there: %v", p.title, err), "deploy/setup --peers unpacks it"}
		}
		number, err := firstVersion(p.run(ctx, "usr/sbin", p.title, p.versionFlag), filepath.Dir(certificate))
		if err != nil {
			return nil, fmt.Errorf("asking %s for its version: %w", p.title, err)
		}
		p.number = number
		servers = append(servers, p)
	}
	own, err := findSealdrop(ctx, s.sealdrop)
	if err != nil {
		return servers, err
	}
	return append([]server{own}, servers...), nil
}

// peer is one of Debian's FTP servers, unpacked below root.
type peer struct {
	title, number string
	account       login
	root          string
	certificate   string
	versionFlag   string
	// arguments writes the configuration and returns the program's arguments.
	arguments func(ctx context.Context, p peer, at place, host, port string) ([]string, error)
}

func (p peer) name() string    { return p.title }
func (p peer) version() string { return p.number }
func (p peer) login() login    { return p.account }

func (p peer) program(folder, name string) string { return filepath.Join(p.root, folder, name) }

func (p peer) command(ctx context.Context, at place, address string) (*exec.Cmd, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	args, err := p.arguments(ctx, p, at, host, port)
	if err != nil {
		return nil, err
	}
	return p.run(ctx, "usr/sbin", p.title, args...), nil
}

// run returns the command with its own libraries.
func (p peer) run(ctx context.Context, folder, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.program(folder, name), args...)
	cmd.Env = append(os.Environ(), measure.Libraries(p.root))
	return cmd
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\w+)*`)

// firstVersion returns the first version number that the command prints, wherever to:
// vsftpd takes standard input for its client, and writes to that.
func firstVersion(cmd *exec.Cmd, scratch string) (string, error) {
	said, err := os.CreateTemp(scratch, "version")
	if err != nil {
		return "", err
	}
	defer said.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = said, said, said
	_ = cmd.Run() // not all of them end with 0
	text, err := os.ReadFile(said.Name())
	if err != nil {
		return "", err
	}
	return versionNumber.FindString(string(text)), nil
}

// vsftpd serves anonymous users: its own users would need a PAM service. They must not
// be able to write to their root, which is therefore the folder above its data.
func vsftpd(_ context.Context, p peer, at place, host, port string) ([]string, error) {
	empty := filepath.Join(at.config, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		return nil, err
	}
	return []string{filepath.Join(at.config, "vsftpd.conf")}, writeConfig(at, "vsftpd.conf", `listen=YES
listen_ipv6=NO
listen_address=`+host+`
listen_port=`+port+`
background=NO
anonymous_enable=YES
local_enable=NO
no_anon_password=YES
ftp_username=daemon
nopriv_user=nobody
secure_chroot_dir=`+empty+`
anon_root=`+filepath.Dir(at.data)+`
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
anon_umask=022
xferlog_enable=NO
ssl_enable=YES
allow_anon_ssl=YES
force_local_data_ssl=NO
force_local_logins_ssl=NO
require_ssl_reuse=NO
ssl_ciphers=HIGH
rsa_cert_file=`+p.certificate+`
rsa_private_key_file=`+p.certificate+`
`)
}

func proftpd(_ context.Context, p peer, at place, _, port string) ([]string, error) {
	users := filepath.Join(at.config, "users")
	line := fmt.Sprintf("%s:%s:%d:%d::%s:/bin/sh\n", user, passwordHash, unprivileged, unprivileged, at.data)
	if err := os.WriteFile(users, []byte(line), 0o600); err != nil {
		return nil, err
	}
	file := filepath.Join(at.config, "proftpd.conf")
	return []string{"--nodaemon", "--config", file}, writeConfig(at, "proftpd.conf", `ModulePath `+p.program("usr/lib", "proftpd")+`
LoadModule mod_tls.c
ServerType standalone
DefaultAddress 127.0.0.1
SocketBindTight on
Port `+port+`
UseIPv6 off
UseReverseDNS off
User daemon
Group daemon
AuthOrder mod_auth_file.c
AuthUserFile `+users+`
RequireValidShell off
DefaultRoot ~
AllowOverwrite on
UseSendfile on
DelayEngine off
ControlsEngine off
WtmpLog off
TransferLog none
PidFile `+filepath.Join(at.config, "pid")+`
ScoreboardFile `+filepath.Join(at.config, "scoreboard")+`
SystemLog `+filepath.Join(at.config, "log")+`
TLSEngine on
TLSRequired off
TLSProtocol TLSv1.2 TLSv1.3
TLSOptions NoSessionReuseRequired
TLSECCertificateFile `+p.certificate+`
TLSECCertificateKeyFile `+p.certificate+`
`)
}

func pureFTPd(ctx context.Context, p peer, at place, host, port string) ([]string, error) {
	users, database := filepath.Join(at.config, "users"), filepath.Join(at.config, "users.pdb")
	line := fmt.Sprintf("%s:%s:%d:%d::%s/./::::::::::::\n", user, passwordHash, unprivileged, unprivileged, at.data)
	if err := os.WriteFile(users, []byte(line), 0o600); err != nil {
		return nil, err
	}
	if out, err := p.run(ctx, "usr/bin", "pure-pw", "mkdb", database, "-f", users).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pure-pw: %w: %s", err, out)
	}
	return []string{
		"--bind", host + "," + port, "--ipv4only", "--dontresolve", "--chrooteveryone", "--noanonymous", "--minuid", "1",
		"--login", "puredb:" + database, "--tls", "1", "--certfile", p.certificate, "--pidfile", filepath.Join(at.config, "pid"),
	}, nil
}

func writeConfig(at place, name, text string) error {
	return os.WriteFile(filepath.Join(at.config, name), []byte(text), 0o600)
}
