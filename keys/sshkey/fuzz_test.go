package sshkey_test

import (
	"bytes"
	"encoding/base64"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/keys/sshkey"
)

// FuzzParse checks on any bytes that whatever is taken as a key passes the policy
// and survives being stored: the same key and comment, and the same line again.
func FuzzParse(f *testing.F) {
	blob := base64.StdEncoding.EncodeToString(rsaWire(2048, 65537))
	block := "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"rsa-key \\\n20260102\"\n" + fold(blob, 70) + "\n---- END SSH2 PUBLIC KEY ----\n"
	for _, seed := range []string{
		edLine(1) + " jane@example.com\n", rsaLine(2048), fold(rsaLine(2048)+" jane", 64), `from="a b",no-pty ` + edLine(1),
		edLine(1) + "\n# second\n" + edLine(2), block, "\xff\xfe" + widen(block), "<p>&gt; " + edLine(1) + "</p>",
		skEd25519(), skECDSA(), pemOf("RSA PUBLIC KEY", pkcs1(2048)), pemOf("PUBLIC KEY", pkcs1(2048)),
		"ssh-dss AAAAB3NzaC1kc3MAAAA=", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n", edLine(1) + " -----BEGIN A-----", edLine(1) + " &amp;lt;",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		keys, err := sshkey.Parse(data)
		if !bytes.Equal(before, data) {
			t.Fatal("Parse changed its input")
		}
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("Parse = %d keys, %v", len(keys), err)
		}
		if err != nil && len(err.Error()) > 400 {
			t.Fatalf("an error of %d bytes: %v", len(err.Error()), err)
		}
		for _, key := range keys {
			checkStored(t, key)
		}
	})
}

func checkStored(t *testing.T, key sshkey.PublicKey) {
	t.Helper()
	if err := sshkey.Check(key.SSH()); err != nil {
		t.Fatalf("%s was taken against the policy: %v", key.Line(), err)
	}
	if !utf8.ValidString(key.Line()) || bytes.ContainsAny([]byte(key.Line()), "\r\n\x00\x1b") || key.Bits() < 256 {
		t.Fatalf("%q is not fit to store", key.Line())
	}
	again, err := sshkey.Parse([]byte(key.Line() + "\n"))
	if err != nil || len(again) != 1 {
		t.Fatalf("%q is not read again: %d keys, %v", key.Line(), len(again), err)
	}
	if diff := cmp.Diff(describe(key), describe(again[0])); diff != "" {
		t.Fatalf("read again, it differs (-first +second):\n%s", diff)
	}
}

func describe(key sshkey.PublicKey) []string {
	return []string{key.Line(), key.Comment(), key.Fingerprint(), key.Algorithm()}
}
