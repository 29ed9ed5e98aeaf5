package courier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/mail"
	"github.com/sealdrop/sealdrop/reports/notify/message"
)

// Config is what a [Courier] needs.
type Config struct {
	Catalog  *catalog.Catalog
	Blobs    *blob.Dir
	Register *keys.Register
	Mail     Mailer
	Words    Words
	// MaxSize is how large a sealed report may be to be sent, in bytes.
	MaxSize int64
	Now     func() time.Time
	Log     *slog.Logger
}

// Mailer hands mails to a server: a [mail.Sender].
type Mailer interface {
	Send(ctx context.Context, m mail.Mail) (mail.Handed, error)
}

// Words puts messages into words: a [message.Catalog].
type Words interface {
	Render(m message.Message, languages ...string) (message.Text, error)
}

// Courier sends reports by email. Any number of goroutines may use it.
type Courier struct{ Config }

// New returns a Courier.
func New(c Config) *Courier { return &Courier{c} }

// Parcel is one report for one address.
type Parcel struct {
	ID     string // of the mail, the same for each try
	Client string
	Report string // the report's id
	To     string
	Form   contact.Delivery
	// Message is what the mail says of it: of kind report.ready.
	Message   message.Message
	Languages []string
}

// GoneError says that a report is not there to be sent: it was removed or purged
// meanwhile, or it is held.
type GoneError struct{ Report, Why string }

func (e *GoneError) Error() string { return "sending report " + e.Report + ": " + e.Why }

// Permanent returns true: trying again is of no use.
func (e *GoneError) Permanent() bool { return true }

// Deliver sends a report, or a notice to fetch it if it can't be sent. It has been
// handed over when no error is returned.
func (c *Courier) Deliver(ctx context.Context, p Parcel) (mail.Handed, error) {
	report, err := c.report(ctx, p)
	if err != nil {
		return mail.Handed{}, err
	}
	certificates, err := c.openers(ctx, report)
	if err != nil {
		return mail.Handed{}, err
	}
	p.Message.Kind, p.Message.Count, p.Message.Bytes = message.ReportReady, 1, report.Size
	switch {
	case len(certificates) == 0:
		return c.notice(ctx, p, false)
	case report.Size > c.MaxSize:
		return c.notice(ctx, p, true)
	}
	started := c.Now()
	handed, err := c.send(ctx, p, report, certificates)
	if e := new(mail.Error); errors.As(err, &e) && e.TooLarge() {
		return c.notice(ctx, p, true)
	}
	if err != nil {
		return mail.Handed{}, err
	}
	err = c.Catalog.HandOver(context.WithoutCancel(ctx), catalog.Transfer{
		Report: report, Protocol: "email", Address: handed.Server, Started: started, Ended: c.Now(),
		Evidence: "250, handed over to the mail server for " + p.To,
	})
	if err != nil {
		// The mail is on its way; sending it again would be worse than this.
		c.Log.Error("a report was sent, and no receipt written", "event", "receipt.not-written", "client", report.Client, "report", report.ID, "error", err)
	}
	return handed, nil
}

// report returns the report, if its client sees it.
func (c *Courier) report(ctx context.Context, p Parcel) (reports.Report, error) {
	report, err := c.Catalog.Report(ctx, p.Report)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return report, &GoneError{p.Report, "it was purged"}
	case err != nil:
		return report, fmt.Errorf("sending report %s: %w", p.Report, err)
	case report.Client.String() != p.Client:
		return report, &GoneError{p.Report, "it is another client's"}
	case report.Kind != reports.KindReport || !report.State.Visible():
		return report, &GoneError{p.Report, "it is " + string(report.State)}
	}
	client, err := c.Register.Client(ctx, report.Client)
	switch {
	case err != nil:
		return report, fmt.Errorf("sending report %s: %w", p.Report, err)
	case client.Disabled:
		return report, &GoneError{p.Report, "its client is disabled"}
	}
	return report, nil
}

// openers returns the client's certificates that are usable now, if one of them opens
// the report; otherwise none. There are none either if a key that was revoked opens it
// as well: whoever has that could read it on its way.
func (c *Courier) openers(ctx context.Context, report reports.Report) ([]pgp.Certificate, error) {
	certificates, err := c.Register.Recipients(ctx, report.Client)
	if errors.Is(err, keys.ErrNoRecipient) {
		return nil, nil // what it is sealed to is no good any more
	}
	if err != nil {
		return nil, fmt.Errorf("sending report %s: %w", report.ID, err)
	}
	if !slices.ContainsFunc(certificates, func(k pgp.Certificate) bool { return slices.Contains(report.SealedTo, k.Fingerprint()) }) {
		return nil, nil
	}
	all, err := c.Register.Keys(ctx, report.Client)
	if err != nil {
		return nil, fmt.Errorf("sending report %s: %w", report.ID, err)
	}
	if slices.ContainsFunc(all, func(k keys.Key) bool { return !k.Revoked.IsZero() && slices.Contains(report.SealedTo, k.Fingerprint) }) {
		return nil, nil
	}
	return certificates, nil
}

// notice sends word of the report instead of the report.
func (c *Courier) notice(ctx context.Context, p Parcel, tooLarge bool) (mail.Handed, error) {
	p.Message.TooLarge = tooLarge
	text, err := c.Words.Render(p.Message, p.Languages...)
	if err != nil {
		return mail.Handed{}, fmt.Errorf("sending word of report %s: %w", p.Report, err)
	}
	return c.Mail.Send(ctx, mail.Mail{ID: p.ID, To: []string{p.To}, Subject: text.Subject, Body: text.Body, Date: c.Now()})
}

// send sends the report itself.
func (c *Courier) send(ctx context.Context, p Parcel, report reports.Report, to []pgp.Certificate) (mail.Handed, error) {
	p.Message.Attached = true
	text, err := c.Words.Render(p.Message, p.Languages...)
	if err != nil {
		return mail.Handed{}, fmt.Errorf("sending report %s: %w", report.ID, err)
	}
	content, err := c.Blobs.Open(report.Blob)
	if err != nil {
		return mail.Handed{}, fmt.Errorf("sending report %s: %w", report.ID, err)
	}
	defer content.Close()
	a := mail.Attachment{
		Name: report.Name.Base(), Size: report.Size,
		Content: &vouched{from: io.NewSectionReader(content, 0, content.Size()), digest: sha256.New(), want: report.SHA256},
	}
	m := mail.Mail{ID: p.ID, To: []string{p.To}, Subject: text.Subject, Body: text.Body, Date: c.Now()}
	if p.Form == contact.DeliveryPGPMIME {
		if m.Encrypted, err = c.seal(text.Body, a, to); err != nil {
			return mail.Handed{}, fmt.Errorf("sending report %s: %w", report.ID, err)
		}
	} else {
		m.Attachment = &a
	}
	return c.Mail.Send(ctx, m)
}

// seal seals a text and an attachment for PGP/MIME. What comes of it is in memory: at
// most about twice MaxSize.
func (c *Courier) seal(body string, a mail.Attachment, to []pgp.Certificate) ([]byte, error) {
	var out bytes.Buffer
	armored, err := armor.Encode(&out, "PGP MESSAGE", nil)
	if err != nil {
		return nil, err
	}
	w, err := pgp.NewWriter(armored, pgp.Options{Recipients: to, Size: -1, Now: c.Now()})
	if err != nil {
		return nil, err
	}
	if err := mail.WriteEntity(w, body, a); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := armored.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// vouched reads what has a digest, and fails at its end if it is another's.
type vouched struct {
	from   io.Reader
	digest hash.Hash
	want   string
}

func (r *vouched) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.digest.Write(p[:n])
	if errors.Is(err, io.EOF) && hex.EncodeToString(r.digest.Sum(nil)) != r.want {
		return n, errors.New("what is stored is not what was published; `sealdrop fsck` says more")
	}
	return n, err
}
