package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/courier"
	"github.com/sealdrop/sealdrop/reports/notify/mail"
	"github.com/sealdrop/sealdrop/reports/notify/message"
)

// Words puts messages into words: a [message.Catalog].
type Words interface {
	Render(m message.Message, languages ...string) (message.Text, error)
}

// Mailer hands mails to an SMTP server: a [mail.Sender]. An error that has a method
// Permanent() bool which returns true says that trying again is no use.
type Mailer interface {
	Send(ctx context.Context, m mail.Mail) (mail.Handed, error)
}

// Courier sends reports themselves by email: a [courier.Courier].
type Courier interface {
	Deliver(ctx context.Context, p courier.Parcel) (mail.Handed, error)
}

// Channels are the ways that messages go. One that is nil is not set up: what is to
// go there is tried again as if nobody answered, until it is.
type Channels struct {
	Words   Words
	Mail    Mailer
	Courier Courier
	Webhook *Webhook
	SMS     *SMS

	// Gateway and Host are what clients call the gateway and connect to, and Contact
	// whom they can ask. Each may be "".
	Gateway, Host, Contact string
}

// Failure says that a message could not be handed over.
type Failure struct {
	Err error
	// Permanent: trying again is no use.
	Permanent bool
	// After is how long the other side asked to be left alone.
	After time.Duration
	// Target: the next message would fare no better.
	Target bool
}

func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// asFailure finds out what kind of failure an error is.
func asFailure(err error) Failure {
	if f := new(Failure); errors.As(err, &f) {
		return *f
	}
	var p interface{ Permanent() bool }
	return Failure{Err: err, Permanent: errors.As(err, &p) && p.Permanent()}
}

// NoChannelError says that a way to tell somebody is not set up.
type NoChannelError struct{ Channel contact.Channel }

func (e *NoChannelError) Error() string {
	return fmt.Sprintf("no %s can be sent: %s is not set", e.Channel, e.key())
}

// Hint says what an operator can do.
func (e *NoChannelError) Hint() string {
	return "set " + e.key() + " in the configuration and start the gateway again; see docs/config.md"
}

func (e *NoChannelError) key() string {
	if e.Channel == contact.SMS {
		return "notify.sms.url"
	}
	return "notify.smtp.host"
}

// outgoing is a message on its way.
type outgoing struct {
	id         string // the same at each attempt
	kind       contact.Kind
	channel    contact.Channel
	target     string
	content    content
	created    time.Time
	clientName string
	languages  []string
	zone       *time.Location
	delivery   contact.Delivery
}

// prefer takes over what a client has chosen since the message was made.
func (o *outgoing) prefer(name string, p contact.Preferences, zone *time.Location) {
	o.clientName, o.zone, o.delivery = name, zone, p.Delivery
	for _, l := range []string{p.Language, p.Second} {
		if l != "" {
			o.languages = append(o.languages, l)
		}
	}
	if !p.ShowNames {
		for i := range o.content.Items {
			o.content.Items[i].Names = nil
		}
	}
}

// send hands a message over, and returns what the other side said.
func (c *Channels) send(ctx context.Context, o outgoing, now time.Time) (answer string, err error) {
	if o.channel == contact.Webhook {
		if c.Webhook == nil {
			return "", errors.New("no webhook can be called: the gateway has no key to sign with")
		}
		return c.Webhook.call(ctx, o, now)
	}
	if o.kind == kindParcel && o.delivery != "" && c.Courier != nil {
		return c.sendReport(ctx, o, now)
	}
	text, err := c.words(o, now)
	if err != nil {
		return "", err
	}
	switch {
	case o.channel == contact.Email && c.Mail != nil:
		handed, err := c.Mail.Send(ctx, mail.Mail{ID: o.id, To: []string{o.target}, Subject: text.Subject, Body: text.Body, Date: now})
		if err != nil {
			return "", err
		}
		return strings.TrimSpace(handed.Server + " " + handed.Reply), nil
	case o.channel == contact.SMS && c.SMS != nil:
		return c.SMS.send(ctx, o.id, o.target, text.Short, now)
	}
	return "", &NoChannelError{o.channel}
}

// sendReport sends the one report that o is about.
func (c *Channels) sendReport(ctx context.Context, o outgoing, now time.Time) (answer string, err error) {
	if len(o.content.Items) != 1 || len(o.content.Items[0].Reports) != 1 {
		return "", &Failure{Err: errors.New("it names no report to send"), Permanent: true}
	}
	handed, err := c.Courier.Deliver(ctx, courier.Parcel{
		ID: o.id, Client: o.content.Client, Report: o.content.Items[0].Reports[0], To: o.target, Form: o.delivery,
		Message: c.message(o, now), Languages: o.languages,
	})
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(handed.Server + " " + handed.Reply), nil
}

// message puts what o tells into the terms of package message.
func (c *Channels) message(o outgoing, now time.Time) message.Message {
	return o.content.message(o.kind, setting{
		gateway: c.Gateway, host: c.Host, contact: c.Contact, clientName: o.clientName, zone: o.zone, now: now,
	})
}

func (c *Channels) words(o outgoing, now time.Time) (message.Text, error) {
	text, err := c.Words.Render(c.message(o, now), o.languages...)
	if err != nil {
		return text, fmt.Errorf("putting the message into words: %w", err)
	}
	return text, nil
}

// maxAnswer bounds what is kept of an error or an answer, in bytes.
const maxAnswer = 300

// printable makes what somebody else said fit to print and to keep.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxAnswer {
		s = strings.ToValidUTF8(s[:maxAnswer], "") + "…"
	}
	return s
}
