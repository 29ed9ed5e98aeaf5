package courier_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/blob/blobtest"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/courier"
	"github.com/sealdrop/sealdrop/reports/notify/mail"
	"github.com/sealdrop/sealdrop/reports/notify/message"
	"github.com/sealdrop/sealdrop/reports/publish"
)

const plain = "date;amount\r\n2027-03-01;12,50\r\n"

// fixture is a gateway with client acme, which has no certificate yet, and a courier
// that hands its mails to a server in this process.
type fixture struct {
	*courier.Courier
	dir      string
	register *keys.Register
	catalog  *catalog.Catalog
	blobs    *blob.Dir
	publish  *publish.Publisher
	acme     reports.ClientID
	server   *server
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), server: startServer(t)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := database.Open(t.Context(), f.dir)
	must(err)
	t.Cleanup(func() { db.Close() })
	f.blobs, err = blob.OpenDir(filepath.Join(f.dir, "blobs"))
	must(err)
	t.Cleanup(func() { f.blobs.Close() })
	own := filepath.Join(f.dir, "keys")
	must(os.Mkdir(own, 0o700))
	must(keys.CreateOwn(own, time.Now().Add(-time.Hour)))
	ownKeys, err := keys.LoadOwn(own)
	must(err)
	f.acme, err = reports.ParseClientID("acme")
	must(err)
	f.register = keys.NewRegister(db, time.Now)
	must(f.register.AddClient(t.Context(), "test", keys.Client{ID: f.acme}))
	f.catalog = catalog.New(db, time.Now)
	quiet := slog.New(slog.DiscardHandler)
	f.publish = publish.New(publish.Config{
		Register: f.register, Catalog: f.catalog, Blobs: f.blobs, Own: ownKeys, Retention: 100 * 24 * time.Hour, Now: time.Now,
		Log: quiet, Compress: true,
	})
	words, err := message.New(nil)
	must(err)
	sender, err := mail.New(mail.Config{
		Host: "smtp.example.com", TLS: mail.Off, From: "reports@example.com",
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, f.server.address)
		},
	})
	must(err)
	t.Cleanup(func() { sender.Close() })
	f.Courier = courier.New(courier.Config{
		Catalog: f.catalog, Blobs: f.blobs, Register: f.register, Mail: sender, Words: words, MaxSize: 1 << 20, Now: time.Now, Log: quiet,
	})
	return f
}

// certify registers a certificate for acme.
func (f *fixture) certify(t *testing.T, armored string) {
	t.Helper()
	list, err := keys.Read([]byte(armored), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.register.Import(t.Context(), "test", f.acme, list); err != nil {
		t.Fatal(err)
	}
}

// certifyNew registers a new certificate for acme and returns its fingerprint.
func (f *fixture) certifyNew(t *testing.T) string {
	t.Helper()
	k, err := pgp.GeneratePrivateKey("acme", time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	f.certify(t, k.Certificate().Armored())
	return k.Certificate().Fingerprint()
}

// report publishes a report of acme's.
func (f *fixture) report(t *testing.T) reports.Report {
	t.Helper()
	name, err := reports.ParseName("Übersicht März.csv")
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.publish.Publish(t.Context(), publish.Delivery{
		Client: f.acme, Name: name, Modified: time.Now(), Size: -1, Actor: "test",
	}, strings.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	return o.Report
}

// sealed returns what is stored of a report.
func (f *fixture) sealed(t *testing.T, r reports.Report) []byte {
	t.Helper()
	b, err := f.blobs.Open(r.Blob)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	data, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// parcel is r for somebody at acme.
func parcel(r reports.Report, form contact.Delivery) courier.Parcel {
	return courier.Parcel{
		ID: "msg_1", Client: r.Client.String(), Report: r.ID, To: "ops@acme.example", Form: form,
		Message:   message.Message{Client: "acme", ClientName: "Acme", Gateway: "Example Reports", Host: "reports.example.com", Until: r.Expires},
		Languages: []string{"de"},
	}
}

// server is an SMTP server that keeps what it takes.
type server struct {
	address string
	*smtp.Server

	mu    sync.Mutex
	mails [][]byte
}

func startServer(t *testing.T) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: listener.Addr().String()}
	s.Server = smtp.NewServer(s)
	s.ErrorLog = log.New(io.Discard, "", 0)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Server.Close() })
	return s
}

func (s *server) NewSession(*smtp.Conn) (smtp.Session, error) { return session{s}, nil }

func (s *server) took() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mails
}

type session struct{ s *server }

func (session) Reset()                               {}
func (session) Logout() error                        { return nil }
func (session) Mail(string, *smtp.MailOptions) error { return nil }
func (session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (x session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	x.s.mails = append(x.s.mails, data)
	return nil
}

// gnupg is a client's GnuPG with a key.
type gnupg struct{ home string }

func newGnuPG(t *testing.T) gnupg {
	t.Helper()
	home, err := os.MkdirTemp("/tmp", "gpg") // its sockets have short names only
	if err != nil {
		t.Fatal(err)
	}
	g := gnupg{home}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	g.run(t, nil, "--quick-gen-key", "--passphrase", "", "ops@acme.example", "future-default", "default", "never")
	return g
}

func (g gnupg) run(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", g.home, "--batch", "--quiet"}, args...)...)
	var out, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("gpg %q: %v\n%s", args, err, stderr.Bytes())
	}
	return out.Bytes()
}

// part is a part of a mail.
type part struct {
	contentType, name string
	data              []byte
}

// parts takes a MIME entity with several parts apart.
func parts(t *testing.T, contentType string, r io.Reader) (mediaType string, list []part) {
	t.Helper()
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatal(err)
	}
	reader := multipart.NewReader(r, params["boundary"])
	for {
		p, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return mediaType, list
		}
		if err != nil {
			t.Fatal(err)
		}
		content := io.Reader(p)
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			content = base64.NewDecoder(base64.StdEncoding, p)
		}
		data, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, part{p.Header.Get("Content-Type"), p.FileName(), data})
	}
}

// only returns the one mail that the server took.
func (f *fixture) only(t *testing.T) *netmail.Message {
	t.Helper()
	got := f.server.took()
	if len(got) != 1 {
		t.Fatalf("the server took %d mails", len(got))
	}
	m, err := netmail.ReadMessage(bytes.NewReader(got[0]))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkFile checks the two parts that a client sees: the text and the sealed report.
func (f *fixture) checkFile(t *testing.T, g gnupg, r reports.Report, mediaType string, list []part) {
	t.Helper()
	if mediaType != "multipart/mixed" || len(list) != 2 || !strings.Contains(string(list[0].data), "beigefügt") {
		t.Fatalf("%s with %d parts", mediaType, len(list))
	}
	file := list[1]
	if file.name != "Übersicht März.csv.pgp" || !bytes.Equal(file.data, f.sealed(t, r)) {
		t.Errorf("%q has %d bytes, and is not what the folder has", file.name, len(file.data))
	}
	if got := g.run(t, file.data, "--decrypt"); string(got) != plain {
		t.Errorf("gpg decrypts it to %q", got)
	}
}

func TestGnuPGDecryptsWhatArrives(t *testing.T) {
	t.Parallel()
	g := newGnuPG(t)
	for _, form := range []contact.Delivery{contact.DeliveryAttachment, contact.DeliveryPGPMIME} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.certify(t, string(g.run(t, nil, "--armor", "--export")))
			r := f.report(t)
			handed, err := f.Deliver(t.Context(), parcel(r, form))
			if err != nil {
				t.Fatal(err)
			}
			m := f.only(t)
			if subject := m.Header.Get("Subject"); strings.Contains(subject, "bersicht") || m.Header.Get("Message-Id") != "<msg_1@example.com>" {
				t.Errorf("%v", m.Header)
			}
			mediaType, list := parts(t, m.Header.Get("Content-Type"), m.Body)
			if form == contact.DeliveryPGPMIME {
				if mediaType != "multipart/encrypted" || len(list) != 2 || strings.Contains(string(f.server.took()[0]), "bersicht") {
					t.Fatalf("%s with %d parts:\n%.2000s", mediaType, len(list), f.server.took()[0])
				}
				entity := g.run(t, list[1].data, "--decrypt")
				inner, err := netmail.ReadMessage(bytes.NewReader(entity))
				if err != nil {
					t.Fatal(err)
				}
				mediaType, list = parts(t, inner.Header.Get("Content-Type"), inner.Body)
			}
			f.checkFile(t, g, r, mediaType, list)
			f.checkReceipt(t, r, handed)
		})
	}
}

// checkReceipt checks what the catalog knows of a report that was handed over.
func (f *fixture) checkReceipt(t *testing.T, r reports.Report, handed mail.Handed) {
	t.Helper()
	list, err := f.catalog.Receipts(t.Context(), r.ID)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d receipts, %v", len(list), err)
	}
	got := list[0]
	if got.Protocol != "email" || got.Address != handed.Server || got.Bytes != r.Size || got.SHA256 != r.SHA256 ||
		got.Evidence != "250, handed over to the mail server for ops@acme.example" {
		t.Errorf("%+v", got)
	}
	after, err := f.catalog.Report(t.Context(), r.ID)
	if err != nil || after.State != reports.Published || !after.Collected.IsZero() {
		t.Errorf("a mail server's 250 made it %s, %v", after.State, err)
	}
}

// TestHeldIsNeverSent: what is sealed to the hold key is a file like any other to
// whoever only looks for a blob.
func TestHeldIsNeverSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	r := f.report(t)
	if r.State != reports.Held || len(f.sealed(t, r)) == 0 {
		t.Fatalf("%+v", r)
	}
	check := func() {
		t.Helper()
		_, err := f.Deliver(t.Context(), parcel(r, contact.DeliveryAttachment))
		var gone *courier.GoneError
		if !errors.As(err, &gone) || !gone.Permanent() || len(f.server.took()) > 0 {
			t.Errorf("%v; the server took %d mails", err, len(f.server.took()))
		}
	}
	check()
	f.certifyNew(t) // a key alone doesn't release it
	check()
	if _, err := f.publish.Release(t.Context(), "test", f.acme, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Deliver(t.Context(), parcel(r, contact.DeliveryAttachment)); err != nil || len(f.server.took()) != 1 {
		t.Errorf("released: %v", err)
	}
}

// TestNoticeInstead: what can't be sent is told of, without a receipt.
func TestNoticeInstead(t *testing.T) {
	t.Parallel()
	tooLarge := func(want bool) func(*testing.T, *fixture, string) {
		return func(t *testing.T, f *fixture, body string) {
			t.Helper()
			if got := strings.Contains(body, "zu groß"); got != want {
				t.Errorf("says that it is too large: %v\n%s", got, body)
			}
		}
	}
	for name, test := range map[string]struct {
		arrange func(t *testing.T, f *fixture, fingerprint string)
		check   func(*testing.T, *fixture, string)
	}{
		"larger than allowed":        {func(_ *testing.T, f *fixture, _ string) { f.MaxSize = 100 }, tooLarge(true)},
		"larger than the server has": {func(_ *testing.T, f *fixture, _ string) { f.server.MaxMessageBytes = 1000 }, tooLarge(true)},
		"key revoked": {func(t *testing.T, f *fixture, fingerprint string) {
			t.Helper()
			f.revoke(t, fingerprint)
		}, tooLarge(false)},
		"sealed to an old key": {func(t *testing.T, f *fixture, fingerprint string) {
			t.Helper()
			f.certifyNew(t)
			f.revoke(t, fingerprint)
		}, tooLarge(false)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			fingerprint := f.certifyNew(t)
			r := f.report(t)
			test.arrange(t, f, fingerprint)
			if _, err := f.Deliver(t.Context(), parcel(r, contact.DeliveryPGPMIME)); err != nil {
				t.Fatal(err)
			}
			m := f.only(t)
			body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
			if err != nil || !strings.HasPrefix(m.Header.Get("Content-Type"), "text/plain") || strings.Contains(string(body), "bersicht") {
				t.Errorf("%v, %v\n%s", err, m.Header, body)
			}
			test.check(t, f, string(body))
			if list, err := f.catalog.Receipts(t.Context(), r.ID); err != nil || len(list) > 0 {
				t.Errorf("%d receipts, %v", len(list), err)
			}
		})
	}
}

// revoke revokes a certificate of acme's.
func (f *fixture) revoke(t *testing.T, fingerprint string) {
	t.Helper()
	list, err := f.register.Keys(t.Context(), f.acme)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range list {
		if k.Fingerprint == fingerprint {
			if _, err := f.register.Revoke(t.Context(), "test", k.ID, "lost"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certifyNew(t)
	r := f.report(t)
	other := parcel(r, contact.DeliveryAttachment)
	other.Client = "beta"
	unknown := parcel(r, contact.DeliveryAttachment)
	unknown.Report = "nothing"
	if _, err := f.catalog.RemoveReport(t.Context(), "test", r.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]courier.Parcel{"removed": parcel(r, contact.DeliveryAttachment), "another's": other, "unknown": unknown} {
		_, err := f.Deliver(t.Context(), p)
		var gone *courier.GoneError
		if !errors.As(err, &gone) || len(f.server.took()) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamagedIsNotSent: other bytes than those that were published.
func TestDamagedIsNotSent(t *testing.T) {
	t.Parallel()
	for _, form := range []contact.Delivery{contact.DeliveryAttachment, contact.DeliveryPGPMIME} {
		f := newFixture(t)
		f.certifyNew(t)
		r := f.report(t)
		blobtest.Damage(t, filepath.Join(f.dir, "blobs"), r.Blob)
		_, err := f.Deliver(t.Context(), parcel(r, form))
		var permanent interface{ Permanent() bool }
		if !strings.Contains(fmt.Sprint(err), "sealdrop fsck") || errors.As(err, &permanent) && permanent.Permanent() || len(f.server.took()) > 0 {
			t.Errorf("%s: %v; the server took %d", form, err, len(f.server.took()))
		}
	}
}
