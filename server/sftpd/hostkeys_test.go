package sftpd_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/sealdrop/sealdrop/server/sftpd"
)

// TestHostKeysAreRotated: OpenSSH's client, which is told of a key and given proof of
// it, goes on without a question when that key has taken the others' place, and
// forgets the others.
func TestHostKeysAreRotated(t *testing.T) {
	t.Parallel()
	next := edSigner()
	h := start(t, options{config: func(c *sftpd.Config) { c.NextHostKeys = []ssh.Signer{next} }})
	key, file := h.keyFile(), filepath.Join(t.TempDir(), "known_hosts")
	known := knownhosts.Line([]string{h.addr}, hostEd().PublicKey()) + "\n"
	if err := os.WriteFile(file, []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	// The client looks at what it is told beside its work, so that it may need a
	// second session.
	until := func(algorithm string, keys ...ssh.Signer) {
		t.Helper()
		var want []string
		for _, k := range keys {
			want = append(want, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey()))))
		}
		slices.Sort(want)
		var got []string
		for range 10 {
			out, err := h.run(t.TempDir(), "pwd\n", "sftp", "-F", "none", "-b", "-", "-o", "UpdateHostKeys=yes", "-o", "StrictHostKeyChecking=yes",
				"-o", "UserKnownHostsFile="+file, "-o", "GlobalKnownHostsFile=none", "-o", "HostKeyAlgorithms="+algorithm,
				"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", key, "-P", h.port(), "acme@127.0.0.1")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for line := range strings.Lines(string(text)) {
				_, k, _ := strings.Cut(strings.TrimSpace(line), " ")
				got = append(got, k)
			}
			slices.Sort(got)
			if slices.Equal(got, want) {
				return
			}
		}
		t.Fatalf("the client knows %q, want %q", got, want)
	}
	until("ssh-ed25519,rsa-sha2-512", hostEd(), hostRSA(), next)
	// RSA is proved with the hash that the connection was begun with.
	if err := os.WriteFile(file, []byte(knownhosts.Line([]string{h.addr}, hostRSA().PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	until("rsa-sha2-256,ssh-ed25519", hostEd(), hostRSA(), next)
	if err := h.sftpd.SetHostKeys([]ssh.Signer{next}, nil); err != nil {
		t.Fatal(err)
	}
	until("ssh-ed25519,rsa-sha2-512", next)
	if err := h.sftpd.SetHostKeys(nil, nil); err == nil {
		t.Error("a gateway without host keys")
	}
	until("ssh-ed25519,rsa-sha2-512", next) // nothing was changed
}

// TestAttackProofsForAnybody: the gateway signs for its own keys only, not any number
// of times, and tells of its keys who has use for it.
func TestAttackProofsForAnybody(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	const request = "hostkeys-prove-00@openssh.com"
	asking := func(keys ...[]byte) (payload []byte) {
		for _, k := range keys {
			payload = append(payload, ssh.Marshal(struct{ Key []byte }{k})...)
		}
		return payload
	}
	own, foreign := hostEd().PublicKey().Marshal(), edSigner().PublicKey().Marshal()
	for what, payload := range map[string][]byte{
		"nothing": nil, "half a length": {0, 0}, "a length beyond the end": {0xff, 0xff, 0xff, 0xff, 1},
		"a foreign key": asking(foreign), "a foreign key behind ours": asking(own, foreign),
		"our key, a thousand times": asking(slices.Repeat([][]byte{own}, 1000)...),
	} {
		if ok, proof, err := h.dial().SendRequest(request, true, payload); ok || len(proof) > 0 || err != nil {
			t.Errorf("%s: %v, %d bytes, %v", what, ok, len(proof), err)
		}
	}
	c, granted := h.dial(), 0
	for range 100 {
		ok, _, err := c.SendRequest(request, true, asking(own))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			granted++
		}
	}
	if granted == 0 || granted > 16 {
		t.Errorf("%d proofs on one connection", granted)
	}
}
