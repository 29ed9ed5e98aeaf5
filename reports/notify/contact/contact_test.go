package contact_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"email:ops@acme.example":                        "email:ops@acme.example",
		" email:Ops+x@ACME.Example ":                    "email:Ops+x@acme.example",
		"email:ops@acme.example all":                    "email:ops@acme.example",
		"email:ops@acme.example report.ready":           "email:ops@acme.example report.ready",
		"sms:+4915112345678 key.expiring, report.held":  "sms:+4915112345678 key.expiring,report.held",
		"sms:+4915112345678 report.held,report.held":    "sms:+4915112345678 report.held",
		"webhook:https://acme.example/hook?token=1":     "webhook:https://acme.example/hook?token=1",
		"webhook:https://[2001:db8::1]:8443/hook":       "webhook:https://[2001:db8::1]:8443/hook",
		"webhook:http://127.0.0.1:8080/hook":            "webhook:http://127.0.0.1:8080/hook",
		"webhook:http://[::1]/":                         "webhook:http://[::1]/",
		"webhook:http://localhost:1/x":                  "webhook:http://localhost:1/x",
		"webhook:https://10.0.0.7/hook access.refused ": "webhook:https://10.0.0.7/hook access.refused",
	} {
		c, err := contact.Parse(text)
		if err != nil || c.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, c, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "ops@acme.example", "email:", "email:ops", "email:ops@", "email:@acme.example", "email:a@b@c.example",
		"email:ops@acme.example\r\nBcc: eve@evil.example", "email:<ops@acme.example>", "email:Ops<ops@acme.example>", `email:"a"@b.example`,
		"email:-f@acme.example", "email:.a@acme.example", "email:a..b@acme.example", "email:ops@-acme.example", "email:ops@acme..example",
		"email:öps@acme.example", "email:ops@" + strings.Repeat("a", 250) + ".example", "email:" + strings.Repeat("a", 65) + "@b.example",
		"webhook:acme.example", "webhook:http://acme.example/", "webhook:ftp://acme.example/", "webhook:https://", "webhook:https:acme.example",
		"webhook:https://user:pass@acme.example/", "webhook:https://acme.example/#x", "webhook:https://acme.example/\x00", "webhook:file:///etc/passwd",
		"webhook:http://127.0.0.1.evil.example/", "webhook:https://acme.example/" + strings.Repeat("a", 2000), "webhook:javascript:alert(1)",
		"sms:0151123", "sms:+0151123456", "sms:+49 151 123", "sms:+123456", "sms:+1234567890123456", "sms:+49151\n1234567",
		"email:ops@acme.example report.read", "email:ops@acme.example report.ready,,key.expiring", "fax:+4915112345678",
	} {
		c, err := contact.Parse(text)
		var p *contact.ParseError
		if !errors.As(err, &p) || p.Hint() == "" {
			t.Errorf("%q: %q, %v; want an error with a hint", text, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"email:ops@acme.example", "webhook:https://acme.example/hook report.ready", "sms:+4915112345678", "email:a@b\r\nc", "webhook:https://[::1%25eth0]/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := contact.Parse(text)
		if err != nil {
			return
		}
		again, err := contact.Parse(c.String())
		if err != nil || again.String() != c.String() {
			t.Errorf("%q became %q, which is read as %q, %v", text, c, again, err)
		}
		if strings.ContainsFunc(c.Target(), func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q gave the target %q", text, c.Target())
		}
	})
}

func TestPreferences(t *testing.T) {
	t.Parallel()
	if text := (contact.Preferences{}).Text(); text != "" {
		t.Errorf("nothing is stored as %q", text)
	}
	zone, err := contact.ParseZone("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	schedule, err := contact.ParseSchedule("daily 07:05")
	if err != nil {
		t.Fatal(err)
	}
	c, err := contact.Parse("email:ops@acme.example report.ready")
	if err != nil {
		t.Fatal(err)
	}
	p := contact.Preferences{
		Contacts: []contact.Contact{c}, Language: "ja", Second: "en", Digest: schedule, Timezone: zone, ShowNames: true, Delivery: contact.DeliveryPGPMIME,
	}
	const want = `{"contacts":["email:ops@acme.example report.ready"],"language":"ja","second_language":"en","digest":"daily 07:05",` +
		`"timezone":"Asia/Tokyo","show_names":true,"email_delivery":"pgp-mime"}`
	if diff := cmp.Diff(want, p.Text()); diff != "" {
		t.Error(diff)
	}
	again, err := contact.ParsePreferences(p.Text())
	if err != nil || again.Text() != want {
		t.Errorf("read again: %s, %v", again.Text(), err)
	}
	p.Contacts = append(p.Contacts, c)
	if err := p.Check(); err == nil {
		t.Error("a contact may be there twice")
	}
	if _, err := contact.ParsePreferences(`{"contacts":["email:x"]}`); err == nil {
		t.Error("a bad contact was read from the catalog")
	}
}

func TestChoicesThatAreRefused(t *testing.T) {
	t.Parallel()
	check := func(kind, text string, err error) {
		var p *contact.ParseError
		if !errors.As(err, &p) || p.Hint() == "" {
			t.Errorf("%s %q: %v; want an error with a hint", kind, text, err)
		}
	}
	for _, s := range []string{"daily", "daily 7", "daily 24:00", "daily 07:60", "hourly", "07:00", "daily 07:00:00"} {
		_, err := contact.ParseSchedule(s)
		check("schedule", s, err)
	}
	for _, s := range []string{"Local", "Mars/Olympus", "../../etc/passwd", "UTC+1"} {
		_, err := contact.ParseZone(s)
		check("zone", s, err)
	}
	for _, s := range []string{"d", "../de", "de_DE", "german-language-tag", "1"} {
		_, err := contact.ParseLanguage(s)
		check("language", s, err)
	}
	_, err := contact.ParseDelivery("on")
	check("delivery", "on", err)
	_, err = contact.ParseKind("report.read")
	check("event", "report.read", err)
}

func TestNext(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ schedule, zone, after, want string }{
		"each is at once":           {"each", "Europe/Berlin", "2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z"},
		"later the same day":        {"daily 07:00", "Europe/Berlin", "2026-05-01T04:59:59Z", "2026-05-01T05:00:00Z"},
		"at the very time":          {"daily 07:00", "Europe/Berlin", "2026-05-01T05:00:00Z", "2026-05-02T05:00:00Z"},
		"winter":                    {"daily 07:00", "Europe/Berlin", "2026-12-01T06:30:00Z", "2026-12-02T06:00:00Z"},
		"another day than in UTC":   {"daily 07:00", "Asia/Tokyo", "2026-05-01T21:59:00Z", "2026-05-01T22:00:00Z"},
		"over the change, spring":   {"daily 07:00", "Europe/Berlin", "2026-03-28T06:00:00Z", "2026-03-29T05:00:00Z"},
		"over the change, autumn":   {"daily 07:00", "Europe/Berlin", "2026-10-24T05:00:00Z", "2026-10-25T06:00:00Z"},
		"skipped by the clocks":     {"daily 02:30", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"},
		"the day after the skip":    {"daily 02:30", "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"},
		"twice by the clocks":       {"daily 02:30", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		"not again the second time": {"daily 02:30", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		"midnight that is skipped":  {"daily 00:00", "America/Asuncion", "2023-09-30T12:00:00Z", "2023-10-01T04:00:00Z"},
		"a day that is left out":    {"daily 07:00", "Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T17:00:00Z"},
		"leap day":                  {"daily 23:59", "UTC", "2028-02-28T23:59:00Z", "2028-02-29T23:59:00Z"},
		"half an hour of summer":    {"daily 02:15", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:45:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := contact.ParseSchedule(test.schedule)
			if err != nil {
				t.Fatal(err)
			}
			z, err := contact.ParseZone(test.zone)
			if err != nil {
				t.Fatal(err)
			}
			after, err := time.Parse(time.RFC3339, test.after)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Next(after, z.Location()).UTC().Format(time.RFC3339); got != test.want {
				t.Errorf("after %s: %s; want %s", test.after, got, test.want)
			}
		})
	}
}

// TestOnceADay: over two years and in zones with odd clocks, there is one time on
// each day that there is.
func TestOnceADay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "Asia/Tokyo", "Australia/Lord_Howe", "America/New_York", "Africa/Casablanca"} {
		for _, at := range []string{"daily 00:00", "daily 02:30", "daily 01:59", "daily 23:59"} {
			s, _ := contact.ParseSchedule(at)
			z, err := contact.ParseZone(name)
			if err != nil {
				t.Fatal(err)
			}
			last := time.Date(2025, 12, 31, 23, 59, 30, 0, z.Location())
			for range 730 {
				next := s.Next(last, z.Location())
				if d := next.Sub(last); !next.After(last) || d > 36*time.Hour || next.YearDay() == last.YearDay() {
					t.Fatalf("%s in %s: after %s comes %s", at, name, last, next)
				}
				last = next
			}
		}
	}
}
