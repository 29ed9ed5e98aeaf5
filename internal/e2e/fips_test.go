package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// approved is all that sFTP may offer in FIPS mode; docs/fips.md has the same list.
func approved() []string {
	return []string{
		"kex mlkem768x25519-sha256", "kex ecdh-sha2-nistp256", "kex ecdh-sha2-nistp384", "kex ecdh-sha2-nistp521",
		"kex kex-strict-s-v00@openssh.com", "kex ext-info-s", // no key exchanges, but said there
		"key ssh-ed25519", "key rsa-sha2-256", "key rsa-sha2-512",
		"enc aes128-gcm@openssh.com", "enc aes256-gcm@openssh.com", "enc aes128-ctr", "enc aes256-ctr",
		"mac hmac-sha2-256-etm@openssh.com", "mac hmac-sha2-512-etm@openssh.com", "mac hmac-sha2-256", "mac hmac-sha2-512",
	}
}

// TestFIPSModeServesApprovedAlgorithmsOnly runs the gateway in Go's FIPS 140-3 mode: the
// binary of `make fips` where SEALDROP_TEST_FIPS_BINARY names it, else the one that all
// tests run, which has the same algorithms without the validated module.
func TestFIPSModeServesApprovedAlgorithmsOnly(t *testing.T) {
	t.Parallel()
	program := binary
	if built := os.Getenv("SEALDROP_TEST_FIPS_BINARY"); built != "" {
		program = built
		info := must(t, exec.Command("go", "version", "-m", built))
		var version struct{ FIPS string }
		if err := json.Unmarshal(must(t, exec.Command(built, "version", "-o", "json")), &version); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(info), "GOFIPS140=v1.0.0") || version.FIPS != "v1.0.0" {
			t.Errorf("it says of itself %q, and go version %s", version.FIPS, info)
		}
	}
	g := startProgram(t, program, "GODEBUG=fips140=on", "SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_LISTEN=127.0.0.1:0", "SEALDROP_FTP_PASSIVE_PORTS=any")
	c := g.client("acme", "ecdsa", "127.0.0.1")
	deliver := exec.Command(program, "--config", filepath.Join(g.dir, "config.yaml"), "deliver", "--client", "acme", c.write("a.csv", []byte("1,2,3\n")))
	deliver.Env = append(os.Environ(), "GODEBUG=fips140=on")
	must(t, deliver)

	out, _ := c.command("ssh-audit", "-n", "-p", g.port, "127.0.0.1").Output() // it exits with what it thinks of them
	offered := regexp.MustCompile(`(?m)^\((kex|key|enc|mac)\) (\S+)`).FindAllStringSubmatch(string(out), -1)
	if len(offered) < 10 {
		t.Fatalf("ssh-audit says:\n%s", out)
	}
	for _, o := range offered {
		if what := o[1] + " " + o[2]; !slices.Contains(approved(), what) {
			t.Errorf("offers %s", what)
		}
	}
	for option, works := range map[string]bool{
		"KexAlgorithms=ecdh-sha2-nistp256":      true,
		"KexAlgorithms=ecdh-sha2-nistp521":      true,
		"Ciphers=aes256-ctr":                    true,
		"KexAlgorithms=curve25519-sha256":       false,
		"Ciphers=chacha20-poly1305@openssh.com": false,
		"HostKeyAlgorithms=ecdsa-sha2-nistp256": false, // the gateway has no such host key
	} {
		cmd := c.command("sftp", append(c.openSSH("-o", option, "-b", "-"), "acme@127.0.0.1")...)
		cmd.Stdin = strings.NewReader("get a.csv.pgp\n")
		if out, err := cmd.CombinedOutput(); (err == nil) != works {
			t.Errorf("with %s: %v\n%s", option, err, out)
		}
	}
	ftp := "127.0.0.1:" + g.listens("ftp", "")
	for options, works := range map[string]bool{
		"-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -groups P-256": true,
		"-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384":              true,
		"-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256":         false,
		"-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305":              false,
		"-tls1_3 -groups X25519":                                     false,
	} {
		cmd := c.command("openssl", append([]string{"s_client", "-starttls", "ftp", "-connect", ftp}, strings.Fields(options)...)...)
		cmd.Stdin = strings.NewReader("")
		if out, err := cmd.CombinedOutput(); (err == nil) != works {
			t.Errorf("TLS with %s: %v\n%s", options, err, out)
		}
	}
}

// TestIntakeRefusesEnforcedFIPS: where Go refuses all that is not approved, OpenPGP is
// not to be had, and the gateway says so before it serves anybody.
func TestIntakeRefusesEnforcedFIPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, exec.Command(binary, "init", "--dir", dir))
	cmd := exec.Command(binary, "--config", filepath.Join(dir, "config.yaml"), "serve")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", "SEALDROP_SFTP_LISTEN=127.0.0.1:0")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "error: GODEBUG=fips140=only allows no OpenPGP") || !strings.Contains(string(out), "hint: ") {
		t.Errorf("%v\n%s", err, out)
	}
}
