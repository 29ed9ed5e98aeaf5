package sshkey_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/keytext"
	"github.com/sealdrop/sealdrop/keys/sshkey"
)

// rsaWire is the wire form of an RSA key of that size. Nobody has its private half:
// reading a public key doesn't need one.
func rsaWire(bits int, exponent int64) []byte {
	var raw []byte
	for sum := sha256.Sum256(nil); len(raw) < (bits+7)/8; sum = sha256.Sum256(sum[:]) {
		raw = append(raw, sum[:]...)
	}
	n := new(big.Int).SetBytes(raw)
	n.Rsh(n, uint(n.BitLen()-bits))
	return rsaWireOf(n.SetBit(n, 0, 1), big.NewInt(exponent))
}

func rsaWireOf(n, e *big.Int) []byte {
	return ssh.Marshal(struct {
		Name string
		E, N *big.Int
	}{"ssh-rsa", e, n})
}

// edWire is the wire form of an Ed25519 key, another one for each seed.
func edWire(seed byte) []byte {
	key := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public().(ed25519.PublicKey)
	return ssh.Marshal(struct{ Name, Key string }{"ssh-ed25519", string(key)})
}

func b64(wire []byte) string { return base64.StdEncoding.EncodeToString(wire) }

// edLine and rsaLine are lines as in authorized_keys, without comments.
func edLine(seed byte) string { return "ssh-ed25519 " + b64(edWire(seed)) }
func rsaLine(bits int) string { return "ssh-rsa " + b64(rsaWire(bits, 65537)) }
func fold(s string, n int) string {
	var lines []string
	for ; len(s) > n; s = s[n:] {
		lines = append(lines, s[:n])
	}
	return strings.Join(append(lines, s), "\n")
}

func pemOf(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func lines(keys []sshkey.PublicKey) string {
	var all []string
	for _, key := range keys {
		all = append(all, key.Line())
	}
	return strings.Join(all, "\n")
}

func TestParseUnderstands(t *testing.T) {
	t.Parallel()
	ed, rsaKey := edLine(1), rsaLine(3072)
	blob := b64(rsaWire(3072, 65537))
	tests := map[string]struct{ in, want string }{
		"options":                    {`from="1.2.3.4,*.example.com",no-pty,command="echo \"a b\" ssh-rsa AAAA" ` + ed + " jane", ed + " jane"},
		"option with a key inside":   {`command="` + edLine(2) + `" ` + ed, ed},
		"an option that never ends":  {`from="1.2.3.4 ` + ed, ed},
		"blank and comment lines":    {"\n# ours\n\n" + ed + " jane\n#" + edLine(2) + "\n", ed + " jane"},
		"several keys":               {ed + " a\n" + rsaKey + " b\n\n" + edLine(2) + " c", ed + " a\n" + rsaKey + " b\n" + edLine(2) + " c"},
		"one key twice":              {ed + " a\n" + ed + " b", ed + " a"},
		"tabs":                       {"ssh-ed25519\t" + b64(edWire(1)) + "\tjane doe", ed + " jane doe"},
		"whole line in quotes":       {`"` + ed + ` jane"`, ed + " jane"},
		"after words":                {"our key: " + ed, ed},
		"without the type":           {b64(edWire(1)) + " jane", ed + " jane"},
		"without padding":            {strings.TrimRight(edLine(3), "="), edLine(3)},
		"wrapped at 76":              {fold(rsaKey+" jane", 76), rsaKey + " jane"},
		"wrapped at 60, quoted":      {"> " + strings.ReplaceAll(fold(rsaKey+" jane", 60), "\n", "\n> "), rsaKey + " jane"},
		"wrapped after the type":     {"ssh-rsa\n" + fold(blob, 70) + " jane", rsaKey + " jane"},
		"wrapped, double spaced":     {strings.ReplaceAll(fold(rsaKey, 64), "\n", "\n\n"), rsaKey},
		"wrapped, in a mail":         {"Dear all,\n\n" + fold(rsaKey, 72) + "\nRegards\nJane", rsaKey},
		"wrapped, then another":      {fold(rsaKey, 64) + "\n" + ed, rsaKey + "\n" + ed},
		"wrapped ends as blanks":     {"ssh-rsa " + strings.ReplaceAll(fold(blob, 64), "\n", " ") + " jane", rsaKey + " jane"},
		"wrapped after the type, 20": {"ssh-rsa\n" + fold(blob, 20) + " jane", rsaKey + " jane"},
		"security key":               {skEd25519() + " jane", skEd25519() + " jane"},
		"security key, ECDSA":        {skECDSA(), skECDSA()},
		"RFC 4716, headers":          {"---- BEGIN SSH2 PUBLIC KEY ----\nSubject: me\nCOMMENT: \"1024-bit RSA, converted from OpenSSH by \\\nme@example.com\"\nx-command: /home/me/bin/lock-in-guest.sh\n" + fold(blob, 70) + "\n---- END SSH2 PUBLIC KEY ----\n", rsaKey + " 1024-bit RSA, converted from OpenSSH by me@example.com"},
		"RFC 4716, blank line":       {"---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"c\"\n\n" + fold(blob, 70) + "\n---- END SSH2 PUBLIC KEY ----\n", rsaKey + " c"},
		"RFC 4716, five hyphens":     {"-----BEGIN SSH2 PUBLIC KEY-----\n" + fold(blob, 70) + "\n-----END SSH2 PUBLIC KEY-----\n", rsaKey},
		"RFC 4716, on one line":      {"---- BEGIN SSH2 PUBLIC KEY ---- " + blob + " ---- END SSH2 PUBLIC KEY ----", rsaKey},
		"all forms in one file":      {"---- BEGIN SSH2 PUBLIC KEY ----\n" + blob + "\n---- END SSH2 PUBLIC KEY ----\n" + ed + "\n" + pemOf("RSA PUBLIC KEY", pkcs1(2048)), rsaKey + "\n" + ed + "\n" + rsaLine(2048)},
		"PKCS#1 labelled PKCS#8":     {pemOf("PUBLIC KEY", pkcs1(2048)), rsaLine(2048)},
		"PKCS#8 labelled PKCS#1":     {pemOf("RSA PUBLIC KEY", pkix(t, rsaPublic(2048))), rsaLine(2048)},
		"largest RSA":                {rsaLine(8192), rsaLine(8192)},
		"exponent 37 (old PuTTYgen)": {"ssh-rsa " + b64(rsaWire(2048, 37)), "ssh-rsa " + b64(rsaWire(2048, 37))},
		"comment in Latin-1":         {ed + " J\xfcrgen", ed + " Jürgen"},
		"comment with escapes":       {ed + " a\u202eb\u2066c\u0085d  e", ed + " abc d e"},
		"comment as long as a book":  {ed + " " + strings.Repeat("x", 5000), ed + " " + strings.Repeat("x", 256)},
		"comment of a private key":   {ed + " Private\u202e-Lines:", ed},
		"comment that is a marker":   {ed + " -----BEGIN PUBLIC KEY-----", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := sshkey.Parse([]byte(test.in))
			if test.want == "" {
				if err == nil {
					t.Errorf("Parse = %s", lines(keys))
				}
				return
			}
			if err != nil || lines(keys) != test.want {
				t.Errorf("Parse = %v\n got %s\nwant %s", err, lines(keys), test.want)
			}
		})
	}
}

func rsaPublic(bits int) *rsa.PublicKey {
	pub, err := ssh.ParsePublicKey(rsaWire(bits, 65537))
	if err != nil {
		panic(err)
	}
	return pub.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey)
}

func pkcs1(bits int) []byte { return x509.MarshalPKCS1PublicKey(rsaPublic(bits)) }

func pkix(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func skEd25519() string {
	return "sk-ssh-ed25519@openssh.com " + b64(ssh.Marshal(struct{ Name, Key, Application string }{
		"sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "ssh:",
	}))
}

func skECDSA() string {
	curve := elliptic.P256().Params()
	point := append(append([]byte{4}, curve.Gx.Bytes()...), curve.Gy.Bytes()...)
	return "sk-ecdsa-sha2-nistp256@openssh.com " + b64(ssh.Marshal(struct {
		Name, Curve string
		Point       []byte
		Application string
	}{"sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", point, "ssh:"}))
}

func TestSecurityKeysShowAsSSHKeygenShowsThem(t *testing.T) {
	t.Parallel()
	for _, text := range []string{skEd25519(), skECDSA()} {
		file := filepath.Join(t.TempDir(), "sk.pub")
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		key := parseOne(t, []byte(text))
		if bits, fingerprint := shown(t, file); key.Fingerprint() != fingerprint || bits != "256" || key.Bits() != 256 {
			t.Errorf("%s: %d %s; ssh-keygen shows %s %s", key.Algorithm(), key.Bits(), key.Fingerprint(), bits, fingerprint)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	ed := edLine(1)
	whole := rsaLine(3072)
	huge := new(big.Int).Lsh(big.NewInt(1), 100)
	huge.Add(huge, big.NewInt(1))
	odd := rsaPublic(2048).N
	even := new(big.Int).Add(odd, big.NewInt(1))
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		in, want string
		as       any
	}{
		"RSA 2047":             {rsaLine(2047), "line 1: an RSA key of 2047 bits is too weak: at least 2048", new(*sshkey.WeakKeyError)},
		"RSA 8193":             {rsaLine(8193), "line 1: an RSA key of 8193 bits is larger than is of use: at most 8192", new(*sshkey.WeakKeyError)},
		"RSA 65536":            {"\n" + rsaLine(65536), "line 2: an RSA key of 65536 bits is larger than is of use: at most 8192", new(*sshkey.WeakKeyError)},
		"RSA, exponent 1":      {"ssh-rsa " + b64(rsaWire(2048, 1)), "its exponent is none that", new(*sshkey.WeakKeyError)},
		"RSA, exponent 4":      {"ssh-rsa " + b64(rsaWire(2048, 4)), "its exponent is none that", new(*sshkey.WeakKeyError)},
		"RSA, exponent -3":     {"ssh-rsa " + b64(rsaWire(2048, -3)), "its exponent is none that", new(*sshkey.WeakKeyError)},
		"RSA, exponent 2^31-1": {pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: odd, E: 1<<31 - 1})), "its exponent is none that", new(*sshkey.WeakKeyError)},
		"RSA, huge exponent":   {"ssh-rsa " + b64(rsaWireOf(odd, huge)), "its exponent is none that", new(*sshkey.WeakKeyError)},
		"RSA, even modulus":    {"ssh-rsa " + b64(rsaWireOf(even, big.NewInt(65537))), "not an odd number", new(*sshkey.WeakKeyError)},
		"RSA, below zero":      {"ssh-rsa " + b64(rsaWireOf(new(big.Int).Neg(odd), big.NewInt(65537))), "not an odd number", new(*sshkey.WeakKeyError)},
		"one bad of three":     {ed + "\n" + rsaLine(1024) + "\n" + edLine(2), "line 2: an RSA key of 1024 bits", new(*sshkey.WeakKeyError)},

		"certificate authority": {"cert-authority " + ed, "line 1: cert-authority is a certificate", new(*sshkey.UnsupportedKeyError)},
		"known_hosts authority": {"@cert-authority * " + ed, "is a certificate", new(*sshkey.UnsupportedKeyError)},
		"X.509":                 {pemOf("CERTIFICATE", []byte("x")), "X.509 is a certificate", new(*sshkey.UnsupportedKeyError)},
		"unknown type":          {"ssh-ed448 " + b64(ssh.Marshal(struct{ Name, Key string }{"ssh-ed448", strings.Repeat("k", 57)})), "keys of type ssh-ed448 are not supported", new(*sshkey.UnsupportedKeyError)},
		"X25519":                {pemOf("PUBLIC KEY", pkix(t, x25519.PublicKey())), "X25519", new(*sshkey.UnsupportedKeyError)},
		"P-224":                 {pemOf("PUBLIC KEY", pkix(t, &p224.PublicKey)), "ECDSA on another curve", new(*sshkey.UnsupportedKeyError)},

		"cut off":                {ed + "\n" + whole[:300], "line 2: the key is cut off", new(*sshkey.SyntaxError)},
		"cut off, comment":       {whole[:300] + " jane", "line 1: the key is cut off", new(*sshkey.SyntaxError)},
		"cut off, before a key":  {whole[:300] + "\n" + ed, "line 1: the key is cut off", new(*sshkey.SyntaxError)},
		"cut off, before a bare": {whole[:300] + "\n" + b64(edWire(1)), "line 1: the key is cut off", new(*sshkey.SyntaxError)},
		"cut off, early":         {"ssh-rsa AAAAB3Nz", "cut off", new(*sshkey.SyntaxError)},
		"first letters lost":     {"ssh-rsa " + b64(rsaWire(2048, 65537))[1:], "damaged", new(*sshkey.SyntaxError)},
		"letter lost":            {whole[:100] + whole[101:], "the key is cut off", new(*sshkey.SyntaxError)},
		"letter too many":        {edLine(1) + "A", "damaged", new(*sshkey.SyntaxError)},
		"letters too many":       {edLine(1) + "AAAA", "something follows at its end", new(*sshkey.SyntaxError)},
		"damaged, another good":  {ed + "\n" + whole[:100] + "?" + whole[101:], "line 2: the key is damaged", new(*sshkey.SyntaxError)},
		"other characters":       {whole[:100] + "?" + whole[101:], "line 1: the key is damaged: its base64 can't be decoded", new(*sshkey.SyntaxError)},
		"another type":           {"ssh-rsa " + b64(edWire(1)), "the line says ssh-rsa, but the key itself is of type ssh-ed25519", new(*sshkey.SyntaxError)},
		"length of 4 GiB":        {"ssh-rsa " + b64(append([]byte("\x00\x00\x00\x07ssh-rsa\xff\xff\xff\xff"), make([]byte, 64)...)), "claims to be larger", new(*sshkey.SyntaxError)},
		"point not on the curve": {"ecdsa-sha2-nistp256 " + b64(ssh.Marshal(struct{ Name, Curve, Point string }{"ecdsa-sha2-nistp256", "nistp256", "\x04" + strings.Repeat("x", 64)})), "don't fit together", new(*sshkey.SyntaxError)},
		"revoked":                {"@revoked * " + ed, "marked as revoked", new(*sshkey.SyntaxError)},
		"stray base64":           {ed + "\n" + strings.Repeat("Q", 70), "line 2: this line looks like part of a key", new(*sshkey.SyntaxError)},
		"no END":                 {"\n\n---- BEGIN SSH2 PUBLIC KEY ----\n" + b64(edWire(1)), "line 3: the key that begins here is cut off: it has no END line", new(*sshkey.SyntaxError)},
		"empty block":            {"---- BEGIN SSH2 PUBLIC KEY ----\n---- END SSH2 PUBLIC KEY ----", "cut off", new(*sshkey.SyntaxError)},
		"damaged block":          {"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA*\n---- END SSH2 PUBLIC KEY ----", "base64", new(*sshkey.SyntaxError)},
		"damaged PEM":            {pemOf("PUBLIC KEY", pkcs1(2048)[:100]), "damaged", new(*sshkey.SyntaxError)},
		"damaged PKCS#8":         {pemOf("PUBLIC KEY", append(pkix(t, rsaPublic(2048)), 0)), "damaged", new(*sshkey.SyntaxError)},
		"with a PGP key":         {ed + "\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENB\n-----END PGP PUBLIC KEY BLOCK-----", "line 2: something other than an SSH key begins here", new(*sshkey.SyntaxError)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := sshkey.Parse([]byte(test.in))
			if err == nil || keys != nil || !errors.As(err, test.as) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Parse = %d keys, %T: %v; want %T with %q", len(keys), err, err, test.as, test.want)
			}
			if hint, ok := err.(interface{ Hint() string }); !ok || hint.Hint() == "" {
				t.Errorf("%v comes without a hint", err)
			}
		})
	}
}

func TestDSAInPKCS8IsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, "openssl", "dsaparam", "-genkey", "-out", dir+"/dsa.pem", "1024")
	run(t, "openssl", "dsa", "-in", dir+"/dsa.pem", "-pubout", "-out", dir+"/dsa.pub")
	if _, err := sshkey.Parse(read(t, dir+"/dsa.pub")); !errors.As(err, new(*sshkey.WeakKeyError)) {
		t.Errorf("Parse = %v", err)
	}
	run(t, "openssl", "ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", dir+"/k1.pem")
	run(t, "openssl", "ec", "-in", dir+"/k1.pem", "-pubout", "-out", dir+"/k1.pub")
	if _, err := sshkey.Parse(read(t, dir+"/k1.pub")); !errors.As(err, new(*sshkey.UnsupportedKeyError)) {
		t.Errorf("Parse = %v", err)
	}
}

func TestParseLeavesOtherTextsToOthers(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":           "",
		"blank":             " \r\n\n",
		"prose":             "Dear all, we use ssh-rsa\nRegards",
		"PGP, armored":      "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + fold(b64(rsaWire(2048, 3)), 64) + "\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n",
		"PGP, cut off":      "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + fold(b64(rsaWire(2048, 3)), 64),
		"PGP, binary":       "\x99\x01\x0d\x04\x5f\x00",
		"binary":            "\x00\x00\x00\x07ssh-rsa",
		"base64 of nothing": strings.Repeat("QUFB", 40),
		"zeros in base64":   strings.Repeat("AAAA", 40),
		"CSV":               "date,amount\n2026-01-02,100\n",
		"comments only":     "# " + edLine(1),
	} {
		if keys, err := sshkey.Parse([]byte(text)); !errors.Is(err, sshkey.ErrNotSSHKey) {
			t.Errorf("%s: Parse = %d keys, %v", name, len(keys), err)
		}
	}
	_, err := sshkey.Parse(make([]byte, keytext.MaxSize+1))
	if !errors.As(err, new(*keytext.TooLargeError)) {
		t.Errorf("Parse of more than MaxSize = %v", err)
	}
}

// TestPrivateKeyBesidePublicIsRefused: the public half in the same file, or a
// private key hidden in HTML, must not let it pass.
func TestPrivateKeyBesidePublicIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		edLine(1) + "\n-----BEGIN OPENSSH PRIVATE KEY-----\n",
		edLine(1) + "\n&#45;&#45;---BEGIN RSA PRIVATE&nbsp;KEY-----<br>",
		edLine(1) + " PuTTY-User-Key-File-3: ssh-ed25519",
	} {
		if keys, err := sshkey.Parse([]byte(text)); !errors.As(err, new(*sshkey.PrivateKeyError)) || keys != nil {
			t.Errorf("Parse(%q) = %d keys, %v", text, len(keys), err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	parse := func(wire []byte) ssh.PublicKey {
		pub, err := ssh.ParsePublicKey(wire)
		if err != nil {
			t.Fatal(err)
		}
		return pub
	}
	for _, wire := range [][]byte{edWire(1), rsaWire(2048, 65537), rsaWire(8192, 3)} {
		if err := sshkey.Check(parse(wire)); err != nil {
			t.Error(err)
		}
	}
	for _, wire := range [][]byte{rsaWire(1024, 65537), rsaWire(8200, 65537)} {
		if err := sshkey.Check(parse(wire)); !errors.As(err, new(*sshkey.WeakKeyError)) || strings.HasPrefix(err.Error(), "line") {
			t.Errorf("Check = %v", err)
		}
	}
	weak := parse(ssh.Marshal(struct {
		Name       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).Lsh(big.NewInt(1), 1023), new(big.Int).Lsh(big.NewInt(1), 159), big.NewInt(7), big.NewInt(9)}))
	if err := sshkey.Check(weak); !errors.As(err, new(*sshkey.WeakKeyError)) {
		t.Errorf("Check of DSA = %v", err)
	}
	if err := sshkey.Check(nil); err == nil {
		t.Error("Check of nil gives no error")
	}
}

func BenchmarkParse(b *testing.B) {
	for name, text := range map[string]string{
		"ed25519": edLine(1), "rsa-3072": rsaLine(3072), "rfc4716": "---- BEGIN SSH2 PUBLIC KEY ----\n" + fold(b64(rsaWire(3072, 65537)), 70) + "\n---- END SSH2 PUBLIC KEY ----\n",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := sshkey.Parse([]byte(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	pub, err := ssh.ParsePublicKey(rsaWire(3072, 65537))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := sshkey.Check(pub); err != nil {
			b.Fatal(err)
		}
	}
}

// TestParseIsLinear gives large texts that would take very long if any step went
// over them once for each of their parts.
func TestParseIsLinear(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{
		edLine(1) + "\n", "ssh-rsa AAAAB3NzaC1yc2E\n", "ssh-rsa\n\n", "A", "AAAA ", "A\n", "ssh-rsa ", `="`, `=" `, "-----BEGIN A-----\n",
		"-----BEGIN PGP A-----\nA\n-----END PGP A-----\n", "---- BEGIN SSH2 PUBLIC KEY ----\n", "x: \\\n", "AAAAB3NzaC1yc2EAAAAD ",
	} {
		text := strings.Repeat(unit, keytext.MaxSize/16/len(unit))
		if _, err := sshkey.Parse([]byte(text)); err != nil && strings.Contains(err.Error(), text[:16]+text[:16]) {
			t.Errorf("the error repeats the input: %v", err)
		}
		for _, ahead := range []string{"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAABAAA\n", "---- BEGIN SSH2 PUBLIC KEY ----\n"} {
			if _, err := sshkey.Parse([]byte(ahead + text[:len(text)-64])); err == nil && unit[0] != 's' {
				t.Errorf("%q repeated after %q is taken", unit, ahead)
			}
		}
	}
}
