package message_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/reports/notify/message"
)

var update = flag.Bool("update", false, "write the texts that are expected anew")

func catalog(t *testing.T) *message.Catalog {
	t.Helper()
	c, err := message.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// until is the end of the reports of all messages here.
var until = time.Date(2027, time.March, 2, 8, 5, 0, 0, time.UTC)

// base is a message with everything that all of them have.
func base(k message.Kind) message.Message {
	return message.Message{
		Kind: k, Client: "acme", ClientName: "Acme Widgets", Gateway: "Example Reports", Host: "reports.example.com",
		Contact: "support@example.com",
	}
}

// with returns a message with changes.
func with(m message.Message, change func(*message.Message)) message.Message {
	change(&m)
	return m
}

type sample struct {
	name string
	m    message.Message
}

// samples are messages of all kinds.
func samples() []sample {
	files := func(k message.Kind, n int) message.Message {
		return with(base(k), func(m *message.Message) { m.Count, m.Bytes, m.Until, m.Days = n, int64(n)*1_300_000, until, 14*n })
	}
	key := func(kind message.CredentialKind) message.Message {
		return with(base(message.KeyExpiring), func(m *message.Message) {
			m.Until, m.Days = until, 30
			m.Credential = message.Credential{Kind: kind}
			if kind != message.Password {
				m.Credential.Label, m.Credential.Fingerprint = "acme@laptop", "SHA256:abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
			}
		})
	}
	list := []sample{
		{"report.ready-1", files(message.ReportReady, 1)},
		{"report.ready-3", files(message.ReportReady, 3)},
		{"report.ready-names", with(files(message.ReportReady, 2), func(m *message.Message) { m.Names = []string{"Activity_1.csv.pgp", "Activity_2.csv.pgp"} })},
		{"report.ready-1000000", with(files(message.ReportReady, 1_000_000), func(m *message.Message) { m.Until = time.Time{} })},
		{"report.ready-attached", with(files(message.ReportReady, 1), func(m *message.Message) { m.Attached = true })},
		{"report.ready-too-large", with(files(message.ReportReady, 1), func(m *message.Message) { m.TooLarge = true })},
		{"report.held-1", with(files(message.ReportHeld, 1), func(m *message.Message) { m.Reason = "no-key" })},
		{"report.held-3", with(files(message.ReportHeld, 3), func(m *message.Message) { m.Reason = "key-expired" })},
		{"report.uncollected-1", with(files(message.ReportUncollected, 1), func(m *message.Message) { m.Days = 1 })},
		{"report.uncollected-3", files(message.ReportUncollected, 3)},
		{"report.uncollected-today", with(files(message.ReportUncollected, 1), func(m *message.Message) { m.Days = 0 })},
		{"key.expiring-ssh", key(message.SSHKey)},
		{"key.expiring-pgp", key(message.PGPKey)},
		{"key.expiring-password", key(message.Password)},
		{"test", base(message.Test)},
		{"test-operator", with(base(message.Test), func(m *message.Message) { m.Client, m.ClientName = "", "" })},
	}
	for _, change := range message.Changes() {
		list = append(list, sample{"access.changed-" + string(change), with(base(message.AccessChanged), func(m *message.Message) {
			m.Change = change
			switch {
			case strings.HasPrefix(string(change), "key-"):
				m.Credential = key(message.PGPKey).Credential
			case strings.HasPrefix(string(change), "network-"):
				m.Network = "192.0.2.0/24"
			}
		})})
	}
	for _, reason := range append([]string{""}, message.Reasons(message.AccessRefused)...) {
		list = append(list, sample{"access.refused-" + reason, with(base(message.AccessRefused), func(m *message.Message) { m.Reason, m.Count = reason, 12 })})
	}
	items := []message.Message{
		files(message.ReportReady, 1), key(message.SSHKey), files(message.ReportReady, 1),
		with(files(message.ReportHeld, 1), func(m *message.Message) { m.Reason = "key-expired" }),
	}
	return append(list,
		sample{"digest", with(base(message.Digest), func(m *message.Message) { m.Items = items })},
		sample{"digest-of-one", with(base(message.Digest), func(m *message.Message) {
			m.Items = []message.Message{files(message.ReportReady, 1), files(message.ReportReady, 2)}
		})},
		sample{"digest.operator", with(base(message.OperatorDigest), func(m *message.Message) {
			m.Items = append(items, with(files(message.ReportUncollected, 2), func(m *message.Message) { m.Client = "beta" }),
				with(base(message.AccessChanged), func(m *message.Message) { m.Change = message.PasswordSet }),
				with(base(message.AccessRefused), func(m *message.Message) { m.Reason, m.Count = "key-unknown", 12 }),
				with(base(message.MessageDead), func(m *message.Message) { m.Count = 2 }))
		})},
	)
}

// TestTexts compares every message in every language with testdata, to be read by
// whoever changes a text.
func TestTexts(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for _, language := range c.Languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			for _, s := range samples() {
				text, err := c.Render(s.m, language)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, "=== %s\nSubject: %s\nShort: %s\n\n%s\n", s.name, text.Subject, text.Short, text.Body)
			}
			path := filepath.Join("testdata", language+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("the texts have changed; read them, then run the test with -update (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShape: what every text keeps to, whatever it says.
func TestShape(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for _, language := range c.Languages() {
		for _, s := range samples() {
			text, err := c.Render(s.m, language)
			if err != nil {
				t.Fatal(err)
			}
			all := text.Subject + text.Body + text.Short
			if strings.Contains(all, "<no value>") || strings.Contains(all, "{{") || strings.Contains(all, "  \n") {
				t.Errorf("%s, %s: a placeholder was left: %q", language, s.name, all)
			}
			if strings.ContainsAny(text.Subject+text.Short, "\r\n") || utf8.RuneCountInString(text.Short) > message.ShortLength {
				t.Errorf("%s, %s: subject %q, short %q (%d)", language, s.name, text.Subject, text.Short, utf8.RuneCountInString(text.Short))
			}
			if !strings.HasSuffix(text.Body, "\n") || strings.HasSuffix(text.Short, "…") {
				t.Errorf("%s, %s: the body has no end, or the short line was cut: %q", language, s.name, text.Short)
			}
		}
	}
}

func TestPlurals(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for _, test := range []struct {
		language string
		count    int
		want     string
	}{
		{"en", 0, "Example Reports: 1 report is ready"}, // a message without a count is about one
		{"en", 1, "Example Reports: 1 report is ready"},
		{"en", 2, "Example Reports: 2 reports are ready"},
		{"en", 1234, "Example Reports: 1,234 reports are ready"},
		{"de", 1, "Example Reports: 1 Bericht liegt bereit"},
		{"de", 3, "Example Reports: 3 Berichte liegen bereit"},
		{"de", 1234, "Example Reports: 1.234 Berichte liegen bereit"},
		{"pt-BR", 1, "Example Reports: 1 relatório disponível"},
		{"pt-BR", 2, "Example Reports: 2 relatórios disponíveis"},
		{"pt-BR", 1_000_000, "Example Reports: 1.000.000 de relatórios disponíveis"},
		{"ja", 1, "Example Reports：レポート1件をご用意しました"},
		{"ja", 21, "Example Reports：レポート21件をご用意しました"},
	} {
		text, err := c.Render(with(base(message.ReportReady), func(m *message.Message) { m.Count = test.count }), test.language)
		if err != nil || text.Subject != test.want {
			t.Errorf("%s, %d: %q, %v; want %q", test.language, test.count, text.Subject, err, test.want)
		}
	}
}

func TestSpeaks(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for language, want := range map[string]bool{"de": true, "de-AT": true, "pt": true, "pt-BR": true, "en-GB": true, "fr": false, "eo": false, "tlh": false, "": false, "x!": false} {
		if got := c.Speaks(language); got != want {
			t.Errorf("%q: %v", language, got)
		}
	}
}

func TestTwoLanguages(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	m := base(message.ReportReady)
	one, err := c.Render(m, "ja")
	if err != nil {
		t.Fatal(err)
	}
	two, err := c.Render(m, "en")
	if err != nil {
		t.Fatal(err)
	}
	both, err := c.Render(m, "ja", "en")
	if err != nil {
		t.Fatal(err)
	}
	if both.Subject != one.Subject || both.Short != one.Short || both.Body != one.Body+"\n"+strings.Repeat("-", 40)+"\n\n"+two.Body {
		t.Errorf("in two languages: %+v", both)
	}
	for _, languages := range [][]string{{"ja", ""}, {"ja", "ja"}, {"xx", "ja"}, {"ja-JP", "pt-PT-unreadable!"}} {
		if got, err := c.Render(m, languages...); err != nil || got != one {
			t.Errorf("in %q: %+v, %v", languages, got, err)
		}
	}
	if got, err := c.Render(m); err != nil || got != two {
		t.Errorf("in no language: %+v, %v", got, err)
	}
}

// TestNoNameUnlessAllowed: a name is in the body alone, and only if it was given.
func TestNoNameUnlessAllowed(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	m := with(base(message.ReportReady), func(m *message.Message) {
		for i := range 60 {
			m.Names = append(m.Names, fmt.Sprintf("Secret_%d.csv.pgp", i))
		}
		m.Count = 60
	})
	text, err := c.Render(m, "en")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.Subject+text.Short, "Secret") {
		t.Errorf("subject %q, short %q", text.Subject, text.Short)
	}
	if strings.Count(text.Body, "Secret_") != 50 || !strings.Contains(text.Body, "\n  and 10 more\n") {
		t.Errorf("the body lists %d names:\n%s", strings.Count(text.Body, "Secret_"), text.Body)
	}
}

// TestClientNameInjectsLines: neither a header nor a paragraph of a stranger's.
func TestClientNameInjectsLines(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	m := with(base(message.KeyExpiring), func(m *message.Message) {
		m.ClientName = "Acme\r\nBcc: everybody@example.com\r\n\r\nPay here"
		m.Gateway = "Gate\nway\u2028\u202eyaw"
		m.Credential = message.Credential{Kind: message.PGPKey, Label: "a\x00\x1b[31mb\u2029c" + strings.Repeat("x", 1000), Fingerprint: "F\nF"}
	})
	text, err := c.Render(m, "en")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.Body, "Hello Acme Bcc: everybody@example.com Pay here,\n") || !strings.HasPrefix(text.Subject, "Gate way yaw:") ||
		strings.ContainsAny(text.Body, "\r\x00\x1b\u2028\u2029\u202e") || strings.Contains(text.Body, strings.Repeat("x", 200)) {
		t.Errorf("%q", text)
	}
}

func TestRefusedMessages(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for _, m := range []message.Message{
		base("report.eaten"),
		base(message.MessageDead),
		with(base(message.Digest), func(m *message.Message) { m.Items = []message.Message{base(message.MessageDead)} }),
		base(message.Digest),
		base(message.AccessChanged),
		base(message.KeyExpiring),
		with(base(message.Digest), func(m *message.Message) { m.Items = []message.Message{base(message.Digest)} }),
		with(base(message.Digest), func(m *message.Message) { m.Items = []message.Message{base(message.AccessChanged)} }),
	} {
		if text, err := c.Render(m, "en"); err == nil {
			t.Errorf("%s became %+v", m.Kind, text)
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	c, err := message.New(fstest.MapFS{
		"de.yaml": {Data: []byte("report.ready.subject:\n  one: Neues von {{.Gateway}}\n  other: \"{{.Count}} Neuigkeiten\"\n")},
		"README":  {Data: []byte("not a text")},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Render(with(base(message.ReportReady), func(m *message.Message) { m.Count = 2 }), "de")
	if err != nil || text.Subject != "2 Neuigkeiten" || !strings.Contains(text.Body, "Bitte holen Sie") {
		t.Errorf("%+v, %v", text, err)
	}
}

// TestAllFaultsAtOnce: what is wrong is told with file, line and name, all of it.
func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := message.New(fstest.MapFS{
		"de.yaml": {Data: []byte(strings.Join([]string{
			`test.what: "{{.Size}}"`,
			`test.what: twice`,
			`report.raedy.subject: x`,
			`report.ready.subject: x`,
			`report.ready.what: {one: x}`,
			`report.ready.next: {one: x, other: y, few: z}`,
			`report.ready.keep: {one: x, other: y, lots: z}`,
			`test.subject: "{{.Gateway"`,
			`test.next: "{{range .Gateway}}x{{end}}"`,
			`test.short: {other: x}`,
			`greeting: ""`,
			`ask: [x]`,
			`access.changed.next: '{{printf "%s" .Host}}'`,
			`automatic: '{{define "x"}}{{end}}y'`,
		}, "\n"))},
		"klingon.yaml": {Data: []byte("x: y")},
		"ja.json":      {Data: []byte("{}")},
		"pt-BR.yaml":   {Data: []byte("a: b: c")},
		"ja.yaml":      {Data: []byte("- x")},
		"en.yaml":      {Data: nil},
	})
	var faults message.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("%v", err)
	}
	var got []string
	for _, f := range faults {
		got = append(got, f.Error())
	}
	want := []string{
		`de.yaml:1: test.what: there is nothing to put in for {{.Size}}; placeholders of this text are Client, ClientName, Gateway, Host, Contact`,
		`de.yaml:2: test.what: is there twice`,
		`de.yaml:3: report.raedy.subject: there is no text of this name`,
		`de.yaml:4: report.ready.subject: counts something, so it needs the plural forms one, other`,
		`de.yaml:5: report.ready.what: the plural form "other" is missing`,
		`de.yaml:6: report.ready.next: the language has no plural form "few"`,
		`de.yaml:7: report.ready.keep: "lots" is no plural form; they are zero, one, two, few, many, other`,
		`de.yaml:8: test.subject: is not written as a text with placeholders: unclosed action`,
		`de.yaml:9: test.next: only {{.Name}} and {{if .Name}} … {{else}} … {{end}} can be used`,
		`de.yaml:10: test.short: counts nothing and so has no plural forms; write a text alone`,
		`de.yaml:11: greeting: is empty`,
		`de.yaml:12: ask: is neither a text nor a list of plural forms`,
		`de.yaml:13: access.changed.next: is not written as a text with placeholders: function "printf" not defined`,
		`de.yaml:14: automatic: only {{.Name}} and {{if .Name}} … {{else}} … {{end}} can be used`,
		`ja.json: is not read: a file of texts is named LANGUAGE.yaml`,
		`ja.yaml:1: is not a list of NAME: TEXT`,
		`klingon.yaml: is not named for a language, as de.yaml and pt-BR.yaml are`,
		`pt-BR.yaml: mapping values are not allowed in this context`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(err.Error(), "18 faults in the texts of messages\n  de.yaml:1: ") {
		t.Error(err)
	}
}

// TestNewLanguage: a file for another language adds it, if it is complete.
func TestNewLanguage(t *testing.T) {
	t.Parallel()
	_, err := message.New(fstest.MapFS{"fr.yaml": {Data: []byte("in.today: aujourd'hui")}})
	var faults message.Faults
	if !errors.As(err, &faults) || len(faults) < 50 || faults[0].Message != "is missing" {
		t.Fatalf("an incomplete language: %v", err)
	}
	english, err := os.ReadFile("languages/en.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := message.New(fstest.MapFS{"nl.yaml": {Data: []byte(strings.ReplaceAll(string(english), "Hello", "Hallo"))}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Render(base(message.Test), "nl")
	if err != nil || !strings.HasPrefix(text.Body, "Hallo Acme") || !slices.Contains(c.Languages(), "nl") {
		t.Errorf("%+v, %v", text, err)
	}
}
