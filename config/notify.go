package config

import (
	"cmp"
	"net/mail"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// Notify is the section notify.
type Notify struct {
	// Operators are contacts by email.
	Operators       []contact.Contact
	OperatorsDigest contact.Schedule
	Timezone        contact.Zone
	Gateway         string
	Host            string
	Contact         string
	Templates       string // a path, or ""
	Gather          Duration
	PerMinute       int
	Timeout         Duration
	// Expiry and Reminders have the longest first, each once.
	Expiry    []Duration
	Reminders []Duration
	Refusals  int
	Retry     NotifyRetry
	SMTP      SMTP
	SMS       SMS
	// MailedSize is how large a sealed report may be to be sent by email.
	MailedSize Size
}

// NotifyRetry is the section notify.retry.
type NotifyRetry struct{ First, Cap, GiveUp Duration }

// SMTP is the section notify.smtp. It is off without a host.
type SMTP struct {
	Host         string
	Port         int
	StartTLS     string // "required", "optional", "off" or "implicit"
	User         string
	PasswordFile string // a path, or ""
	From         string
	EHLO         string
	CA           string // a path, or ""
}

// SMS is the section notify.sms. It is off without a URL.
type SMS struct {
	URL         string
	HeadersFile string // a path, or ""
	Body        string
}

// ParseOperator reads an operator's email address.
func ParseOperator(text string) (contact.Contact, error) {
	return contact.Parse(string(contact.Email) + ":" + text)
}

func parseStartTLS(text string) (string, error) {
	switch text {
	case "required", "optional", "off", "implicit":
		return text, nil
	}
	return "", bad(text, "is no way to encrypt mail on its way", "write required, optional, off or implicit")
}

// parseSender reads an address with or without a name, or nothing.
func parseSender(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	addr, err := mail.ParseAddress(text)
	if err == nil {
		_, err = ParseOperator(addr.Address)
	}
	if err != nil {
		return "", bad(text, "is no sender's address", `write it as in "Sealdrop <reports@example.com>"`)
	}
	return text, nil
}

// parseHost reads the name or address of a host, or nothing.
func parseHost(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return text, nil
	}
	if _, err := ParseOperator("x@" + text); err != nil {
		return "", bad(text, "is no host", "write its name or address, without a port")
	}
	return text, nil
}

func parsePort(text string) (int, error) {
	n, err := parseCount(text)
	if err != nil || n > 65535 {
		return 0, bad(text, "is no port", "write a number from 1 to 65535")
	}
	return n, nil
}

// parseText reads one line that may be empty.
func parseText(text string) (string, error) { return ParseName(text) }

func parseSMSURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	c, err := contact.Parse(string(contact.Webhook) + ":" + text)
	return c.Target(), err
}

func parseBody(text string) (string, error) { return strings.TrimSpace(text), nil }

// notifyText, notifyPeriod and notifyPeriods are accessors into the section.

func notifyText(at func(*Notify) *string, parse func(string) (string, error)) accessor[Config] {
	return one(func(c *Config) *string { return at(&c.Notify) }, parse)
}

func notifyPeriod(at func(*Notify) *Duration) accessor[Config] {
	return one(func(c *Config) *Duration { return at(&c.Notify) }, parsePeriod)
}

func notifyPeriods(at func(*Notify) *[]Duration) accessor[Config] {
	return many(func(c *Config) *[]Duration { return at(&c.Notify) }, parsePeriod)
}

// notifySettings returns the keys of the section and of those below it.
func notifySettings() []field[Config] {
	return slices.Concat(tellingSettings(), smtpSettings(), sentSettings(), retrySettings())
}

// tellingSettings are about who is told of what.
func tellingSettings() []field[Config] {
	return []field[Config]{{
		key: "notify.operators", kind: "list of email addresses", def: "",
		doc:   "Who runs the gateway. They are told once a day of what is held, of clients that are refused again and again, and of messages that could not be delivered.",
		value: many(func(c *Config) *[]contact.Contact { return &c.Notify.Operators }, ParseOperator),
	}, {
		key: "notify.operators_digest", kind: "schedule", def: "daily 07:00",
		doc:   "When they are told: daily and a time of day, or each, at once.",
		value: one(func(c *Config) *contact.Schedule { return &c.Notify.OperatorsDigest }, contact.ParseSchedule),
	}, {
		key: "notify.timezone", kind: "time zone", def: "UTC",
		doc:   "The time zone of the operators, and of clients that have chosen none; a name of the IANA database, such as Europe/Berlin.",
		value: one(func(c *Config) *contact.Zone { return &c.Notify.Timezone }, contact.ParseZone),
	}, {
		key: "notify.gateway", kind: "text", def: "",
		doc:   "What messages call the gateway, or whoever runs it. Empty: notify.host.",
		value: notifyText(func(n *Notify) *string { return &n.Gateway }, parseText),
	}, {
		key: "notify.host", kind: "host", def: "",
		doc:   "The host that clients connect to, for messages to name.",
		value: notifyText(func(n *Notify) *string { return &n.Host }, parseHost),
	}, {
		key: "notify.contact", kind: "text", def: "",
		doc:   "Whom clients can ask, an address or a telephone number, for messages to name.",
		value: notifyText(func(n *Notify) *string { return &n.Contact }, parseText),
	}, {
		key: "notify.templates", kind: "path", def: "", rare: true,
		doc:   "Folder with texts that replace the built-in ones. `sealdrop config check` checks them. Empty: none.",
		value: notifyText(func(n *Notify) *string { return &n.Templates }, parseOptionalPath),
	}, {
		key: "notify.gather", kind: "duration", def: "1m", rare: true,
		doc:   "How long the word of a report waits for others that can be told in the same message.",
		value: notifyPeriod(func(n *Notify) *Duration { return &n.Gather }),
	}, {
		key: "notify.per_minute", kind: "number", def: "30", rare: true,
		doc:   "Messages that one address, URL or number is sent in a minute; more wait.",
		value: one(func(c *Config) *int { return &c.Notify.PerMinute }, parseCount),
	}, {
		key: "notify.timeout", kind: "duration", def: "20s", rare: true,
		doc:   "How long handing over one message may take.",
		value: notifyPeriod(func(n *Notify) *Duration { return &n.Timeout }),
	}, {
		key: "notify.expiry", kind: "list of durations", def: "60d,30d,7d", rare: true,
		doc:   "How long before its end a client is told of a key or password that expires; it is told of the end itself as well.",
		value: notifyPeriods(func(n *Notify) *[]Duration { return &n.Expiry }),
	}, {
		key: "notify.reminders", kind: "list of durations", def: "14d,3d", rare: true,
		doc:   "How long before their purge a client is told of reports that it has not fetched.",
		value: notifyPeriods(func(n *Notify) *[]Duration { return &n.Reminders }),
	}, {
		key: "notify.refusals", kind: "number", def: "10", rare: true,
		doc:   "Refused logins of one client for one cause within a day from which on it is told, once a day at most.",
		value: one(func(c *Config) *int { return &c.Notify.Refusals }, parseCount),
	}}
}

// smtpSettings are about the way to send mail.
func smtpSettings() []field[Config] {
	return []field[Config]{{
		key: "notify.smtp.host", kind: "host", def: "",
		doc:   "The SMTP server that mail is handed to. Empty: no mail.",
		value: notifyText(func(n *Notify) *string { return &n.SMTP.Host }, parseHost),
	}, {
		key: "notify.smtp.port", kind: "number", def: "587",
		doc:   "Its port: 587 for submission, 465 with implicit TLS, 25 for a relay.",
		value: one(func(c *Config) *int { return &c.Notify.SMTP.Port }, parsePort),
	}, {
		key: "notify.smtp.starttls", kind: "word", def: "required",
		doc:   "required: mail goes only encrypted and to a server whose certificate is good; optional: in the clear if the server offers no TLS; off: always in the clear; implicit: TLS from the first byte.",
		value: notifyText(func(n *Notify) *string { return &n.SMTP.StartTLS }, parseStartTLS),
	}, {
		key: "notify.smtp.user", kind: "text", def: "",
		doc:   "The user name to log in with. Empty: no login.",
		value: notifyText(func(n *Notify) *string { return &n.SMTP.User }, parseText),
	}, {
		key: "notify.smtp.password_file", kind: "path", def: "",
		doc:   "File with the password, readable by the gateway's user only.",
		value: notifyText(func(n *Notify) *string { return &n.SMTP.PasswordFile }, parseOptionalPath),
	}, {
		key: "notify.smtp.from", kind: "email address", def: "",
		doc:   "The sender, with or without a name: \"Sealdrop <reports@example.com>\".",
		value: notifyText(func(n *Notify) *string { return &n.SMTP.From }, parseSender),
	}, {
		key: "notify.smtp.ehlo", kind: "host", def: "", rare: true,
		doc:   "What the gateway calls itself to the server. Empty: the domain of notify.smtp.from.",
		value: notifyText(func(n *Notify) *string { return &n.SMTP.EHLO }, parseHost),
	}, {
		key: "notify.smtp.ca", kind: "path", def: "", rare: true,
		doc:   "File of the certificates, in PEM, that the server's may be issued by. Empty: those that the system trusts.",
		value: notifyText(func(n *Notify) *string { return &n.SMTP.CA }, parseOptionalPath),
	}}
}

// sentSettings are about sealed reports by email, and text messages.
func sentSettings() []field[Config] {
	return []field[Config]{{
		key: "notify.email_delivery.max_size", kind: "size", def: "10MiB",
		doc:   "How large a sealed report may be to be sent by email to the clients that have chosen that (email_delivery). For a larger one they are told to fetch it. Mail makes a file larger by a third, and by three quarters as PGP/MIME; mail servers have limits of their own.",
		value: one(func(c *Config) *Size { return &c.Notify.MailedSize }, ParseSize),
	}, {
		key: "notify.sms.url", kind: "URL", def: "",
		doc:   "Where text messages are posted, over https: a provider's API. Empty: none.",
		value: notifyText(func(n *Notify) *string { return &n.SMS.URL }, parseSMSURL),
	}, {
		key: "notify.sms.headers_file", kind: "path", def: "",
		doc:   "File with headers of the request, a line \"Name: value\" for each, such as the API's token; readable by the gateway's user only.",
		value: notifyText(func(n *Notify) *string { return &n.SMS.HeadersFile }, parseOptionalPath),
	}, {
		key: "notify.sms.body", kind: "JSON", def: `{"to": "{{.To}}", "text": "{{.Text}}"}`,
		doc:   "The request's body; {{.To}} stands for the number, {{.Text}} for the text.",
		value: notifyText(func(n *Notify) *string { return &n.SMS.Body }, parseBody),
	}}
}

// retrySettings are about what can't be handed over.
func retrySettings() []field[Config] {
	return []field[Config]{{
		key: "notify.retry.first", kind: "duration", def: "1m",
		doc:   "What could not be handed over is tried again after a random part of a time that begins with this and doubles with each failure.",
		value: notifyPeriod(func(n *Notify) *Duration { return &n.Retry.First }),
	}, {
		key: "notify.retry.cap", kind: "duration", def: "6h",
		doc:   "The longest such time.",
		value: notifyPeriod(func(n *Notify) *Duration { return &n.Retry.Cap }),
	}, {
		key: "notify.retry.give_up", kind: "duration", def: "3d",
		doc:   "When a message is given up. `sealdrop notify retry` sends it nevertheless.",
		value: notifyPeriod(func(n *Notify) *Duration { return &n.Retry.GiveUp }),
	}}
}

// checkNotify finds what is wrong between values that are each good.
func (l *loader) checkNotify(c *Config, used map[string]setting) {
	n := &c.Notify
	for _, list := range []*[]Duration{&n.Expiry, &n.Reminders} {
		slices.SortFunc(*list, func(a, b Duration) int { return cmp.Compare(b, a) })
		*list = slices.Compact(*list)
	}
	fault := func(key, message, hint string) {
		s := used[key]
		l.fault(Fault{File: s.file, Line: s.origin.line, Key: key, Message: message, Hint: hint})
	}
	switch {
	case n.SMTP.Host != "" && n.SMTP.From == "":
		fault("notify.smtp.host", "has no sender's address that belongs to it", "set notify.smtp.from")
	case n.SMTP.Host != "" && n.SMTP.User != "" && n.SMTP.PasswordFile == "":
		fault("notify.smtp.user", "needs notify.smtp.password_file", "set both or neither")
	case n.SMTP.Host != "" && n.SMTP.User == "" && n.SMTP.PasswordFile != "":
		fault("notify.smtp.password_file", "needs notify.smtp.user", "set both or neither")
	}
}

// warnNotify tells of contacts that can't be reached, because their channel is not
// set up.
func (l *loader) warnNotify(c *Config, used map[string]setting) {
	for key, off := range map[string]bool{"notify.smtp.host": c.Notify.SMTP.Host == "", "notify.sms.url": c.Notify.SMS.URL == ""} {
		channel, example := contact.Email, "set notify.smtp.host and notify.smtp.from"
		if key == "notify.sms.url" {
			channel, example = contact.SMS, "set notify.sms.url"
		}
		if !off {
			continue
		}
		if s := used["notify.operators"]; channel == contact.Email && len(c.Notify.Operators) > 0 {
			l.warn(Fault{File: s.file, Line: s.origin.line, Key: "notify.operators", Message: "can't be told anything: there is no " + key, Hint: example})
		}
		for _, client := range c.Clients {
			if client.Notify.Has(channel) {
				file, line := splitPlace(client.Declared[notifyKey])
				l.warn(Fault{
					File: file, Line: line, Key: "clients[" + client.ID.String() + "].notify.contacts",
					Message: "has an " + string(channel) + " contact, which can't be told anything: there is no " + key, Hint: example,
				})
			}
		}
	}
}

// splitPlace is the inverse of [place.String].
func splitPlace(s string) (file string, line int) {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		if n, err := strconv.Atoi(s[i+1:]); err == nil {
			return s[:i], n
		}
	}
	return s, 0
}

// notifyKey is the key of a client's choices, which is no field: its value is a
// mapping with the keys of [notifyFields].
const notifyKey = "notify"

const notifyDoc = "Who is told of what, how, and in which language. What is declared here is all of it: a key that is left out has its default. `sealdrop notify events` lists what there is to be told of."

// notifyFields returns the table of the keys of a client's choices.
func notifyFields() []field[contact.Preferences] {
	type prefs = contact.Preferences
	return []field[prefs]{{
		key: "contacts", kind: "list of contacts",
		doc: "Each \"email:\", \"webhook:\" or \"sms:\" and an address, an https URL or a number as +4915112345678; then, optionally, a space and the events that it is for, with commas. Default: empty, nobody.",
		value: accessor[prefs]{list: true, set: setContacts, show: func(p *prefs) any {
			list := []any{}
			for _, c := range p.Contacts {
				list = append(list, c.String())
			}
			return list
		}},
	}, {
		key: "language", kind: "language",
		doc:   "What messages are written in: en, de, ja, pt-BR, or one that notify.templates brings. Default: en.",
		value: one(func(p *prefs) *string { return &p.Language }, contact.ParseLanguage),
	}, {
		key: "second_language", kind: "language",
		doc:   "A language that each mail has its text in as well. Default: none.",
		value: one(func(p *prefs) *string { return &p.Second }, contact.ParseLanguage),
	}, {
		key: "digest", kind: "schedule",
		doc:   "When it is told of reports: each, or daily and a time of day, as in daily 07:00. Default: each.",
		value: one(func(p *prefs) *contact.Schedule { return &p.Digest }, contact.ParseSchedule),
	}, {
		key: "timezone", kind: "time zone",
		doc:   "Of the digest and of the times in messages, such as Europe/Berlin. Default: notify.timezone.",
		value: one(func(p *prefs) *contact.Zone { return &p.Timezone }, contact.ParseZone),
	}, {
		key: "show_names", kind: "true or false",
		doc:   "Messages may have the names of reports. They go over networks, and through programs, that the gateway knows nothing of. Default: false.",
		value: one(func(p *prefs) *bool { return &p.ShowNames }, parseBool),
	}, {
		key: "email_delivery", kind: "word",
		doc:   "Whether the sealed reports themselves are mailed to its email contacts: off, attachment, or pgp-mime. Default: off.",
		value: one(func(p *prefs) *contact.Delivery { return &p.Delivery }, contact.ParseDelivery),
	}}
}

// setContacts parses contacts, which must each be there once.
func setContacts(p *contact.Preferences, texts []string, fail func(int, error)) {
	var list []contact.Contact
	failed := false
	for i, text := range texts {
		c, err := contact.Parse(text)
		if err == nil {
			err = contact.Preferences{Contacts: append(list[:len(list):len(list)], c)}.Check()
		}
		if err != nil {
			fail(i, err)
			failed = true
			continue
		}
		list = append(list, c)
	}
	if !failed {
		p.Contacts = list
	}
}

// notify reads a client's choices, and reports whether all are good.
func (cr *clientReader) notify(d *document, n *yaml.Node, key string) (p contact.Preferences, good bool) {
	table := notifyFields()
	known := make([]string, len(table))
	for i, f := range table {
		known[i] = f.key
	}
	good = true
	for _, e := range d.entries(n, key, known) {
		f := table[slices.Index(known, e.name)]
		at := key + "." + e.name
		good = apply(cr.report, f, setting{items: d.scalars(e.value, at, f.value.list), file: d.file, key: at}, &p) && good
	}
	return p, good
}

// EffectiveNotify shows a client's choices under the keys that a file declares them
// with, those alone that are not the default.
func EffectiveNotify(p contact.Preferences) map[string]any {
	value, zero := map[string]any{}, contact.Preferences{}
	for _, f := range notifyFields() {
		if v := f.value.show(&p); !same(v, f.value.show(&zero)) {
			value[f.key] = v
		}
	}
	return value
}

// same compares two results of an accessor's show.
func same(a, b any) bool {
	x, list := a.([]any)
	y, other := b.([]any)
	if list && other {
		return slices.Equal(x, y)
	}
	return !list && !other && a == b
}
