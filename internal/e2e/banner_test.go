package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

const addressBanner = "Your key is right, but your address 127.0.0.1 is not on the list of acme."

// TestRealClientsShowWhyTheirAddressIsRefused: after the proof, and not before.
func TestRealClientsShowWhyTheirAddressIsRefused(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	c := g.client("acme", "ed25519", "127.9.9.9")
	g.sealdrop("client", "add", "other", "--allow", "127.0.0.1") // so that the connection is not closed at once
	ppk := c.key + ".ppk"
	c.run("", "puttygen", c.key, "-O", "private", "-o", ppk)
	hostKey := strings.Fields(c.run("", "ssh-keygen", "-lf", g.dir+"/data/hostkeys/ssh_host_ed25519_key.pub"))[1]
	empty := c.write("batch", nil)
	askSSH := []string{"-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"}
	for name, args := range map[string][]string{
		"sftp":  append(askSSH, "-i", c.key, "-P", g.port, "-b", empty, "acme@127.0.0.1"),
		"psftp": {"-batch", "-hostkey", hostKey, "-P", g.port, "-i", ppk, "-b", empty, "acme@127.0.0.1"},
		"lftp": {"-c", fmt.Sprintf("set net:max-retries 1; set cmd:fail-exit yes; debug 4; set sftp:connect-program %q; open -u acme,x sftp://127.0.0.1:%s; ls",
			"ssh -a -x "+strings.Join(askSSH, " ")+" -i "+c.key, g.port)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := c.command(name, args...).CombinedOutput()
			if err == nil || !strings.Contains(string(out), addressBanner) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	t.Run("a key that is not the client's", func(t *testing.T) {
		t.Parallel()
		must(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", c.home+"/stranger"))
		out, err := c.command("sftp", append(askSSH, "-i", c.home+"/stranger", "-P", g.port, "-b", empty, "acme@127.0.0.1")...).CombinedOutput()
		if err == nil || strings.Contains(string(out), "address") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// TestAttackOfferedKeyGetsNoBanner: the answer to who knows a client's public key is
// the same, byte for byte, whether its address is on the list or not.
func TestAttackOfferedKeyGetsNoBanner(t *testing.T) {
	t.Parallel()
	g := startWith(t, "SEALDROP_SFTP_LISTEN=127.0.0.1:0", "SEALDROP_ACCESS_LEARN=true")
	g.port = g.listens("sftp", "127.0.0.1")
	c := g.client("acme", "ed25519", "127.0.0.1")
	var answers []string
	for _, allow := range []string{"127.0.0.1", "127.9.9.9"} {
		g.sealdrop("client", "set", "acme", "--allow", allow)
		var banner strings.Builder
		text, err := os.ReadFile(c.key)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.ParsePrivateKey(text)
		if err != nil {
			t.Fatal(err)
		}
		client, err := ssh.Dial("tcp", "127.0.0.1:"+g.port, &ssh.ClientConfig{
			User: c.id, Auth: []ssh.AuthMethod{ssh.PublicKeys(forger{signer})},
			HostKeyCallback: ssh.InsecureIgnoreHostKey(), // the test's own gateway
			BannerCallback:  func(text string) error { banner.WriteString(text); return nil },
		})
		if err == nil {
			_ = client.Close()
			t.Fatal("it got in")
		}
		answers = append(answers, banner.String()+err.Error())
	}
	if answers[0] != answers[1] || strings.Contains(answers[1], "address") {
		t.Errorf("the answers are %q", answers)
	}
	if out := g.sealdrop("client", "allow", "acme", "--suggested", "-o", "json"); strings.TrimSpace(string(out)) != "[]" {
		t.Errorf("learned %s", out)
	}
}
