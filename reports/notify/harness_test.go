package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports/notify"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/mail"
	"github.com/sealdrop/sealdrop/reports/notify/message"
)

const day = 24 * time.Hour

// clock is a time that only moves when it is told to.
type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// post takes the mails that are handed over.
type post struct {
	mu   sync.Mutex
	sent []mail.Mail
	fail error
}

func (p *post) Send(_ context.Context, m mail.Mail) (mail.Handed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return mail.Handed{}, p.fail
	}
	p.sent = append(p.sent, m)
	return mail.Handed{Server: "smtp.example:587", Reply: "250 2.0.0 queued"}, nil
}

func (p *post) mails() []mail.Mail {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]mail.Mail(nil), p.sent...)
}

// fixture is a catalog with a dispatcher on it.
type fixture struct {
	*notify.Dispatcher
	home  databasetest.Home
	db    *database.DB
	clock *clock
	post  *post
	log   *bytes.Buffer
	ends  map[string][]notify.Ending
}

func newFixture(tb testing.TB, e databasetest.Engine) *fixture {
	tb.Helper()
	db, home := e.Open(tb, tb.TempDir())
	f := &fixture{home: home, db: db, clock: &clock{}, post: &post{}, log: new(bytes.Buffer), ends: map[string][]notify.Ending{}}
	f.clock.micros.Store(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC).UnixMicro())
	f.Dispatcher = f.dispatcher(tb, db)
	return f
}

func (f *fixture) dispatcher(tb testing.TB, db *database.DB) *notify.Dispatcher {
	tb.Helper()
	return f.dispatcherOver(db, &locked{w: f.log})
}

func (f *fixture) dispatcherOver(db *database.DB, log io.Writer) *notify.Dispatcher {
	words, err := message.New(nil)
	if err != nil {
		panic(err)
	}
	digest, _ := contact.ParseSchedule("daily 07:00")
	return notify.New(notify.Config{
		DB: db, Now: f.clock.now, Log: slog.New(slog.NewTextHandler(log, nil)),
		Channels:       notify.Channels{Words: words, Mail: f.post, Webhook: notify.NewWebhook(testKey(), nil), Gateway: "Example Reports", Host: "reports.example"},
		OperatorDigest: digest, Gather: time.Minute, PerMinute: 600, Timeout: time.Minute,
		Retry:  notify.Retry{First: time.Minute, Cap: 6 * time.Hour, GiveUp: 3 * day, Random: func() float64 { return 0.5 }},
		Expiry: []time.Duration{60 * day, 30 * day, 7 * day}, Reminders: []time.Duration{14 * day, 3 * day}, Refusals: 3,
		Watched: func(_ context.Context, client string) ([]notify.Ending, error) { return f.ends[client], nil },
	})
}

func testKey() []byte { return bytes.Repeat([]byte{7}, 32) }

// locked is a writer that several goroutines share.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func contacts(tb testing.TB, list ...string) []contact.Contact {
	tb.Helper()
	out := make([]contact.Contact, 0, len(list))
	for _, text := range list {
		c, err := contact.Parse(text)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// client adds a client, or changes what it has chosen.
func (f *fixture) client(tb testing.TB, id string, p contact.Preferences) {
	tb.Helper()
	f.write(tb, func(tx *database.Tx) error {
		if _, err := tx.GetClient(tx.Context(), id); err == nil {
			return tx.UpdateClient(tx.Context(), query.UpdateClientParams{ID: id, Name: "Client " + id, Notify: p.Text()})
		}
		return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: id, Name: "Client " + id, Notify: p.Text()})
	})
}

func (f *fixture) write(tb testing.TB, fn func(*database.Tx) error) {
	tb.Helper()
	if err := f.db.Write(context.Background(), fn); err != nil {
		tb.Fatal(err)
	}
}

func (f *fixture) add(tb testing.TB, e outbox.Event) {
	tb.Helper()
	f.write(tb, func(tx *database.Tx) error { return outbox.Add(tx, f.clock.now(), e) })
}

func (f *fixture) ready(tb testing.TB, client, name string) {
	tb.Helper()
	f.add(tb, outbox.Event{
		Kind: outbox.ReportReady, Client: client, Subject: "id-" + name,
		Detail: map[string]string{outbox.Name: name, outbox.Bytes: "1000", outbox.Until: "2027-02-28T12:00:00Z"},
	})
}

func (f *fixture) expand(tb testing.TB) {
	tb.Helper()
	if _, err := f.Expand(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

func (f *fixture) dispatch(tb testing.TB) {
	tb.Helper()
	f.expand(tb)
	if err := f.Dispatch(context.Background()); err != nil {
		tb.Fatal(err)
	}
}

// messages lists all messages, the oldest first.
func (f *fixture) messages(tb testing.TB) []notify.Message {
	tb.Helper()
	list, err := notify.List(context.Background(), f.db.Read(), notify.Filter{Limit: 10000})
	if err != nil {
		tb.Fatal(err)
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

func (f *fixture) only(tb testing.TB) notify.Message {
	tb.Helper()
	list := f.messages(tb)
	if len(list) != 1 {
		tb.Fatalf("there are %d messages: %+v", len(list), list)
	}
	return list[0]
}

// call is one request that a receiver got.
type call struct {
	header http.Header
	body   []byte
}

func (c call) id() string { return c.header.Get("webhook-id") }

// receiver is a webhook's other side.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
}

// newReceiver answers as the handler does, and with 204 if there is none.
func newReceiver(tb testing.TB, answer http.HandlerFunc) *receiver {
	tb.Helper()
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.calls = append(r.calls, call{req.Header.Clone(), body})
		r.mu.Unlock()
		if answer != nil {
			answer(w, req)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.Start()
	tb.Cleanup(r.Close)
	return r
}

func (r *receiver) contact() string { return "webhook:" + r.URL + "/hook" }

func (r *receiver) got() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]call(nil), r.calls...)
}

type payload struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Client string `json:"client"`
		Items  []struct {
			Type   string   `json:"type"`
			Count  int      `json:"count"`
			Bytes  int64    `json:"bytes"`
			Names  []string `json:"names"`
			Change string   `json:"change"`
			Reason string   `json:"reason"`
		} `json:"items"`
	} `json:"data"`
}

func decode(tb testing.TB, body []byte) payload {
	tb.Helper()
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		tb.Fatalf("%v in %s", err, body)
	}
	return p
}

func summary(list []notify.Message) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%s %s %s %d\n", m.Kind, m.Channel, m.State, m.Tries)
	}
	return b.String()
}
