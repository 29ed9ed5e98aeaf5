package support_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/support"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

var at = time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)

// source is a gateway in which everything that has a name is called CANARY.
func source(t *testing.T, e databasetest.Engine) support.Source {
	t.Helper()
	db, _ := e.Open(t, t.TempDir())
	clock := func() time.Time { return at }
	s := support.Source{
		Register: keys.NewRegister(db, clock), Catalog: catalog.New(db, clock), DB: db, Engine: "sqlite", DataDir: t.TempDir(), Version: "v1",
		Settings: map[string]any{"log.level": "info"}, Aliases: support.NewAliases([]byte("secret")), Now: at.Add(time.Hour),
	}
	id, err := reports.ParseClientID("canary-client")
	if err != nil {
		t.Fatal(err)
	}
	err = s.Register.AddClient(t.Context(), "operator:canary-operator", keys.Client{ID: id, Name: "CANARY name", Allow: []netip.Prefix{netip.MustParsePrefix("203.0.113.77/32")}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := pgp.GeneratePrivateKey("CANARY user", at)
	if err != nil {
		t.Fatal(err)
	}
	list, err := keys.Read([]byte(key.Certificate().Armored()), at)
	if err == nil {
		_, err = s.Register.Import(t.Context(), "operator:canary-operator", id, list)
	}
	if err == nil {
		err = s.Register.SetPassword(t.Context(), "operator:canary-operator", id, "canary password that is long", time.Time{})
	}
	if err == nil {
		_, err = s.Register.Revoke(t.Context(), "operator:canary-operator", key.Certificate().Fingerprint(), "canary-reason")
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := reports.ParseName("canary folder/CANARY file.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Catalog.Publish(t.Context(), catalog.Publication{
		Client: id, Name: name, Blob: "canaryblob", Size: 1234, PlainSize: 4321, SHA256: strings.Repeat("c", 64), Source: "canarysource",
		SealedTo: []string{key.Certificate().Fingerprint()}, Actor: "operator:canary-operator", Retention: time.Hour * 2400,
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(tx *database.Tx) error {
		return audit.Append(tx, at, audit.Entry{
			Event: "login.refused", Actor: "gateway", Client: id.String(), Subject: "canary subject",
			Detail: map[string]string{
				"reason": "address-not-allowed", "protocol": "sftp", "address": "203.0.113.77", "user": "canary-user", "software": "SSH-2.0-CANARY",
				"offered": "SHA256:CANARY", "detail": "canary detail", "count": "Canary", "canaryfield": "canary",
			},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNothingOfAClientIsInABundle plants canaries wherever the catalog has a text, and
// looks for them in every byte that is written.
func TestNothingOfAClientIsInABundle(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		s := source(t, e)
		b, err := support.Gather(t.Context(), s, support.Options{Since: at.AddDate(0, 0, -7), Extended: true, Comment: "what I saw"})
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		if err := b.Write(&packed); err != nil {
			t.Fatal(err)
		}
		z, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil || !json.Valid(data) {
				t.Errorf("%s is not JSON: %v", f.Name, err)
			}
			all += string(data)
		}
		for _, secret := range []string{"canary", "203.0.113", "argon2", "BEGIN PGP", strings.Repeat("c", 64)} {
			if i := strings.Index(strings.ToLower(all), strings.ToLower(secret)); i >= 0 {
				t.Errorf("the bundle has %q: %s", secret, all[max(0, i-100):min(len(all), i+100)])
			}
		}
		for _, want := range []string{
			s.Aliases.Client("canary-client"), s.Aliases.Address("203.0.113.77"), "address-not-allowed", "login.refused", "key.revoked", "revoked",
			`"ip4/32"`, `"size": 1234`, "what I saw", `"log.level": "info"`, "report.published",
		} {
			if !strings.Contains(all, want) {
				t.Errorf("the bundle has no %q, and would help nobody", want)
			}
		}
	})
}

func TestManifestNamesEachFile(t *testing.T) {
	t.Parallel()
	b, err := support.Gather(t.Context(), source(t, databasetest.SQLite), support.Options{Since: at.AddDate(0, 0, -7)})
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Files []struct{ Name, SHA256 string }
	}
	if err := json.Unmarshal(b.Files()[0].Content(), &manifest); err != nil {
		t.Fatal(err)
	}
	for i, f := range b.Files()[1:] {
		if m := manifest.Files[i]; m.Name != f.Name || m.SHA256 != f.SHA256 || f.Name == "reports.json" {
			t.Errorf("%s with %s is in the manifest as %+v", f.Name, f.SHA256, m)
		}
	}
}

// TestBundleOfOneClient has nothing of the others.
func TestBundleOfOneClient(t *testing.T) {
	t.Parallel()
	s := source(t, databasetest.SQLite)
	other, err := reports.ParseClientID("other")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Register.AddClient(t.Context(), "operator:ops", keys.Client{ID: other}); err != nil {
		t.Fatal(err)
	}
	b, err := support.Gather(t.Context(), s, support.Options{Since: at.AddDate(0, 0, -7), Extended: true, Client: other})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.Files() {
		if strings.Contains(string(f.Content()), s.Aliases.Client("canary-client")) {
			t.Errorf("%s tells of another client", f.Name)
		}
	}
}

func TestAliases(t *testing.T) {
	t.Parallel()
	a, again, b := support.NewAliases([]byte("one")), support.NewAliases([]byte("one")), support.NewAliases([]byte("two"))
	if a.Client("acme") != again.Client("acme") || a.Client("acme") == a.Client("beta") || a.Client("acme") == b.Client("acme") {
		t.Error("aliases are not the same for the same thing, or not different for another")
	}
	if a.Client("x")[len("client-"):] == a.Report("x")[len("report-"):] {
		t.Error("a client and a report of the same id have the same alias")
	}
	if x, y := a.Address("203.0.113.7"), a.Address("203.0.113.8"); x == y || x[:len(x)-8] != y[:len(y)-8] || !strings.HasPrefix(x, "ip4-public-") {
		t.Errorf("two addresses of a network are %s and %s", x, y)
	}
	if a.Address("::ffff:203.0.113.7") != a.Address("203.0.113.7") {
		t.Error("an IPv4-mapped address is another one")
	}
	for address, prefix := range map[string]string{"10.1.2.3": "ip4-private-", "::1": "ip6-loopback-", "2001:db8::1": "ip6-public-", "acme.example": ""} {
		if got := a.Address(address); !strings.HasPrefix(got, prefix) || prefix == "" && got != "" {
			t.Errorf("%s is %q", address, got)
		}
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	s := source(t, databasetest.SQLite)
	client, address := s.Aliases.Client("canary-client"), s.Aliases.Address("203.0.113.77")
	found, err := support.Resolve(t.Context(), s, []string{client, "client-0000000000", address})
	if err != nil || len(found) != 2 || found[0] != (support.Meaning{Alias: client, StandsFor: "canary-client"}) || found[1].StandsFor != "203.0.113.77" {
		t.Errorf("%+v, %v", found, err)
	}
}
