package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/status"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

// hostile texts that somebody else has chosen.
const (
	forgedEntry = "a.csv\n\n2.\nReport     forged\nName       b.csv"
	forgedEnd   = "a.csv\n-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n- -----"
	turned      = "a\u202efdp.csv\u2066\u2029Name       b.csv\u2028\x1b]0;title\a\u009b2J"
)

// TestAttackForgedEntryInAStatement: a name with line breaks and dashes neither makes an
// entry of its own nor ends the signed text, and nothing in it turns what is read.
func TestAttackForgedEntryInAStatement(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	q := receiptsQuery{now: at}
	list := []receiptView{
		{Report: "r1", Name: forgedEntry, Protocol: "sftp", Ended: at}, {Report: "r2", Name: forgedEnd, Evidence: turned}, {Report: "- r3", Name: turned},
	}
	text := q.text(query.LastAuditRow{Seq: 7, Hash: "abc"}, list)
	lines := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\n\r\v\f\u0085\u2028\u2029", r) })
	count := map[string]int{}
	for _, l := range lines {
		label, _, _ := strings.Cut(l, " ")
		count[label]++
	}
	if count["Name"] != len(list) || count["Report"] != len(list) || count["Evidence"] != len(list) {
		t.Errorf("%v in\n%s", count, text)
	}
	if strings.ContainsAny(text, "\u202e\u2066\x1b\u009b\a") {
		t.Errorf("%q", text)
	}
	gateway, err := pgp.GeneratePrivateKey("gateway", at)
	if err != nil {
		t.Fatal(err)
	}
	var signed bytes.Buffer
	if err := pgp.ClearSign(&signed, text, gateway, at); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count("\n"+signed.String(), "\n-----BEGIN PGP SIGNATURE-----"); n != 1 {
		t.Errorf("the statement has %d signatures\n%s", n, signed.String())
	}
}

// TestAttackTerminalEscapes: whatever a client, a file or a peer is called, a table and
// the overview write no escape sequence of it.
func TestAttackTerminalEscapes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{out: &out}
	if err := a.show(nil, func(w io.Writer) { row(w, "acme", turned, turned) }); err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	out.WriteString(statusScreen{width: 80, zone: time.UTC}.render(status.Status{
		At: since, Items: []status.Item{{Kind: status.Kind("held"), Level: status.Red, Client: "acme" + turned, What: turned, Fix: "sealdrop x " + turned, Since: &since}},
	}))
	if i := strings.IndexAny(out.String(), "\x1b\u009b\a\u202e\u2066\u2028\u2029"); i >= 0 {
		t.Errorf("%q", out.String())
	}
}

// TestAttackSecretsInTheArguments: arguments are shown to everybody on the machine, so
// no flag takes a secret.
func TestAttackSecretsInTheArguments(t *testing.T) {
	t.Parallel()
	for path, cmd := range commandTree(new(app).root()) {
		for _, name := range []string{"password", "token", "secret", "passphrase", "smtp-password", "header", "headers"} {
			if f := cmd.Flags().Lookup(name); f != nil && f.Value.Type() != "bool" {
				t.Errorf("%s takes --%s", path, name)
			}
		}
	}
}
