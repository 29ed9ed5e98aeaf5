package producer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

// harness is a register with the clients acme and globex, and a clock.
type harness struct {
	*producer.Register
	t   *testing.T
	db  *database.DB
	now time.Time
}

func open(t *testing.T, e databasetest.Engine) *harness {
	t.Helper()
	db, _ := e.Open(t, t.TempDir())
	h := &harness{t: t, db: db, now: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return h.now }
	for _, id := range []string{"acme", "globex"} {
		must(t, keys.NewRegister(db, clock).AddClient(t.Context(), "test", keys.Client{ID: h.client(id), Name: id}))
	}
	h.Register = producer.New(db, clock)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *harness) client(s string) reports.ClientID {
	h.t.Helper()
	id, err := reports.ParseClientID(s)
	must(h.t, err)
	return id
}

func (h *harness) add(p producer.Producer) string {
	h.t.Helper()
	if !p.All && p.Clients == nil {
		p.Clients = []reports.ClientID{h.client("acme")}
	}
	token, err := h.Add(h.t.Context(), "test", p)
	must(h.t, err)
	return token
}

func TestTokenIsItsProducers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		h := open(t, e)
		token, other := h.add(producer.Producer{Name: "one"}), h.add(producer.Producer{Name: "two", All: true})
		if token == other || !strings.HasPrefix(token, producer.TokenPrefix) {
			t.Errorf("%s, %s", token, other)
		}
		p, err := h.ByToken(t.Context(), token)
		if err != nil || p.Name != "one" || !p.May(h.client("acme")) || p.May(h.client("globex")) {
			t.Errorf("%+v, %v", p, err)
		}
		if p, err := h.ByToken(t.Context(), other); err != nil || p.Name != "two" || !p.May(h.client("globex")) {
			t.Errorf("%+v, %v", p, err)
		}
		for _, wrong := range []string{"", token[:len(token)-1], token + "x", strings.ToUpper(token), "%", "*"} {
			if _, err := h.ByToken(t.Context(), wrong); !errors.Is(err, producer.ErrUnknown) {
				t.Errorf("%q: %v", wrong, err)
			}
		}
	})
}

// A certificate of a token's name must not stand in for the token, and the empty
// secret of a certificate's producer is no token.
func TestTokenAndCertificateAreNotExchangeable(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		h := open(t, e)
		h.add(producer.Producer{Name: "token"})
		if token := h.add(producer.Producer{Name: "certificate", Certificate: true}); token != "" {
			t.Errorf("there is a token %q", token)
		}
		if _, err := h.ByCertificate(t.Context(), "token"); !errors.Is(err, producer.ErrUnknown) {
			t.Error(err)
		}
		if p, err := h.ByCertificate(t.Context(), "certificate"); err != nil || p.Name != "certificate" {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := h.ByCertificate(t.Context(), ""); !errors.Is(err, producer.ErrUnknown) {
			t.Error(err)
		}
	})
}

func TestRevokedAndExpiredAreUnknown(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		h := open(t, e)
		revoked := h.add(producer.Producer{Name: "revoked"})
		expiring := h.add(producer.Producer{Name: "expiring", Expires: h.now.Add(time.Hour)})
		if _, err := h.Revoke(t.Context(), "test", "revoked"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ByToken(t.Context(), revoked); !errors.Is(err, producer.ErrUnknown) {
			t.Error(err)
		}
		if _, err := h.ByToken(t.Context(), expiring); err != nil {
			t.Error(err)
		}
		h.now = h.now.Add(time.Hour)
		if _, err := h.ByToken(t.Context(), expiring); !errors.Is(err, producer.ErrUnknown) {
			t.Error(err)
		}
		for token, want := range map[string]producer.Reason{revoked: producer.TokenRevoked, expiring: producer.TokenExpired, "x": producer.TokenUnknown} {
			var refusal *producer.Refusal
			if _, err := h.ByToken(t.Context(), token); !errors.As(err, &refusal) || refusal.Reason != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
		if _, err := h.Revoke(t.Context(), "test", "nobody"); !errors.Is(err, producer.ErrUnknown) {
			t.Error(err)
		}
		// A name can be had again; the earlier token stays what it was.
		fresh := h.add(producer.Producer{Name: "revoked"})
		if _, err := h.ByToken(t.Context(), revoked); !errors.Is(err, producer.ErrUnknown) {
			t.Error(err)
		}
		if _, err := h.ByToken(t.Context(), fresh); err != nil {
			t.Error(err)
		}
	})
}

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		h := open(t, e)
		h.add(producer.Producer{Name: "there"})
		for name, p := range map[string]producer.Producer{
			"no name": {All: true}, "bad name": {Name: "a\nb", All: true}, "long name": {Name: strings.Repeat("a", 129), All: true},
			"no client": {Name: "x"}, "unknown client": {Name: "x", Clients: []reports.ClientID{h.client("nobody")}}, "there already": {Name: "there", All: true},
		} {
			if token, err := h.Add(t.Context(), "test", p); err == nil || token != "" {
				t.Errorf("%s: %q, %v", name, token, err)
			}
		}
		var names []string
		must(t, h.All(t.Context(), func(p producer.Producer) bool { names = append(names, p.Name); return true }))
		if len(names) != 1 {
			t.Errorf("there are %v", names)
		}
	})
}
