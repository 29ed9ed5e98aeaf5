package contact

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Channel is a way to tell somebody.
type Channel string

// The channels.
const (
	Email   Channel = "email"
	Webhook Channel = "webhook"
	SMS     Channel = "sms"
)

// Channels lists all channels.
func Channels() []Channel { return []Channel{Email, Webhook, SMS} }

// The most that a contact may be, in bytes.
const (
	maxAddress = 254 // RFC 5321, section 4.5.3.1.3, without the angle brackets
	maxLocal   = 64
	maxURL     = 2000
)

// Contact is where somebody is told. Its zero value is nobody.
type Contact struct {
	channel Channel
	target  string
	events  []Kind
}

// Parse reads "CHANNEL:TARGET", optionally followed by a space and the events that
// it is for, between commas.
func Parse(text string) (Contact, error) {
	head, list, some := strings.Cut(strings.TrimSpace(text), " ")
	channel, target, _ := strings.Cut(head, ":")
	c := Contact{channel: Channel(channel)}
	var err error
	switch c.channel {
	case Email:
		c.target, err = parseAddress(target)
	case Webhook:
		c.target, err = parseURL(target)
	case SMS:
		c.target, err = parseNumber(target)
	default:
		err = &ParseError{
			Message: fmt.Sprintf("%.80q does not begin with a channel", text),
			Advice:  `write "email:ops@acme.example", "webhook:https://acme.example/hook" or "sms:+4915112345678"`,
		}
	}
	if err != nil {
		return Contact{}, err
	}
	if !some || strings.TrimSpace(list) == "all" {
		return c, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		k, err := ParseKind(strings.TrimSpace(name))
		if err != nil {
			return Contact{}, err
		}
		if !slices.Contains(c.events, k) {
			c.events = append(c.events, k)
		}
	}
	return c, nil
}

// Channel returns the way.
func (c Contact) Channel() Channel { return c.channel }

// Target returns the address, URL or number.
func (c Contact) Target() string { return c.target }

// Key returns "CHANNEL:TARGET", which names the contact whatever its events.
func (c Contact) Key() string { return string(c.channel) + ":" + c.target }

// Wants reports whether the contact is to be told of k.
func (c Contact) Wants(k Kind) bool { return len(c.events) == 0 || slices.Contains(c.events, k) }

// String returns what [Parse] reads.
func (c Contact) String() string {
	if len(c.events) == 0 {
		return c.Key()
	}
	names := make([]string, 0, len(c.events))
	for _, k := range c.events {
		names = append(names, string(k))
	}
	return c.Key() + " " + strings.Join(names, ",")
}

// MarshalText returns what [Parse] reads.
func (c Contact) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is [Parse].
func (c *Contact) UnmarshalText(text []byte) (err error) {
	*c, err = Parse(string(text))
	return err
}

// parseAddress reads an address as it can stand in an SMTP command: an addr-spec
// of ASCII letters without quotes, comments or a display name.
func parseAddress(s string) (string, error) {
	wrong := func(what string) error {
		return &ParseError{Message: fmt.Sprintf("%.80q %s", s, what), Advice: "write it as in email:ops@acme.example, without a name beside it"}
	}
	local, domain, ok := strings.Cut(s, "@")
	switch {
	case !ok || local == "" || domain == "":
		return "", wrong("is no email address")
	case len(s) > maxAddress || len(local) > maxLocal:
		return "", wrong("is too long for an email address")
	case strings.Trim(local, letters+digits+".!#$%&'*+/=?^_`{|}~-") != "":
		return "", wrong("has characters before the @ that are not taken")
	case strings.HasPrefix(local, ".") || strings.HasPrefix(local, "-") || strings.HasSuffix(local, ".") || strings.Contains(local, ".."):
		return "", wrong("has a dot or hyphen where none can be")
	case !isDomain(domain):
		return "", wrong("has no good domain after the @")
	}
	return local + "@" + strings.ToLower(domain), nil
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

func isDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, letters+digits+"-") != "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}

// parseURL reads a webhook's URL. It must be https, but for a receiver on this
// machine.
func parseURL(s string) (string, error) {
	wrong := func(what string) error {
		return &ParseError{Message: "the webhook's URL " + what, Advice: "write it as in webhook:https://acme.example/hook"}
	}
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return "", wrong(fmt.Sprintf("has the character %U", r))
		}
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return "", wrong("is none")
	case len(s) > maxURL:
		return "", wrong(fmt.Sprintf("is longer than %d bytes", maxURL))
	case u.User != nil:
		return "", wrong("has a user name or password in it, which logs would show; requests are signed instead")
	case u.Fragment != "":
		return "", wrong("has a fragment (#), which no server is told")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", wrong("is not https; only to this machine itself are messages sent in the clear")
	case u.Scheme != "https" && u.Scheme != "http":
		return "", wrong("is not https")
	}
	return u.String(), nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// parseNumber reads a telephone number as E.164 writes it.
func parseNumber(s string) (string, error) {
	number, plus := strings.CutPrefix(s, "+")
	if !plus || len(number) < 7 || len(number) > 15 || strings.Trim(number, digits) != "" || number[0] == '0' {
		return "", &ParseError{Message: fmt.Sprintf("%.80q is no telephone number", s), Advice: "write + and the country's code, digits only, as in sms:+4915112345678"}
	}
	return s, nil
}
