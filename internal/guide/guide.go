// Package guide writes what an operator hands to a client: how to make the keys,
// send their public halves, connect, decrypt, keep the keys safe, and what to do
// when it does not work. Start with [Write].
//
// The guide speaks of one client and one gateway: the host name, the ports, the
// fingerprints and the user name in it are the real ones ([Facts]), so that whoever
// follows it can copy every command as it stands. What does not concern the client
// is left out: other operating systems than those asked for, FTP where it has none,
// Windows Explorer where it may not use FTP without encryption.
//
// A language is one file in the folder text: a template that makes Markdown, of the
// small kind that parse explains. HTML and PDF are made of that Markdown. All languages
// have the same sections, commands, drawings and placeholders; a test sees to it.
// There is nothing secret in a guide: no password, no private key.
//
// The package is pure: facts in, a document out. The same facts make the same bytes.
package guide

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"unicode"
)

//go:embed text/*.md
var texts embed.FS

// Facts are what a guide tells of the gateway and its client. Everything but the
// names must be fit to stand in a command line.
type Facts struct {
	Host     string // what the client connects to: a name or an IP address
	SFTPPort string
	HostKeys []HostKey // those the gateway shows, in its order

	FTP FTP

	Client string // the user name
	Name   string // what the client is called; may be empty
	// Allowed are the networks that it may connect from, as they are to be shown.
	Allowed []string
	Days    int // how long a report is kept

	// Gateway is what those who run the gateway call themselves, and Contact how they
	// are reached. Either may be empty.
	Gateway, Contact string

	// Signed: reports are signed, by the key with this fingerprint and text form.
	Signed            bool
	SigningKey        string
	SigningKeyArmored string
}

// HostKey is a public SSH host key.
type HostKey struct {
	Algorithm   string // "ssh-ed25519"
	Fingerprint string // "SHA256:…"
	KnownHosts  string // the line for a known_hosts file
}

// FTP is what the client may do over FTP. The zero value stands for nothing.
type FTP struct {
	Port         string // explicit TLS or, with Plain, none; "": no such listener
	ImplicitPort string // "": no such listener
	TLS          bool   // TLS is offered
	Plain        bool   // FTP without TLS is open to the client
	Passive      string // "30000-30199"; "": any port
	// Certificate is the SHA-256 of the certificate; "" without TLS.
	Certificate string
}

// Enabled reports whether the client has FTP at all.
func (f FTP) Enabled() bool {
	return f.Port != "" && (f.TLS || f.Plain) || f.ImplicitPort != "" && f.TLS
}

// System is an operating system of the client.
type System string

// The systems. All stands for each of them.
const (
	Windows System = "windows"
	MacOS   System = "macos"
	Linux   System = "linux"
	All     System = "all"
)

// Systems returns the systems that a guide can be for.
func Systems() []System { return []System{Windows, MacOS, Linux, All} }

// Format is the form of the document.
type Format string

// The formats.
const (
	Markdown Format = "md"
	HTML     Format = "html"
	PDF      Format = "pdf"
)

// Formats returns the formats that there are.
func Formats() []Format { return []Format{Markdown, HTML, PDF} }

// Languages returns the languages that there are, as BCP 47 tags.
func Languages() []string { return []string{"en", "de", "ja", "pt-BR"} }

// Options say which guide is wanted.
type Options struct {
	Language string // one of [Languages]
	System   System
	Format   Format
}

// Write writes the guide. It fails if an option is none of those that there are, and
// if w does.
func Write(w io.Writer, f Facts, o Options) error {
	text, err := markdown(f, o)
	if err != nil {
		return fmt.Errorf("writing the guide: %w", err)
	}
	doc := parse(text)
	var out []byte
	switch o.Format {
	case Markdown:
		out = []byte(standalone(text))
	case HTML:
		out = htmlDocument(doc, f, o)
	case PDF:
		out = pdfDocument(doc, f, o)
	default:
		return fmt.Errorf("writing the guide: there is no format %q", o.Format)
	}
	if _, err := w.Write(out); err != nil {
		return fmt.Errorf("writing the guide: %w", err)
	}
	return nil
}

// subject is what the templates see.
type subject struct {
	Facts
	Windows, MacOS, Linux bool
	pdf                   bool
}

// Shell reports whether commands for a Unix shell concern the reader.
func (s subject) Shell() bool { return s.MacOS || s.Linux }

// Unix names those of the systems that have such a shell, with what is put between two.
func (s subject) Unix(and string) string {
	switch {
	case s.MacOS && s.Linux:
		return "macOS" + and + "Linux"
	case s.MacOS:
		return "macOS"
	}
	return "Linux"
}

// Asked is whom the client turns to, "" if that is not known.
func (s subject) Asked() string {
	if s.Gateway == "" || s.Contact == "" {
		return s.Gateway + s.Contact
	}
	return s.Gateway + ", " + s.Contact
}

// KnownHosts are the lines for a known_hosts file. Those of a PDF are copied from a page,
// where the lines of most algorithms do not fit: one algorithm is enough there, since
// OpenSSH asks a server for the keys that it knows.
func (s subject) KnownHosts() []string {
	var all, short []string
	for _, k := range s.HostKeys {
		all = append(all, k.KnownHosts)
		if k.Algorithm == "ssh-ed25519" {
			short = append(short, k.KnownHosts)
		}
	}
	if s.pdf && len(short) > 0 {
		return short
	}
	return all
}

// SigningKeyLines is what stands between the header and the checksum of the signing key's
// text form: bare Base64, since the empty line after the header gets lost when somebody
// copies it from a PDF, and gpg refuses the rest.
func (s subject) SigningKeyLines() string {
	_, body, _ := strings.Cut(s.SigningKeyArmored, "\n\n")
	body, _, _ = strings.Cut(body, "\n-----END ")
	body, _, _ = strings.Cut(body, "\n=")
	return body
}

// URLHost is the host as it stands in a URL: an IPv6 address in brackets.
func (s subject) URLHost() string {
	if strings.Contains(s.Host, ":") {
		return "[" + s.Host + "]"
	}
	return s.Host
}

// markdown makes the text, drawings still being blocks of their labels.
func markdown(f Facts, o Options) (string, error) {
	if !slices.Contains(Languages(), o.Language) {
		return "", fmt.Errorf("there is no language %q", o.Language)
	}
	if !slices.Contains(Systems(), o.System) {
		return "", fmt.Errorf("there is no system %q", o.System)
	}
	name := "text/" + o.Language + ".md"
	t, err := template.New(o.Language+".md").Option("missingkey=error").ParseFS(texts, name)
	if err != nil {
		return "", err
	}
	f.Name, f.Gateway, f.Contact = literal(f.Name), literal(f.Gateway), literal(f.Contact)
	if f.Name == "" {
		f.Name = literal(f.Client)
	}
	s := subject{
		Facts: f, Windows: o.System == Windows || o.System == All, MacOS: o.System == MacOS || o.System == All,
		Linux: o.System == Linux || o.System == All, pdf: o.Format == PDF,
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return "", err
	}
	return tidy(b.String()), nil
}

// literal writes a name so that nothing in it is taken for Markdown or HTML.
func literal(name string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(name), " ") {
		switch {
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			continue
		case strings.ContainsRune("\\`*_[]<>|#&", r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// tidy removes the empty lines that templates leave behind, outside of blocks.
func tidy(text string) string {
	var out []string
	inBlock := false
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		}
		if line == "" && !inBlock && len(out) > 0 && out[len(out)-1] == "" {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n") + "\n"
}
