package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"

	"golang.org/x/crypto/ssh"
)

// sshOptions are for OpenSSH's programs, from the client's address.
func (s *scene) sshOptions(more ...string) []string {
	options := append(more,
		"-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=INFO",
		"-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "BindAddress="+s.from.String())
	if s.key != "" {
		options = append(options, "-i", s.key)
	}
	return options
}

// ssh tries to log in with OpenSSH.
func (s *scene) ssh(more ...string) string { return s.sshAs(s.id, s.g.port, more...) }

func (s *scene) sshAs(user, port string, more ...string) string {
	s.t.Helper()
	return s.attempt("sftp", append(s.sshOptions(append(more, "-o", "Port="+port, "-b", os.DevNull)...), user+"@127.0.0.1")...)
}

// session logs in with OpenSSH and stays, until the function that it returns
// is called, which waits for the end.
func (s *scene) session() (end func() string) {
	s.t.Helper()
	cmd := s.command("ssh", append(s.sshOptions("-o", "Port="+s.g.port, "-s"), s.id+"@127.0.0.1", "sftp")...)
	stay, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out := &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = io.Discard, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = stay.Close() })
	s.loggedIn()
	return func() string {
		_ = cmd.Wait()
		return out.String()
	}
}

// paramiko logs in with a library that offers what OpenSSH does not.
func (s *scene) paramiko(how string) string {
	s.t.Helper()
	request, err := json.Marshal([]any{s.g.port, s.from.String(), s.id, s.key, how})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.attempt("/usr/bin/python3", "-c", `
import json, paramiko, socket, sys
port, source, user, key, how = json.loads(sys.argv[1])
t = paramiko.Transport(socket.create_connection(("127.0.0.1", int(port)), source_address=(source, 0)),)
t.banner_timeout = t.auth_timeout = 60
t.start_client(timeout=60)
try:
    if how == "password":
        t.auth_password(user, "a password")
    else:
        t.auth_publickey(user, paramiko.DSSKey.from_private_key_file(key))
except paramiko.SSHException as e:
    t.close()
    sys.exit(str(e))
`, string(request))
}

// forger signs something else than it was asked to.
type forger struct{ ssh.Signer }

func (f forger) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return f.Signer.Sign(random, append([]byte("other"), data...))
}

// signing logs in with the client's key, in a way of its own.
func (s *scene) signing(how func(ssh.Signer) (ssh.Signer, error)) string {
	s.t.Helper()
	text, err := os.ReadFile(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err == nil {
		signer, err = how(signer)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	conn := s.dial(s.g.port)
	_, _, _, err = ssh.NewClientConn(conn, "gateway", &ssh.ClientConfig{
		User: s.id, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the test's own gateway
	})
	if err == nil {
		s.t.Fatal("it got in")
	}
	_ = conn.Close()
	return err.Error()
}

// sshFaults are those of logins over sFTP.
func sshFaults() []fault {
	return append(sshKeyFaults(), []fault{
		{
			name: "sFTP from an address that is on no client's list", reason: "address-not-allowed", look: why(),
			provoke: func(s *scene) string { s.withKey(); s.leave("127.9.9.9"); return s.ssh() },
		},
		{
			name: "the same, while the gateway learns (access.learn)", at: strict, sees: "Your key is right, but your address", reason: "address-not-allowed",
			provoke: func(s *scene) string { s.withKey(); s.leave("127.9.9.9"); return s.ssh() },
		},
		{
			name: "the address that was learned", at: strict, sees: "Your key is right, but your address", reason: "client allow", look: suggested,
			provoke: func(s *scene) string { s.withKey(); s.leave("127.9.9.9"); return s.ssh() },
		},
		{
			name: "a connection from an address that is on no client's list, and who it was is not known", reason: "address-not-allowed", look: attempted,
			provoke: func(s *scene) string {
				from := s.from.As4()
				from[1] = 2 // which nobody has
				s.from = netip.AddrFrom4(from)
				return s.untilClosed(s.dial(s.g.port))
			},
		},
		{
			name: "sFTP from an address of another client's", sees: "Your key is right, but your address", reason: "address-not-allowed",
			provoke: func(s *scene) string {
				s.withKey()
				s.g.sealdrop("client", "add", s.id+"-other", "--allow", s.from.String())
				s.g.sealdrop("client", "set", s.id, "--allow", "127.9.9.9")
				return s.ssh()
			},
		},
		{
			name: "the same, at a listener for IPv6 that shows it as ::ffff:…", sees: "Your key is right, but your address", reason: "address-not-allowed",
			provoke: func(s *scene) string {
				s.withKey()
				s.g.sealdrop("client", "add", s.id+"-other", "--allow", s.from.String())
				s.g.sealdrop("client", "set", s.id, "--allow", "127.9.9.9")
				return s.sshAs(s.id, s.g.listens("sftp", "::"))
			},
		},
		{
			name: "address taken off the list during a session", sees: "Connection to 127.0.0.1 closed", reason: "address-not-allowed", look: ended,
			provoke: func(s *scene) string {
				end := s.withKey().session()
				s.leave("127.9.9.9")
				return end()
			},
		},
		{
			name: "sFTP with a user name that is no client's", sees: "Permission denied (publickey)", reason: "unknown-client",
			provoke: func(s *scene) string { return s.withKey().sshAs(s.id+"-typo", s.g.port) },
		},
		{
			name: "sFTP of a client that is disabled", sees: "Permission denied (publickey)", reason: "client-disabled",
			provoke: func(s *scene) string {
				s.withKey().g.sealdrop("client", "disable", s.id)
				return s.ssh()
			},
		},
		{
			name: "no key is offered", sees: "Permission denied (publickey)", reason: "closed-before-login",
			provoke: func(s *scene) string { return s.withKey().ssh("-o", "PubkeyAuthentication=no") },
		},
		{
			name: "a password over sFTP", sees: "allowed types: ['publickey']", reason: "closed-before-login",
			provoke: func(s *scene) string { return s.withKey().paramiko("password") },
		},
		{
			name: "no common key exchange", sees: "no matching key exchange method", reason: "no-common-algorithm",
			provoke: func(s *scene) string { return s.withKey().ssh("-o", "KexAlgorithms=ecdh-sha2-nistp256") },
		},
		{
			name: "no common cipher", sees: "no matching cipher", reason: "no-common-algorithm",
			provoke: func(s *scene) string { return s.withKey().ssh("-o", "Ciphers=aes128-cbc") },
		},
		{
			name: "no common MAC", sees: "no matching MAC", reason: "no-common-algorithm",
			provoke: func(s *scene) string { return s.withKey().ssh("-o", "Ciphers=aes128-ctr", "-o", "MACs=hmac-sha1") },
		},
		{
			name: "no common host key type", sees: "no matching host key type", reason: "no-common-algorithm",
			provoke: func(s *scene) string { return s.withKey().ssh("-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256") },
		},
		{
			name: "connection closed before the login", reason: "closed-before-login",
			provoke: func(s *scene) string {
				conn := s.dial(s.g.port)
				_, _ = conn.Read(make([]byte, 8))
				_ = conn.Close()
				return ""
			},
		},
		{
			name: "HTTP on the port for sFTP", sees: "HTTP/0.9", reason: "wrong-protocol",
			provoke: func(s *scene) string {
				return s.attempt("curl", "--silent", "--show-error", "--interface", s.from.String(), "http://127.0.0.1:"+s.g.port+"/")
			},
		},
		{
			name: "TLS (FTPS, https) on the port for sFTP", sees: "wrong version number", reason: "wrong-protocol",
			provoke: func(s *scene) string {
				return s.attempt("curl", "--silent", "--show-error", "--insecure", "--interface", s.from.String(), "https://127.0.0.1:"+s.g.port+"/")
			},
		},
		{
			name: "FTP on the port for sFTP", reason: "wrong-protocol",
			provoke: func(s *scene) string {
				conn := s.dial(s.g.port)
				_, _ = io.WriteString(conn, "USER "+s.id+"\r\n")
				_, _ = io.Copy(io.Discard, conn)
				return ""
			},
		},
		{
			name: "too many failed logins over sFTP", sees: "Permission denied", reason: "too-many-attempts",
			provoke: func(s *scene) string {
				s.withKey()
				right := s.key
				s.key = s.newKey("wrong", "ed25519")
				for range 4 {
					s.ssh()
				}
				s.key = right
				mustLog(s.t, s.g, `msg="locked out after failed logins" event=address.banned address=`+s.from.String()+" ")
				return s.ssh()
			},
		},
		{
			name: "too many sessions", sees: "too many sessions open", reason: "too-many-sessions",
			provoke: func(s *scene) string { s.withKey().session(); return s.ssh() },
		},
	}...)
}

// sshKeyFaults are those of SSH keys.
func sshKeyFaults() []fault {
	const denied = "Permission denied (publickey)"
	return []fault{
		{
			name: "SSH key that is not registered", sees: denied, reason: "key-unknown",
			provoke: func(s *scene) string { s.withKey(); s.key = s.newKey("new", "ed25519"); return s.ssh() },
		},
		{
			name: "SSH key of another client's", sees: denied, reason: "key-unknown",
			provoke: func(s *scene) string {
				s.withKey().g.sealdrop("client", "add", s.id+"-other", "--allow", s.from.String())
				return s.sshAs(s.id+"-other", s.g.port)
			},
		},
		{
			name: "SSH key that was retired", sees: denied, reason: "key-retired",
			provoke: func(s *scene) string { s.withKey().g.sealdrop("key", "retire", s.fingerprint()); return s.ssh() },
		},
		{
			name: "SSH key that was revoked", sees: denied, reason: "key-revoked",
			provoke: func(s *scene) string { s.withKey().g.sealdrop("key", "revoke", s.fingerprint()); return s.ssh() },
		},
		{
			name: "SSH key that nobody else has approved yet (keys.approval)", at: approving, sees: denied, reason: "key-pending",
			provoke: func(s *scene) string { return s.withKey().ssh() },
		},
		{
			name: "SSH key revoked during a session", sees: "Connection to 127.0.0.1 closed", reason: "key-revoked", look: ended,
			provoke: func(s *scene) string {
				end := s.withKey().session()
				s.g.sealdrop("key", "revoke", s.fingerprint())
				return end()
			},
		},
		{
			name: "SSH key too weak (RSA of 1024 bits)", sees: denied, reason: "key-too-weak",
			provoke: func(s *scene) string { s.key = s.newKey("weak", "rsa", "-b", "1024"); return s.ssh() },
		},
		{
			name: "SSH key of the type DSA", sees: "Authentication failed", reason: "algorithm-refused",
			provoke: func(s *scene) string { s.key = s.newKey("dsa", "dsa"); return s.paramiko("ssh-dss") },
		},
		{
			name: "program that signs with SHA-1 only", sees: "unable to authenticate", reason: "algorithm-refused",
			provoke: func(s *scene) string {
				s.key = s.newKey("rsa", "rsa", "-b", "2048")
				s.g.sealdrop("key", "import", "--client", s.id, s.key+".pub")
				return s.signing(func(key ssh.Signer) (ssh.Signer, error) {
					return ssh.NewSignerWithAlgorithms(key.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
				})
			},
		},
		{
			name: "signature that is not the key's", reason: "signature-invalid",
			provoke: func(s *scene) string {
				return s.withKey().signing(func(key ssh.Signer) (ssh.Signer, error) { return forger{key}, nil })
			},
		},
	}
}

// fingerprint is that of the client's key, as the gateway shows it.
func (s *scene) fingerprint() string {
	s.t.Helper()
	var list []struct{ Fingerprint string }
	if err := json.Unmarshal(s.g.sealdrop("key", "list", "--client", s.id, "-o", "json"), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("%d keys: %v", len(list), err)
	}
	return list[0].Fingerprint
}

// suggested is what `client allow --suggested` has.
func suggested(s *scene) told {
	s.t.Helper()
	var list []struct{ Address, Key, Command string }
	if err := json.Unmarshal(s.g.sealdrop("client", "allow", s.id, "--suggested", "-o", "json"), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("%d addresses were learned: %v", len(list), err)
	}
	by := "key " + list[0].Key
	if list[0].Key == "password" {
		by = list[0].Key
	}
	return told{place: "`client allow --suggested`", reason: list[0].Command, what: list[0].Address + " proved its " + by, remedy: "`" + list[0].Command + "`"}
}

// attempted is what `attempts` has of an address.
func attempted(s *scene) told {
	s.t.Helper()
	var list []struct{ Reason, What, Remedy string }
	eventually(s.t, "the attempt is counted", func() bool {
		out := s.g.sealdrop("attempts", "--address", s.from.String(), "-o", "json")
		return json.Unmarshal(out, &list) == nil && len(list) == 1
	})
	return told{place: "`attempts`", reason: list[0].Reason, what: list[0].What, remedy: list[0].Remedy}
}

// leave lets the client in from another address instead of its own.
func (s *scene) leave(other string) { s.g.sealdrop("client", "set", s.id, "--allow", other) }

// slowFaults wait for a time limit; they come first.
func slowFaults() []fault {
	return []fault{
		{
			name: "login over sFTP not made in time", at: strict, reason: "login-timed-out",
			provoke: func(s *scene) string { return s.untilClosed(s.dial(s.g.port)) },
		},
		{
			name: "login over FTP not made in time", at: strict, reason: "login-timed-out",
			provoke: func(s *scene) string { return s.untilClosed(s.dial(s.g.listens("ftp", ""))) },
		},
		{
			name: "passive port not reachable", sees: "425 Your program did not connect to the announced port", reason: "passive-port-unreachable",
			look: why("--protocol", "ftp", "--plain"),
			provoke: func(s *scene) string {
				c := s.withPassword("plain").control()
				c.login(s.id)
				c.say("PASV", "227 ")
				_, _ = io.WriteString(c, "LIST\r\n")
				return c.reply()
			},
		},
	}
}

// untilClosed reads what the gateway says until it closes the connection.
func (s *scene) untilClosed(conn net.Conn) string {
	s.t.Helper()
	text, err := io.ReadAll(conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		s.t.Error("the connection was not closed")
	}
	return string(text)
}
