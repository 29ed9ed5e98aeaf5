package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
)

// testKey is a client's PGP key with its private half.
type testKey struct {
	owner       reports.ClientID
	entity      *openpgp.Entity
	private     pgp.PrivateKey
	fingerprint string
	public      []byte
	expires     time.Time // zero: never
	retired     bool
	revoked     bool
}

func (k *testKey) usable(now time.Time) bool {
	return !k.retired && !k.revoked && (k.expires.IsZero() || now.Before(k.expires))
}

// decryption is the half that opens a sealed file.
func (k *testKey) decryption() *packet.PrivateKey { return k.entity.Subkeys[0].PrivateKey }

func sameKeys(a, b []*testKey) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(k *testKey) bool { return !slices.Contains(b, k) })
}

// newKey makes a key for a client, sometimes one that expires soon, and imports it.
func (m *misdelivery) newKey(p *person) {
	if len(p.keys) >= 5 {
		m.release(p)
		return
	}
	now := m.clock.now()
	config := &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519,
		Time: func() time.Time { return now.Truncate(time.Second) },
	}
	k := &testKey{owner: p.id}
	if m.IntN(2) == 0 {
		config.KeyLifetimeSecs = uint32(3600 * (1 + m.IntN(48)))
		k.expires = now.Truncate(time.Second).Add(time.Duration(config.KeyLifetimeSecs) * time.Second)
	}
	var err error
	k.entity, err = openpgp.NewEntity(p.id.String(), "", "", config)
	m.must("making a key", err)
	var public, private bytes.Buffer
	m.must("writing a key", k.entity.Serialize(&public))
	m.must("writing a key", k.entity.SerializePrivate(&private, config))
	k.public, k.fingerprint = public.Bytes(), fmt.Sprintf("%X", k.entity.PrimaryKey.Fingerprint)
	k.private, err = pgp.ReadPrivateKey(private.Bytes())
	m.must("reading a key", err)
	p.keys = append(p.keys, k)
	m.must("importing a key", m.importKey(p, k))
	m.release(p)
}

func (m *misdelivery) importKey(p *person, k *testKey) error {
	list, err := keys.Read(k.public, m.clock.now())
	if err != nil {
		return err
	}
	_, err = m.register.Import(m.t.Context(), "test", p.id, list)
	return err
}

// reimport imports a key again, whatever has become of it.
func (m *misdelivery) reimport(p *person) {
	if len(p.keys) == 0 {
		return
	}
	k := p.keys[m.IntN(len(p.keys))]
	err := m.importKey(p, k)
	expired := !k.expires.IsZero() && !m.clock.now().Before(k.expires)
	var unusable *pgp.UnusableError
	var revoked *keys.RevokedError
	switch {
	case expired:
		if !errors.As(err, &unusable) {
			m.t.Errorf("importing an expired key: %v", err)
		}
	case k.revoked:
		if !errors.As(err, &revoked) {
			m.t.Errorf("importing a revoked key: %v", err)
		}
	default:
		m.must("importing a key again", err)
		k.retired = false
		m.release(p)
	}
}

// endKey retires or revokes one of a client's keys.
func (m *misdelivery) endKey(p *person) {
	if len(p.keys) == 0 {
		return
	}
	k := p.keys[m.IntN(len(p.keys))]
	if k.revoked || k.retired {
		return
	}
	if m.IntN(2) == 0 {
		_, err := m.register.Revoke(m.t.Context(), "test", k.fingerprint, "test")
		m.must("revoking a key", err)
		k.revoked = true
		m.count("revoked")
		return
	}
	_, err := m.register.Retire(m.t.Context(), "test", k.fingerprint, m.clock.now())
	m.must("retiring a key", err)
	k.retired = true
	m.count("retired")
}

// importForeign tries to register another client's key.
func (m *misdelivery) importForeign(p *person) {
	other := m.people[m.IntN(len(m.people))]
	if other == p || len(other.keys) == 0 {
		return
	}
	k := other.keys[m.IntN(len(other.keys))]
	if !k.expires.IsZero() && !m.clock.now().Before(k.expires) {
		return // it is refused for that
	}
	err := m.importKey(p, k)
	var taken *keys.TakenError
	if !errors.As(err, &taken) {
		m.t.Errorf("importing %s's key for %s: %v", other.id, p.id, err)
	}
	m.count("foreign key refused")
}

// forgetKeys drops keys from the model that nothing is sealed to any more and
// that can't be used again.
func (m *misdelivery) forgetKeys(p *person) {
	p.keys = slices.DeleteFunc(p.keys, func(k *testKey) bool {
		expired := !k.expires.IsZero() && !m.clock.now().Before(k.expires)
		if !k.revoked && !expired {
			return false
		}
		for _, e := range p.entries {
			if slices.Contains(e.openers, k) {
				return false
			}
		}
		if expired {
			m.count("expired")
		}
		return true
	})
}

// checkSealed opens a sealed report with every key of every client. Those that it
// is for open it and find their client's name in it; no other does. Each time in
// eight the key ids that stand in the file are covered, so that every key is tried
// against the encrypted session key itself.
func (m *misdelivery) checkSealed(p *person, e *entry, r reports.Report) {
	sealed := m.content(r.Blob)
	packets := sessionKeys(m, sealed)
	m.rigorous++
	opens := map[*testKey]bool{}
	for _, other := range m.people {
		for _, k := range other.keys {
			if m.opens(packets, k, m.rigorous%8 == 0) {
				opens[k] = true
			} else {
				m.denied++
			}
		}
	}
	if len(opens) != len(e.openers) || len(packets) != max(1, len(e.openers)) {
		m.t.Errorf("%s of %s: %d keys open it, and %d session keys are in it; want %d", r.ID, p.id, len(opens), len(packets), len(e.openers))
	}
	for _, k := range e.openers {
		if !opens[k] || k.owner != p.id {
			m.t.Errorf("%s of %s: key %s of %s opens it: %t", r.ID, p.id, k.fingerprint, k.owner, opens[k])
			continue
		}
		body, err := unseal(sealed, k)
		if err != nil || !bytes.Equal(body, e.body) || strings.HasPrefix(string(body), "for="+p.id.String()+";") == e.foreign {
			m.t.Errorf("%s of %s opens to %.40q, %v", r.ID, p.id, body, err)
		}
		m.opened++
	}
}

func sessionKeys(m *misdelivery, sealed []byte) (list []*packet.EncryptedKey) {
	in := packet.NewReader(bytes.NewReader(sealed))
	for {
		next, err := in.Next()
		m.must("reading a sealed file", err)
		k, ok := next.(*packet.EncryptedKey)
		if !ok {
			return list
		}
		list = append(list, k)
	}
}

func (m *misdelivery) opens(packets []*packet.EncryptedKey, k *testKey, covered bool) bool {
	return slices.ContainsFunc(packets, func(p *packet.EncryptedKey) bool {
		try := *p
		if covered {
			try.KeyId = 0
		}
		return try.Decrypt(k.decryption(), nil) == nil
	})
}

func unseal(sealed []byte, k *testKey) ([]byte, error) {
	about, err := openpgp.ReadMessage(bytes.NewReader(sealed), openpgp.EntityList{k.entity}, nil, &packet.Config{
		Time: func() time.Time { return k.entity.PrimaryKey.CreationTime },
	})
	if err != nil {
		return nil, err
	}
	return io.ReadAll(about.UnverifiedBody)
}

// checkFolder compares what a client sees, and what it gets, with the model.
func (m *misdelivery) checkFolder(p *person) {
	seen := map[string]bool{}
	for _, at := range p.places {
		list, err := p.fs.List(m.t.Context(), m.name(at.name), "", 10000)
		m.must("listing a folder", err)
		for _, item := range list {
			if item.Folder {
				if at.name != "" || item.Name.String() != p.places[1].name {
					m.t.Errorf("%s sees folder %s", p.id, item.Name)
				}
				continue
			}
			seen[item.Name.String()] = true
			e := p.named(at, item.Name.Base())
			if e == nil {
				m.t.Errorf("%s sees %s, which is not in the model", p.id, item.Name)
				continue
			}
			if m.IntN(10) == 0 {
				m.fetch(p, e)
			}
		}
	}
	for _, e := range p.entries {
		if e.visible() && !seen[e.path()] {
			m.t.Errorf("%s does not see %s", p.id, e.path())
		}
	}
}

// fetch reads a file as its client does, and opens it.
func (m *misdelivery) fetch(p *person, e *entry) {
	f, err := p.fs.Open(m.t.Context(), m.name(e.path()))
	m.must("opening a file", err)
	data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	m.must("reading a file", errors.Join(err, f.Close()))
	m.fetched++
	if e.state == reports.Published {
		e.state = reports.Collected // or is about to be; both are visible
	}
	body := data
	if e.report {
		if body, err = unseal(data, e.openers[0]); err != nil {
			m.t.Errorf("%s got %s, and can't open it: %v", p.id, e.path(), err)
		}
	}
	if !bytes.Equal(body, e.body) {
		m.t.Errorf("%s got %.40q for %s", p.id, body, e.path())
	}
}

// checkAll compares everything with the model: all folders, and all sealed files,
// also those that wait or were removed.
func (m *misdelivery) checkAll() {
	all := m.files()
	n := 0
	for _, p := range m.people {
		m.checkFolder(p)
		n += len(p.entries)
		for _, e := range p.entries {
			r, found := all[e.id]
			if !found || r.Client != p.id {
				m.t.Errorf("%s of %s is %+v", e.id, p.id, r)
				continue
			}
			if e.report {
				m.checkSealed(p, e, r)
			}
		}
	}
	if len(all) != n {
		m.t.Errorf("there are %d files, and %d in the model", len(all), n)
	}
}
