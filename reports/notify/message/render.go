package message

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// between stands between the two languages of a body.
const between = "----------------------------------------"

// maxNames bounds how many names of reports a body lists.
const maxNames = 50

// Render puts a message into words, in the languages that were chosen: the body holds
// all of them, subject and short line the first. A language that there are no texts in
// is passed over, and English stands in if none is left. An error means a message that
// can't be said at all, such as a digest of nothing.
func (c *Catalog) Render(m Message, languages ...string) (Text, error) {
	m, err := tidy(m)
	if err != nil {
		return Text{}, fmt.Errorf("putting %s into words: %w", m.Kind, err)
	}
	var text Text
	for i, name := range c.choose(languages) {
		v := c.voice(name)
		subject, body := v.subject(m), v.body(m)
		if i == 0 {
			text = Text{Subject: subject, Body: body, Short: v.short(m)}
		} else {
			text.Body += "\n" + between + "\n\n" + body
		}
		if v.err != nil {
			return Text{}, fmt.Errorf("putting %s into words: %w", m.Kind, v.err)
		}
	}
	return text, nil
}

// tidy fills in what is left out, makes one item of those that say the same, and one
// message of a digest that has come down to one item.
func tidy(m Message) (Message, error) {
	if err := m.sayable(); err != nil {
		return m, err
	}
	m = clean(m)
	if m.Kind != Digest && m.Kind != OperatorDigest {
		return m, nil
	}
	var items []Message
	for _, item := range m.Items {
		if item.Kind == Digest || item.Kind == OperatorDigest {
			return m, errors.New("it holds another digest")
		}
		if err := item.sayable(); err != nil && (item.Kind != MessageDead || m.Kind != OperatorDigest) {
			return m, fmt.Errorf("%s in it: %w", item.Kind, err)
		}
		item.Gateway, item.Host, item.Contact = m.Gateway, m.Host, m.Contact
		if m.Kind == Digest {
			item.Client, item.ClientName = m.Client, m.ClientName
		}
		items = merge(items, clean(item))
	}
	if len(items) == 0 {
		return m, errors.New("it holds nothing")
	}
	if len(items) == 1 && m.Kind == Digest {
		return items[0], nil
	}
	slices.SortStableFunc(items, func(a, b Message) int { return cmp.Compare(urgency(a.Kind), urgency(b.Kind)) })
	m.Items, m.Count = items, len(items)
	return m, nil
}

// sayable returns what keeps a message from being said.
func (m Message) sayable() error {
	switch {
	case !slices.Contains(Kinds(), m.Kind):
		return errors.New("there is no such message")
	case m.Kind == AccessChanged && !slices.Contains(Changes(), m.Change):
		return fmt.Errorf("there is no change of access %q", m.Change)
	case m.Kind == KeyExpiring && !slices.Contains([]CredentialKind{SSHKey, PGPKey, Password}, m.Credential.Kind):
		return fmt.Errorf("there is no credential of kind %q", m.Credential.Kind)
	}
	return nil
}

// clean makes harmless lines of everything that somebody else chose.
func clean(m Message) Message {
	m.Client, m.Host, m.Contact, m.Network = line(m.Client), line(m.Host), line(m.Contact), line(m.Network)
	m.Gateway = cmp.Or(line(m.Gateway), m.Host)
	m.Host = cmp.Or(m.Host, m.Gateway)
	m.Contact = cmp.Or(m.Contact, m.Gateway)
	m.ClientName = cmp.Or(line(m.ClientName), m.Client)
	m.Credential.Label, m.Credential.Fingerprint = line(m.Credential.Label), line(m.Credential.Fingerprint)
	m.Reason, m.Remedy, m.Change = line(m.Reason), line(m.Remedy), Change(line(string(m.Change)))
	names := make([]string, 0, len(m.Names))
	for _, name := range m.Names {
		names = append(names, line(name))
	}
	m.Names = names
	return m
}

// urgency orders the items of a digest: what somebody has to do something about first.
func urgency(k Kind) int {
	return slices.Index([]Kind{MessageDead, ReportHeld, ReportUncollected, AccessRefused, KeyExpiring, AccessChanged, ReportReady, Test}, k)
}

// merge adds an item to others, or to the one of them that says the same.
func merge(items []Message, m Message) []Message {
	i := slices.IndexFunc(items, func(o Message) bool {
		switch m.Kind {
		case ReportReady, ReportHeld, ReportUncollected, AccessRefused:
			return o.Kind == m.Kind && o.Client == m.Client && o.Reason == m.Reason && o.Remedy == m.Remedy &&
				o.Attached == m.Attached && o.TooLarge == m.TooLarge && !m.Attached
		}
		return false
	})
	if i < 0 {
		return append(items, m)
	}
	o := &items[i]
	o.Count = max(o.Count, 1) + max(m.Count, 1)
	o.Bytes += m.Bytes
	o.Names = append(o.Names, m.Names...)
	if o.Until.IsZero() || !m.Until.IsZero() && m.Until.Before(o.Until) {
		o.Until, o.Days = m.Until, m.Days
	}
	return items
}

func (v *voice) subject(m Message) string { return line(v.say(string(m.Kind)+".subject", v.words(m))) }

// short is the one line of a text message. A digest's is that of its most urgent item,
// with a word of how many more there are.
func (v *voice) short(m Message) string {
	switch {
	case m.Kind == Digest:
		more := ""
		if n := len(m.Items) - 1; n > 0 {
			more = " (" + v.say("names.more", v.counting(n)) + ")"
		}
		return shorten(v.short(m.Items[0]), ShortLength-len([]rune(more))) + more
	case m.Kind == OperatorDigest:
		return shorten(v.subject(m), ShortLength)
	case m.Kind == KeyExpiring && m.Credential.Kind == Password:
		return shorten(v.say("key.expiring.short.password", v.words(m)), ShortLength)
	}
	return shorten(line(v.say(string(m.Kind)+".short", v.words(m))), ShortLength)
}

func (v *voice) body(m Message) string {
	w := v.words(m)
	var parts []string
	switch m.Kind {
	case Digest:
		parts = append(parts, v.say("greeting", w), v.say("digest.what", w))
		for _, item := range m.Items {
			parts = append(parts, bullet(strings.Join(v.paragraphs(item), "\n")))
		}
	case OperatorDigest:
		lines := make([]string, 0, len(m.Items))
		for _, item := range m.Items {
			lines = append(lines, bullet(v.operator(item)))
		}
		parts = append(parts, v.say("greeting.operator", w), v.say("digest.operator.what", w), strings.Join(lines, "\n"))
		return strings.Join(append(parts, v.say("automatic", w)), "\n\n") + "\n"
	default:
		greeting := "greeting"
		if m.ClientName == "" {
			greeting = "greeting.operator" // a test message to operators
		}
		parts = append(parts, v.say(greeting, w))
		parts = append(parts, v.paragraphs(m)...)
	}
	return strings.Join(append(parts, v.say("ask", w)+"\n"+v.say("automatic", w)), "\n\n") + "\n"
}

// bullet makes one point of a list of some lines.
func bullet(lines string) string { return "* " + strings.ReplaceAll(lines, "\n", "\n  ") }

// operator says an item in one line, to operators.
func (v *voice) operator(m Message) string {
	if m.Kind == Test {
		return v.say("test.what", v.words(m))
	}
	return v.say("operator."+string(m.Kind), v.words(m))
}

// paragraphs says what happened, why, what to do, and how long there is time.
func (v *voice) paragraphs(m Message) []string {
	w := v.words(m)
	parts := []string{v.what(m, w)}
	if slices.Contains(Reasons(m.Kind), m.Reason) {
		parts = append(parts, v.say(reasonID(m.Kind, m.Reason), w))
	}
	if m.Remedy != "" {
		parts = append(parts, m.Remedy)
	}
	if w.Fingerprint != "" && w.Key != "" {
		parts = append(parts, v.say("credential", w)+"\n"+v.say("credential.fingerprint", w))
	}
	switch {
	case m.Kind == KeyExpiring:
		parts = append(parts, v.say("key.expiring.next."+string(m.Credential.Kind), w))
	case m.Attached:
		parts = append(parts, v.say("report.ready.attached.next", w))
	default:
		parts = append(parts, v.say(string(m.Kind)+".next", w))
	}
	if (m.Kind == ReportReady || m.Kind == ReportUncollected) && w.Until != "" {
		parts = append(parts, v.say(string(m.Kind)+".keep", w))
	}
	return parts
}

// what says what happened, with the names of the reports if they are allowed.
func (v *voice) what(m Message, w words) string {
	id := string(m.Kind) + ".what"
	switch {
	case m.Kind == AccessChanged:
		return v.say(id+"."+string(m.Change), w)
	case m.Attached:
		id = "report.ready.attached"
	}
	said := v.say(id, w)
	if m.TooLarge {
		said += " " + v.say("report.ready.toolarge", w)
	}
	for i, name := range m.Names {
		if i == maxNames {
			n := len(m.Names) - maxNames
			return said + "\n  " + v.say("names.more", v.counting(n))
		}
		said += "\n  " + name
	}
	return said
}
