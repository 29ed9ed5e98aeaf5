package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTestSSL has testssl.sh look for what is weak in FTPS, explicit and implicit.
func TestTestSSL(t *testing.T) {
	t.Parallel()
	g := startFTP(t)
	g.clientWithoutSSH("acme", "127.0.0.1") // else nobody is admitted
	for protocol, options := range map[string][]string{"ftp": {"--starttls", "ftp"}, "ftps": nil} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			found := filepath.Join(t.TempDir(), "found.json")
			// Protocols, ciphers, forward secrecy, the certificate and extensions,
			// preferences, vulnerabilities: all but the simulation of browsers.
			args := slices.Concat([]string{
				"--quiet", "--color", "0", "--warnings", "off", "-n", "none", "--jsonfile", found,
				"-p", "-s", "-f", "-S", "-P", "-U",
			}, options, []string{"127.0.0.1:" + g.in(t).listens(protocol, "127.0.0.1")})
			out, err := exec.Command("testssl", args...).CombinedOutput()
			data, readErr := os.ReadFile(found)
			if readErr != nil {
				t.Fatalf("%v, %v\n%s", err, readErr, out)
			}
			var findings []struct{ ID, Severity, Finding string }
			if err := json.Unmarshal(data, &findings); err != nil {
				t.Fatal(err)
			}
			looked := 0
			for _, f := range findings {
				switch {
				case f.Severity == "OK" || f.Severity == "INFO" || f.Severity == "DEBUG":
					looked++
				case f.ID == "engine_problem": // its own openssl knows no GOST
				case strings.HasPrefix(f.ID, "cert_"): // the test's own, self-signed, for a day
				case f.ID == "TLS_session_ticket" && f.Severity == "LOW":
					// crypto/tls says seven days. The key that a ticket is sealed
					// with goes with its control connection.
				default:
					t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
				}
			}
			if looked < 50 {
				t.Errorf("testssl looked at %d things only:\n%s", looked, out)
			}
		})
	}
}
