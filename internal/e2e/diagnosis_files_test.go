package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// gpg runs GnuPG with a keyring of the client's own.
func (s *scene) gpg(args ...string) []byte {
	s.t.Helper()
	home := filepath.Join(s.home, "gpg")
	if err := os.MkdirAll(home, 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	return must(s.t, exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""}, args...)...))
}

// importExported imports what GnuPG exports, and returns what was said.
func (s *scene) importExported(how string) string {
	s.t.Helper()
	return s.refused("key", "import", "--client", s.id, s.write("exported.asc", s.gpg("--armor", how)))
}

// withPGP gives the client a PGP key to seal to.
func (s *scene) withPGP() *scene {
	s.t.Helper()
	var err error
	if s.pgp, err = pgp.GeneratePrivateKey(s.id, time.Now()); err != nil {
		s.t.Fatal(err)
	}
	s.g.sealdrop("key", "import", "--client", s.id, s.write("pgp.asc", []byte(s.pgp.Certificate().Armored())))
	return s
}

// keyFaults are those of keys at their import.
func keyFaults() []fault {
	return []fault{
		atCommand("PGP key that has expired", "expired on", func(s *scene) string {
			s.gpg("--faked-system-time", "20200101T000000!", "--quick-gen-key", s.id, "future-default", "default", "1d")
			return s.importExported("--export")
		}),
		atCommand("PGP key that its owner revoked", "its owner has revoked it", func(s *scene) string {
			s.gpg("--quick-gen-key", s.id, "future-default", "default", "never")
			files, err := filepath.Glob(filepath.Join(s.home, "gpg", "openpgp-revocs.d", "*.rev"))
			if err != nil || len(files) != 1 {
				s.t.Fatalf("%v: %v", files, err)
			}
			text, err := os.ReadFile(files[0])
			if err != nil {
				s.t.Fatal(err)
			}
			// GnuPG guards it against use by mistake with a colon.
			s.gpg("--import", s.write("revocation", bytes.Replace(text, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1)))
			return s.importExported("--export")
		}),
		atCommand("PGP key that can only sign", "no subkey for encryption", func(s *scene) string {
			s.gpg("--quick-gen-key", s.id, "ed25519", "sign", "never")
			return s.importExported("--export")
		}),
		atCommand("PGP key too weak (RSA of 1024 bits)", "too weak", func(s *scene) string {
			s.gpg("--gen-key", s.write("recipe", []byte("%no-protection\nKey-Type: RSA\nKey-Length: 1024\nSubkey-Type: RSA\nSubkey-Length: 1024\nName-Real: "+s.id+"\nExpire-Date: 0\n%commit\n")))
			return s.importExported("--export")
		}),
		atCommand("private PGP key instead of the public one", "private", func(s *scene) string {
			s.gpg("--quick-gen-key", s.id, "future-default", "default", "never")
			return s.importExported("--export-secret-keys")
		}),
		atCommand("private SSH key instead of the public one", "private", func(s *scene) string {
			return s.refused("key", "import", "--client", s.id, s.newKey("key", "ed25519"))
		}),
		atCommand("SSH key too weak, at its import", "1024", func(s *scene) string {
			return s.refused("key", "import", "--client", s.id, s.newKey("key", "rsa", "-b", "1024")+".pub")
		}),
		atCommand("SSH key of the type DSA, at its import", "DSA", func(s *scene) string {
			return s.refused("key", "import", "--client", s.id, s.newKey("key", "dsa")+".pub")
		}),
		atCommand("SSH key that was revoked, imported again", "was revoked on", func(s *scene) string {
			s.withKey().g.sealdrop("key", "revoke", s.fingerprint())
			return s.refused("key", "import", "--client", s.id, s.key+".pub")
		}),
		atCommand("file that is no key", "neither an SSH nor a PGP public key", func(s *scene) string {
			return s.refused("key", "import", "--client", s.id, s.write("note.txt", []byte("Please find our key attached.\n")))
		}),
	}
}

// fileFaults are those of reports and uploads.
func fileFaults() []fault {
	return append(storedFaults(), []fault{
		{name: "report for a client without a PGP key", reason: "no usable PGP key: none was imported", look: held, provoke: (*scene).deliver},
		{
			name: "report for a client whose PGP key was retired", reason: "retired", look: held,
			provoke: func(s *scene) string {
				s.withPGP().g.sealdrop("key", "retire", s.fingerprint())
				return s.deliver()
			},
		},
		{
			name: "upload over the client's quota", sees: "Failure", reason: "an upload was refused",
			provoke: func(s *scene) string {
				s.withPGP().withKey().g.sealdrop("client", "set", s.id, "--quota", "40KiB")
				big := s.write("big.bin", make([]byte, 100<<10))
				return s.attempt("sftp", append(s.sshOptions("-o", "Port="+s.g.port, "-b", s.write("batch", []byte("put "+big+"\n"))), s.id+"@127.0.0.1")...)
			},
			look: func(s *scene) told {
				return s.inLogAs(`msg="(an upload was refused)" event=upload.refused client=`+s.id+` .*`, "error")
			},
		},
		atCommand("report over the client's quota", "this does not fit in", func(s *scene) string {
			s.withPGP().g.sealdrop("client", "set", s.id, "--quota", "1KiB")
			noise := sha256.New()
			var content []byte
			for len(content) < 10<<10 {
				_, _ = noise.Write([]byte(s.id))
				content = noise.Sum(content)
			}
			return s.refused("deliver", "--client", s.id, s.write("report.csv", content))
		}),
		atCommand("more reports than the client may have", "this is one more", func(s *scene) string {
			s.withPGP().g.sealdrop("client", "set", s.id, "--quota-files", "1")
			s.g.sealdrop("deliver", "--client", s.id, s.write("one.csv", []byte("1\n")))
			return s.refused("deliver", "--client", s.id, s.write("two.csv", []byte("2\n")))
		}),
		obvious("report with a name that is none", "not a valid name", func(s *scene) string {
			return s.refused("deliver", "--client", s.id, "--name", "..", s.write("report.csv", []byte("1\n")))
		}),
		obvious("report for a client that there is not", "unknown client", func(s *scene) string {
			return s.refused("deliver", "--client", s.id+"-typo", s.write("report.csv", []byte("1\n")))
		}),
		obvious("report that is not there", "no such file", func(s *scene) string {
			return s.refused("deliver", "--client", s.id, filepath.Join(s.home, "report.csv"))
		}),
		obvious("report that differs from its line in the manifest", "and the manifest has", func(s *scene) string {
			s.withPGP().write("report.csv", []byte("1\n"))
			other := sha256.Sum256([]byte("2\n"))
			manifest := "client,file,sha256\n" + s.id + ",report.csv," + hex.EncodeToString(other[:]) + "\n"
			return s.refused("deliver", "--manifest", s.write("list.csv", []byte(manifest)))
		}),
	}...)
}

func (s *scene) deliver() string {
	s.g.sealdrop("deliver", "--client", s.id, s.write("report.csv", []byte("1\n")))
	return ""
}

// held finds why the client's report is.
func held(s *scene) told {
	s.t.Helper()
	var list []struct {
		Client string
		Reason string `json:"held_because"`
		Remedy string
	}
	if err := json.Unmarshal(s.g.sealdrop("report", "list", "--held", "--client", s.id, "-o", "json"), &list); err != nil || len(list) != 1 {
		s.t.Fatalf("%d reports are held: %v", len(list), err)
	}
	return told{place: "`report list --held`", reason: list[0].Reason, what: list[0].Reason, remedy: list[0].Remedy}
}

// storedFaults are those of what is stored.
func storedFaults() []fault {
	damage := func(name, kind string, harm func(s *scene, blob string)) fault {
		return fault{
			name: name, reason: kind,
			provoke: func(s *scene) string {
				s.withPGP().deliver()
				harm(s, s.blob(s.files()["report.csv.pgp"].SHA256))
				return ""
			},
			look: func(s *scene) told {
				var found struct {
					Findings []struct{ Kind, Problem, Mend string }
				}
				out, _ := s.g.command("fsck", "--client", s.id, "-o", "json").Output() // it fails where it finds something
				if err := json.Unmarshal(out, &found); err != nil || len(found.Findings) != 1 {
					s.t.Fatalf("fsck: %v: %s", err, out)
				}
				f := found.Findings[0]
				return told{place: "`fsck`", reason: f.Kind, what: f.Problem, remedy: f.Mend}
			},
		}
	}
	return []fault{
		damage("sealed file that is gone", "missing", func(s *scene, blob string) {
			if err := os.Remove(blob); err != nil {
				s.t.Fatal(err)
			}
		}),
		damage("sealed file that was cut off", "size", func(s *scene, blob string) {
			if err := os.Truncate(blob, 100); err != nil {
				s.t.Fatal(err)
			}
		}),
		damage("sealed file with other bytes", "damaged", func(s *scene, blob string) {
			content, err := os.ReadFile(blob)
			if err != nil {
				s.t.Fatal(err)
			}
			content[len(content)/2] ^= 1
			if err := os.WriteFile(blob, content, 0o600); err != nil {
				s.t.Fatal(err)
			}
		}),
	}
}

// blob is the file with the content of a digest, in hexadecimal.
func (s *scene) blob(digest string) string {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.g.dir, "data", "blobs", "*", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if sum := sha256.Sum256(content); err == nil && hex.EncodeToString(sum[:]) == digest {
			return path
		}
	}
	s.t.Fatalf("none of %d blobs has the digest %s", len(files), digest)
	return ""
}

// configFaults are those of the configuration, and of starting the gateway.
func configFaults() []fault {
	wrong := func(name, reason, text string) fault {
		return atCommand(name, reason, func(s *scene) string {
			return s.failing(exec.Command(binary, "--config", s.write("config.yaml", []byte(text)), "config", "check"))
		})
	}
	return []fault{
		wrong("unknown key in the configuration", "config.yaml:2: sftp.listn: unknown key", "sftp:\n  listn: \":32\"\n"),
		wrong("value of another kind", "config.yaml:2: retention.after", "retention:\n  after: 100\n"),
		wrong("network that is none", "config.yaml:3: clients[acme].allow", "clients:\n  - id: acme\n    allow: 203.0.113.0/40\n"),
		wrong("passive ports out of order", "config.yaml:2: ftp.passive_ports", "ftp:\n  passive_ports: 30199-30000\n"),
		wrong("certificate that is not there", "no such file", "ftp:\n  listen: \":21\"\n  tls:\n    certificate: missing.crt\n    key: missing.key\n"),
		atCommand("port that another program has", "address already in use", func(s *scene) string {
			dir := filepath.Join(s.home, "gateway")
			must(s.t, exec.Command(binary, "init", "--dir", dir))
			cmd := exec.Command(binary, "--config", filepath.Join(dir, "config.yaml"), "serve")
			cmd.Env = append(os.Environ(), "SEALDROP_SFTP_LISTEN=127.0.0.1:"+s.g.port)
			return s.failing(cmd)
		}),
		atCommand("second gateway on one data folder", "runs on", func(s *scene) string { return s.refused("serve") }),
		atCommand("private key of the gateway's that others can read", "can be read by others", func(s *scene) string {
			dir := filepath.Join(s.home, "gateway")
			must(s.t, exec.Command(binary, "init", "--dir", dir))
			if err := os.Chmod(filepath.Join(dir, "data", "keys", "hold.pgp"), 0o644); err != nil {
				s.t.Fatal(err)
			}
			return s.failing(exec.Command(binary, "--config", filepath.Join(dir, "config.yaml"), "client", "list"))
		}),
	}
}
