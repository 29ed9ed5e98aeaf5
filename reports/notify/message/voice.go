package message

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// words are what placeholders stand for.
type words struct {
	Client, ClientName, Gateway, Host, Contact string
	Count, Size, Until, Date, In               string
	Key, Label, Fingerprint, Network           string
	Change, Reason                             string
	Day, Month, Year, Time, Zone               string

	n int // what Count is, for the plural form
}

// voice says things in one language. The first error sticks, and what is said after
// it is empty.
type voice struct {
	specs     map[string]spec
	localizer *i18n.Localizer
	numbers   *message.Printer
	err       error
}

func (c *Catalog) voice(name string) *voice {
	return &voice{
		specs:     c.specs,
		localizer: i18n.NewLocalizer(c.bundle, name, fallback),
		numbers:   message.NewPrinter(language.Make(name)),
	}
}

// say says a text, in the plural form for what the words count.
func (v *voice) say(id string, w words) string {
	if v.err != nil {
		return ""
	}
	config := i18n.LocalizeConfig{MessageID: id, TemplateData: w}
	if v.specs[id].plural {
		config.PluralCount = w.n
	}
	said, err := v.localizer.Localize(&config)
	if err != nil {
		v.err = fmt.Errorf("saying %s: %w", id, err)
	}
	return said
}

// words puts a message's facts into the language.
func (v *voice) words(m Message) words {
	count := max(m.Count, 1)
	w := words{
		Client: m.Client, ClientName: m.ClientName, Gateway: m.Gateway, Host: m.Host, Contact: m.Contact,
		Count: v.number(count), n: count, Label: m.Credential.Label, Fingerprint: m.Credential.Fingerprint,
		Network: m.Network, Change: string(m.Change), Reason: m.Reason,
	}
	if m.Bytes > 0 {
		w.Size = v.size(m.Bytes)
	}
	if !m.Until.IsZero() {
		w.Date, w.Until = v.date(m.Until), v.datetime(m.Until)
	}
	if m.Days > 0 {
		w.In = v.say("in", v.counting(m.Days))
	} else {
		w.In = v.say("in.today", words{})
	}
	if k := m.Credential.Kind; k == SSHKey || k == PGPKey || k == Password {
		w.Key = v.say("key."+string(k), words{})
	}
	return w
}

// counting are words that count, and nothing else.
func (v *voice) counting(n int) words { return words{Count: v.number(n), n: n} }

func (v *voice) number(n int) string { return v.numbers.Sprint(number.Decimal(n)) }

// size is a length as the command line shows it, in the language's digits.
func (v *voice) size(n int64) string {
	const unit = 1024
	if n < unit {
		return v.numbers.Sprint(number.Decimal(n)) + " B"
	}
	value, exp := float64(n)/unit, 0
	for value >= unit && exp < 4 {
		value /= unit
		exp++
	}
	return v.numbers.Sprint(number.Decimal(value, number.Scale(1))) + " " + string("KMGTP"[exp]) + "iB"
}

func (v *voice) date(t time.Time) string {
	return v.say("date", words{
		Day: fmt.Sprint(t.Day()), Month: v.say(fmt.Sprintf("month.%d", t.Month()), words{}), Year: fmt.Sprint(t.Year()),
	})
}

func (v *voice) datetime(t time.Time) string {
	zone := t.Format("MST")
	if strings.HasPrefix(zone, "+") || strings.HasPrefix(zone, "-") {
		zone = "UTC" + zone // a zone that has no abbreviation
	}
	return v.say("datetime", words{Date: v.date(t), Time: t.Format("15:04"), Zone: zone})
}

// longest bounds, in characters, what somebody else chose to be called.
const longest = 200

// line makes one harmless line of what somebody else chose.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return shorten(strings.Join(strings.Fields(s), " "), longest)
}

// shorten cuts a line to a number of characters.
func shorten(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}
