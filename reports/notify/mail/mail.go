package mail

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
)

// Mail is one mail.
type Mail struct {
	ID      string // of letters, digits, "-", "_" and "."; the same for every try
	To      []string
	Subject string
	Body    string // plain text, its lines ended by \n
	Date    time.Time

	Attachment *Attachment // nil: none
	// Encrypted is an OpenPGP message in ASCII armor whose content is a MIME entity,
	// as [WriteEntity] writes one. It takes the place of Body and Attachment, in a mail
	// by RFC 3156, section 4.
	Encrypted []byte
}

// Attachment is a file that goes with a mail.
type Attachment struct {
	Name    string
	Content io.Reader // read once
	Size    int64     // exactly what Content has
}

// Handed tells that the server took a mail.
type Handed struct {
	Server string // host:port
	Reply  string // its own words: "250 2.0.0 queued as 4F1"
}

// letter is a mail as it goes over the wire.
type letter struct {
	from string
	to   []string
	size int64 // about; 0 where it doesn't matter
	// writeTo writes it, or as much as can be read of what goes with it.
	writeTo func(io.Writer) error
}

// address checks a bare address. One that is not ASCII would only reach servers that
// know SMTPUTF8, and is not taken.
func address(text string) (string, error) {
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || parsed.Name != "" {
		return "", fmt.Errorf("%.300q is no bare email address", text)
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' {
			return "", fmt.Errorf("the address %.300q has a character that not every mail server takes", text)
		}
	}
	return text, nil
}

// control reports whether a text would not stay within its line.
func control(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' })
}

// write makes a letter of a mail, or a permanent error if it is none.
func (s *Sender) write(m Mail) (letter, error) {
	l := letter{from: s.from.Address}
	if m.ID == "" || strings.ContainsFunc(m.ID, func(r rune) bool {
		return !strings.ContainsRune("-_.", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		return l, malformed("%.100q can't be a mail's id", m.ID)
	}
	if control(m.Subject) {
		return l, malformed("the subject %.300q has a control character", m.Subject)
	}
	if len(m.To) == 0 {
		return l, malformed("it has no recipient")
	}
	options := []gomail.MsgOption{gomail.WithNoDefaultUserAgent(), gomail.WithCharset(gomail.CharsetUTF8), gomail.WithEncoding(gomail.EncodingQP)}
	const boundary = "sealed" // never a line of ASCII armor
	if m.Encrypted != nil {
		l.size = int64(len(m.Encrypted))
		options = append(options, gomail.WithPGPType(gomail.PGPEncrypt), gomail.WithBoundary(boundary))
	}
	msg := gomail.NewMsg(options...)
	var to []*mail.Address
	for _, text := range m.To {
		bare, err := address(text)
		if err != nil {
			return l, malformed("%v", err)
		}
		l.to = append(l.to, bare)
		to = append(to, &mail.Address{Address: bare})
	}
	msg.FromMailAddress(&s.from)
	msg.SetAddrHeaderFromMailAddress(gomail.HeaderTo, to...)
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(m.ID + "@" + s.domain)
	msg.SetDateWithValue(m.Date)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	if m.Encrypted == nil {
		msg.SetBodyString(gomail.TypeTextPlain, m.Body)
		if a := m.Attachment; a != nil {
			if control(a.Name) || a.Name == "" {
				return l, malformed("%.300q can't be the name of an attachment", a.Name)
			}
			l.size = (a.Size + 2) / 3 * 4 * 78 / 76 // base64, in lines of 76 characters
			msg.SetAttachments([]*gomail.File{{
				Header: fileHeader(a.Name),
				Writer: func(w io.Writer) (int64, error) { return io.Copy(w, a.exactly()) },
			}})
		}
	}
	l.writeTo = func(w io.Writer) error {
		if _, err := msg.WriteTo(w); err != nil || m.Encrypted == nil {
			return err
		}
		// Of a multipart for PGP the library writes the beginning alone.
		return writeEncrypted(w, boundary, m.Encrypted)
	}
	return l, nil
}

// writeEncrypted writes the two parts of RFC 3156, section 4.
func writeEncrypted(w io.Writer, boundary string, armored []byte) error {
	const head = "--%[1]s\nContent-Type: application/pgp-encrypted\nContent-Disposition: inline\n\nVersion: 1\n" +
		"--%[1]s\nContent-Type: application/octet-stream; name=encrypted.asc\nContent-Disposition: inline; filename=encrypted.asc\n\n"
	if _, err := fmt.Fprintf(w, head, boundary); err != nil {
		return err
	}
	if _, err := w.Write(armored); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n--%s--\n", boundary)
	return err
}

// fileHeader is the header of a part that is a file. Its name is written by RFC 2231,
// which the library's own headers are not.
func fileHeader(name string) textproto.MIMEHeader {
	return textproto.MIMEHeader{
		"Content-Type":              {mime.FormatMediaType("application/octet-stream", map[string]string{"name": name})},
		"Content-Transfer-Encoding": {"base64"},
		"Content-Disposition":       {mime.FormatMediaType("attachment", map[string]string{"filename": name})},
	}
}

// exactly reads the content, and fails if it is shorter or longer than it should be.
func (a *Attachment) exactly() io.Reader { return &exact{from: a.Content, left: a.Size} }

type exact struct {
	from io.Reader
	left int64
}

func (r *exact) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.left -= int64(n)
	switch {
	case r.left < 0:
		return n, errors.New("the attachment is longer than it should be")
	case errors.Is(err, io.EOF) && r.left > 0:
		return n, errors.New("the attachment is shorter than it should be")
	}
	return n, err
}

// WriteEntity writes a text and an attachment as a MIME entity: what [Mail.Encrypted]
// is made of. The attachment goes out as it is read; nothing of it is kept.
func WriteEntity(w io.Writer, body string, a Attachment) error {
	parts := multipart.NewWriter(w)
	if _, err := fmt.Fprintf(w, "Content-Type: multipart/mixed; boundary=%s\r\n\r\n", parts.Boundary()); err != nil {
		return err
	}
	text, err := parts.CreatePart(textproto.MIMEHeader{
		"Content-Type":              {"text/plain; charset=UTF-8"},
		"Content-Transfer-Encoding": {"quoted-printable"},
	})
	if err != nil {
		return err
	}
	quoted := quotedprintable.NewWriter(text)
	if _, err := io.WriteString(quoted, body); err != nil {
		return err
	}
	if err := quoted.Close(); err != nil {
		return err
	}
	file, err := parts.CreatePart(fileHeader(a.Name))
	if err != nil {
		return err
	}
	lines := &wrapped{to: file}
	encoder := base64.NewEncoder(base64.StdEncoding, lines)
	if _, err := io.Copy(encoder, a.exactly()); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	return parts.Close()
}

// wrapped breaks what goes through it into lines of 76 characters (RFC 2045, 6.8).
type wrapped struct {
	to     io.Writer
	column int
}

func (w *wrapped) Write(p []byte) (int, error) {
	const width = 76
	written := 0
	for len(p) > 0 {
		if w.column == width {
			if _, err := io.WriteString(w.to, "\r\n"); err != nil {
				return written, err
			}
			w.column = 0
		}
		n, err := w.to.Write(p[:min(width-w.column, len(p))])
		written += n
		w.column += n
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}
