package pgp_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// packetAt returns where the nth packet of that type starts and ends. The packets of
// our own keys are short: a header of two or three octets.
func packetAt(t *testing.T, data []byte, tag byte, nth int) (start, end int) {
	t.Helper()
	for end < len(data) {
		start = end
		length, header := int(data[start+1]), 2
		if length >= 192 {
			length, header = (length-192)<<8+int(data[start+2])+192, 3
		}
		end = start + header + length
		if data[start] == 0xc0|tag {
			if nth--; nth == 0 {
				return start, end
			}
		}
	}
	t.Fatalf("no packet %d", tag)
	return 0, 0
}

func TestAlteredCertificates(t *testing.T) {
	t.Parallel()
	whole := dearmor(t, newKey(t).Certificate().Armored())
	_, selfSignature := packetAt(t, whole, 2, 1)
	_, binding := packetAt(t, whole, 2, 2)
	subkey, _ := packetAt(t, whole, 14, 1)
	unknown := bytes.Clone(whole)
	unknown[subkey+2+5] = 99 // algorithm
	bindingStart, _ := packetAt(t, whole, 2, 2)
	for name, test := range map[string]struct {
		data []byte
		want pgp.Reason
	}{
		"self-signature":           {flip(whole, selfSignature-1), pgp.ReasonDamaged},
		"binding signature":        {flip(whole, binding-1), pgp.ReasonDamaged},
		"no binding signature":     {whole[:bindingStart], pgp.ReasonDamaged},
		"subkey taken away":        {whole[:subkey], pgp.ReasonSignOnly},
		"subkey of unknown kind":   {unknown, pgp.ReasonUnsupported},
		"subkey of another's cert": {slices.Concat(whole[:subkey], foreignSubkey(t)), pgp.ReasonDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert := parseOne(t, test.data)
			if got := reasonOf(t, cert.Usable(time.Now())); got != test.want {
				t.Errorf("reason %s: %v", got, cert.Usable(time.Now()))
			}
		})
	}
}

// foreignSubkey is an encryption subkey with its signature from another certificate,
// which an attacker would like us to seal to.
func foreignSubkey(t *testing.T) []byte {
	t.Helper()
	other := dearmor(t, newKey(t).Certificate().Armored())
	start, _ := packetAt(t, other, 14, 1)
	return other[start:]
}

// entityAt makes a key with the library, as of a point in time.
func entityAt(t *testing.T, at time.Time) *openpgp.Entity {
	t.Helper()
	entity, err := openpgp.NewEntity("Library", "", "", libraryConfigAt(at))
	if err != nil {
		t.Fatal(err)
	}
	return entity
}

func libraryConfigAt(at time.Time) *packet.Config {
	return &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
		Time: func() time.Time { return at },
	}
}

func serialized(t testing.TB, entity *openpgp.Entity) pgp.Certificate {
	t.Helper()
	var out bytes.Buffer
	if err := entity.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return parseOne(t, out.Bytes())
}

func TestRevokedSubkey(t *testing.T) {
	t.Parallel()
	made := time.Now().Add(-time.Hour)
	entity := entityAt(t, made)
	if err := entity.Subkeys[0].Revoke(packet.KeySuperseded, "", libraryConfigAt(made.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	cert := serialized(t, entity)
	if got := reasonOf(t, cert.Usable(time.Now())); got != pgp.ReasonRevoked {
		t.Errorf("reason %s", got)
	}
	if ids := cert.EncryptionKeyIDs(); len(ids) != 1 {
		t.Errorf("what was sealed to it earlier would not be found: %v", ids)
	}
}

func TestSignedInTheFuture(t *testing.T) {
	t.Parallel()
	now := time.Now()
	later := libraryConfigAt(now.Add(time.Hour))
	for name, sign := range map[string]func(*openpgp.Entity) error{
		"self-signature": func(e *openpgp.Entity) error {
			identity := e.Identities["Library"]
			sig := identity.SelfCertifications[0].Packet
			sig.CreationTime = later.Now()
			return sig.SignUserId(identity.UserId.Id, e.PrimaryKey, e.PrivateKey, later)
		},
		"subkey": func(e *openpgp.Entity) error {
			sig := e.Subkeys[0].Bindings[0].Packet
			sig.CreationTime = later.Now()
			return sig.SignKey(e.Subkeys[0].PublicKey, e.PrivateKey, later)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entity := entityAt(t, now.Add(-time.Hour))
			if err := sign(entity); err != nil {
				t.Fatal(err)
			}
			cert := serialized(t, entity)
			if got := reasonOf(t, cert.Usable(now)); got != pgp.ReasonNotYetValid {
				t.Errorf("reason %s: %v", got, cert.Usable(now))
			}
			if err := cert.Usable(now.Add(2 * time.Hour)); err != nil {
				t.Errorf("later: %v", err)
			}
		})
	}
}

func TestAlgorithmNames(t *testing.T) {
	t.Parallel()
	for _, curve := range []string{"brainpoolP256r1", "nistp384", "nistp521"} {
		t.Run(curve, func(t *testing.T) {
			t.Parallel()
			g := newGnuPG(t)
			cert := g.certificate(g.generate("Key-Type: ecdsa\nKey-Curve: " + curve + "\nKey-Usage: sign\nSubkey-Type: ecdh\nSubkey-Curve: " + curve + "\nSubkey-Usage: encrypt\nName-Real: Curve"))
			if cert.Algorithm() != curve {
				t.Errorf("called %s", cert.Algorithm())
			}
			sealed := seal(t, []byte("hello"), pgp.Options{Recipients: []pgp.Certificate{cert}, Size: 5})
			if got := g.run(sealed, "--decrypt"); string(got) != "hello" {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := (pgp.Certificate{}).String(); got != "no certificate" {
		t.Errorf("zero value is %q", got)
	}
	if got := (pgp.PrivateKey{}).String(); !strings.HasPrefix(got, "no ") {
		t.Errorf("zero value is %q", got)
	}
}

// A passphrase on the gateway's key is refused when it is read, not when it is needed.
func TestReadPrivateKeyWithPassphrase(t *testing.T) {
	t.Parallel()
	entity := entityAt(t, time.Now())
	if err := entity.EncryptPrivateKeys([]byte("secret"), nil); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&out, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := pgp.ReadPrivateKey(out.Bytes()); err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("got %v", err)
	}
}
