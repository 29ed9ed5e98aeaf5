package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/notify"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/courier"
	"github.com/sealdrop/sealdrop/reports/notify/mail"
	"github.com/sealdrop/sealdrop/reports/notify/message"
)

// dispatcher makes what tells clients and operators.
func (g *gateway) dispatcher() (*notify.Dispatcher, error) {
	channels, err := g.channels()
	if err != nil {
		return nil, err
	}
	n := g.config.Notify
	return notify.New(notify.Config{
		DB: g.db, Now: now, Log: g.log, Channels: *channels,
		Operators: n.Operators, OperatorDigest: n.OperatorsDigest, Zone: n.Timezone,
		Gather: n.Gather.Std(), PerMinute: n.PerMinute, Timeout: n.Timeout.Std(),
		Retry:  notify.Retry{First: n.Retry.First.Std(), Cap: n.Retry.Cap.Std(), GiveUp: n.Retry.GiveUp.Std(), Random: rand.Float64},
		Expiry: periods(n.Expiry), Reminders: periods(n.Reminders), Refusals: n.Refusals, Watched: g.endings,
	}), nil
}

// channels makes the ways that messages go.
func (g *gateway) channels() (*notify.Channels, error) {
	n := g.config.Notify
	words, err := loadWords(n)
	if err != nil {
		return nil, err
	}
	c := &notify.Channels{
		Words: words, Webhook: notify.NewWebhook(g.own.Delivery, nil),
		Gateway: n.Gateway, Host: n.Host, Contact: n.Contact,
	}
	smtp, err := newMailer(n.SMTP)
	if err != nil {
		return nil, err
	}
	if smtp != nil {
		c.Mail = smtp
		c.Courier = courier.New(courier.Config{
			Catalog: g.catalog, Blobs: g.blobs, Register: g.register, Mail: smtp, Words: words, MaxSize: int64(n.MailedSize), Now: now, Log: g.log,
		})
	}
	c.SMS, err = newSMS(n.SMS)
	return c, err
}

// loadWords reads the texts of messages.
func loadWords(n config.Notify) (*message.Catalog, error) {
	if n.Templates == "" {
		return message.New(nil)
	}
	if _, err := os.Stat(n.Templates); err != nil {
		return nil, fmt.Errorf("reading notify.templates: %w", err)
	}
	words, err := message.New(os.DirFS(n.Templates))
	if err != nil {
		return nil, fmt.Errorf("notify.templates: %w", err)
	}
	return words, nil
}

// newMailer returns what hands mails over, nil if no server is named. A server's
// password is read for each connection, so that it can be changed.
func newMailer(s config.SMTP) (*mail.Sender, error) {
	if s.Host == "" {
		return nil, nil // no mail
	}
	c := mail.Config{
		Host: s.Host, Port: s.Port, TLS: mail.Security(s.StartTLS), Username: s.User, From: s.From, Hello: s.EHLO,
	}
	if s.CA != "" {
		pem, err := os.ReadFile(s.CA)
		if err != nil {
			return nil, fmt.Errorf("reading notify.smtp.ca: %w", err)
		}
		if c.Roots = x509.NewCertPool(); !c.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("reading notify.smtp.ca: there is no certificate in %s", s.CA)
		}
	}
	if s.PasswordFile != "" {
		c.Password = func() (string, error) {
			text, err := readSecretFile("notify.smtp.password_file", s.PasswordFile)
			return strings.TrimRight(text, "\r\n"), err
		}
		if _, err := c.Password(); err != nil {
			return nil, err
		}
	}
	sender, err := mail.New(c)
	if err != nil {
		return nil, fmt.Errorf("notify.smtp: %w", err)
	}
	return sender, nil
}

func newSMS(s config.SMS) (*notify.SMS, error) {
	if s.URL == "" {
		return nil, nil // no text messages
	}
	headers := ""
	if s.HeadersFile != "" {
		secret, err := readSecretFile("notify.sms.headers_file", s.HeadersFile)
		if err != nil {
			return nil, err
		}
		headers = secret
	}
	return notify.NewSMS(s.URL, headers, s.Body, nil)
}

// readSecretFile reads a file that only its owner may read.
func readSecretFile(key, path string) (string, error) {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", key, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", key, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", &advisedError{
			err:    fmt.Errorf("%s %s can be read by others (mode %04o)", key, path, mode),
			advice: "chmod 600 " + path,
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", key, err)
	}
	return string(data), nil
}

func periods(list []config.Duration) []time.Duration {
	out := make([]time.Duration, len(list))
	for i, d := range list {
		out[i] = d.Std()
	}
	return out
}

// endings finds what of a client's credentials ends, when, and has no successor.
func (g *gateway) endings(ctx context.Context, client string) ([]notify.Ending, error) {
	id, err := reports.ParseClientID(client)
	if err != nil {
		return nil, err
	}
	var ahead time.Duration
	for _, d := range g.config.Notify.Expiry {
		ahead = max(ahead, d.Std())
	}
	list, err := g.register.EndingOf(ctx, id, ahead)
	if err != nil {
		return nil, err
	}
	var endings []notify.Ending
	for _, k := range list {
		if k.Successor == "" {
			endings = append(endings, notify.Ending{ID: k.ID, Kind: string(k.Kind), Fingerprint: k.Fingerprint, Label: k.Label, At: k.At})
		}
	}
	p, found, err := g.register.Password(ctx, id)
	if err != nil {
		return nil, err
	}
	if found {
		endings = append(endings, notify.Ending{ID: "password:" + client, Kind: "password", At: p.Expires})
	}
	return endings, nil
}

// languageError is a language that there are no texts in.
type languageError struct {
	key, language string
	words         *message.Catalog
}

func (e *languageError) Error() string {
	return fmt.Sprintf("%s: there are no texts in the language %q", e.key, e.language)
}

func (e *languageError) Hint() string {
	return "there are " + strings.Join(e.words.Languages(), ", ") + "; another is made by a file LANGUAGE.yaml in the folder notify.templates"
}

// checkLanguages refuses what messages can't be written in. The keys are called
// language and second after where they are set.
func checkLanguages(words *message.Catalog, p contact.Preferences, language, second string) error {
	for _, chosen := range []struct{ key, language string }{{language, p.Language}, {second, p.Second}} {
		if chosen.language != "" && !words.Speaks(chosen.language) {
			return &languageError{chosen.key, chosen.language, words}
		}
	}
	return nil
}

// checkClientLanguages looks at the clients that the configuration or a file declares.
func checkClientLanguages(n config.Notify, clients []config.Client) error {
	words, err := loadWords(n)
	if err != nil {
		return err
	}
	var faults []error
	for _, c := range clients {
		at := c.Declared[keys.FieldNotify] + ": clients[" + c.ID.String() + "].notify."
		faults = append(faults, checkLanguages(words, c.Notify, at+"language", at+"second_language"))
	}
	return errors.Join(faults...)
}

// checkNotify finds what is wrong in the files that notify names.
func checkNotify(n config.Notify) error {
	_, words := loadWords(n)
	_, sms := newSMS(n.SMS)
	smtp, mail := newMailer(n.SMTP)
	if smtp != nil {
		smtp.Close()
	}
	var path *fs.PathError
	if errors.As(words, &path) {
		words = &advisedError{err: words, advice: "make the folder " + filepath.Clean(n.Templates) + ", or leave notify.templates out"}
	}
	return errors.Join(words, sms, mail)
}
