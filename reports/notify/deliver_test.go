package notify_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports/notify"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

type permanent struct{}

func (permanent) Error() string   { return "550 5.1.1 no such user" }
func (permanent) Permanent() bool { return true }

func (f *fixture) queue(ctx context.Context) (notify.QueueState, error) {
	return notify.Queue(ctx, f.db.Read(), f.clock.now())
}

func newSMS(tb testing.TB, url, headers, body string) *notify.SMS {
	tb.Helper()
	s, err := notify.NewSMS(url, headers, body, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestWebhookIsStandard: the library that receivers use verifies what we send.
func TestWebhookIsStandard(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.clock.micros.Store(time.Now().UnixMicro()) // the library looks at the clock
	r := newReceiver(t, nil)
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, r.contact())})
	f.ready(t, "acme", "a.csv")
	f.expand(t)
	f.clock.advance(time.Minute)
	f.dispatch(t)
	calls := r.got()
	if len(calls) != 1 {
		t.Fatalf("%d calls: %s", len(calls), summary(f.messages(t)))
	}
	hook := notify.NewWebhook(testKey(), nil)
	secret, err := hook.Secret("acme", r.URL+"/hook")
	if err != nil || !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("secret %q, %v", secret, err)
	}
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(calls[0].body, calls[0].header); err != nil {
		t.Error(err)
	}
	if got := calls[0].header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	for _, other := range [][2]string{{"globex", r.URL + "/hook"}, {"acme", r.URL + "/hook2"}} {
		text, err := hook.Secret(other[0], other[1])
		if err != nil || text == secret {
			t.Errorf("%s has the same secret, %v", other, err)
		}
	}
	if m := f.only(t); m.State != notify.Sent || m.Answer != "204 No Content" || m.Settled.IsZero() {
		t.Errorf("message %+v", m)
	}
	if strings.Contains(f.log.String(), "whsec_") {
		t.Error("the log has a secret")
	}
}

// TestReceiverThatFails in every way: nothing is lost, nothing is sent elsewhere,
// and the error is told.
func TestReceiverThatFails(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t, nil)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		state  notify.State
		wait   time.Duration // before the next try; 0: any
		says   string
	}{
		"500":      {answer: status(500, "oops\x1b[31m"), state: notify.Pending, wait: 30 * time.Second, says: "500 Internal Server Error: oops [31m"},
		"400":      {answer: status(400, ""), state: notify.Pending, says: "400 Bad Request"},
		"401":      {answer: status(401, "who are you"), state: notify.Pending, says: "who are you"},
		"404":      {answer: status(404, ""), state: notify.Pending, says: "404 Not Found"},
		"410-gone": {answer: status(410, ""), state: notify.Dead, says: "410 Gone"},
		"429-retry-after": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1800")
			w.WriteHeader(429)
		}, state: notify.Pending, wait: 30 * time.Minute, says: "429"},
		"503-retry-after-for-ever": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "2000000000")
			w.WriteHeader(503)
		}, state: notify.Pending, wait: 6 * time.Hour, says: "503"},
		"redirect-is-not-followed": {answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, state: notify.Pending, says: "redirects are not followed"},
		"redirect-with-body-is-not-followed": {answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusPermanentRedirect)
		}, state: notify.Pending, says: "redirects are not followed"},
		"hangs": {answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, state: notify.Pending, says: "no answer in time"},
		"huge-answer": {answer: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, state: notify.Pending, says: "500"},
		"huge-headers": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, state: notify.Pending, says: "header"},
		"slow-drip": {answer: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("."))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(10 * time.Millisecond):
				}
			}
		}, state: notify.Pending, says: "500"},
		"endless-answer-after-a-yes": {answer: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, state: notify.Sent},
		"cuts-the-connection": {answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, state: notify.Pending, says: "EOF"},
		"no-http": {answer: func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = c.Write([]byte("220 smtp.example ESMTP\r\n"))
				c.Close()
			}
		}, state: notify.Pending, says: "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, databasetest.SQLite)
			switch { // the others end by themselves
			case strings.Contains(name, "hang"):
				f.Timeout = 300 * time.Millisecond
			case strings.Contains(name, "drip"), strings.Contains(name, "endless"):
				f.Timeout = 3 * time.Second // its headers must have come by then
			default:
				f.Timeout = time.Minute
			}
			r := newReceiver(t, test.answer)
			f.check(t, r.contact(), test.state, test.wait, test.says)
			if calls := r.got(); len(calls) != 1 {
				t.Errorf("%d calls", len(calls))
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		// Bound, so that no other test gets the port, and without anybody who listens.
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		bound, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		to := fmt.Sprintf("webhook:http://127.0.0.1:%d/?token=SECRET", bound.(*unix.SockaddrInet4).Port)
		f := newFixture(t, databasetest.SQLite)
		f.check(t, to, notify.Pending, 30*time.Second, "refused")
		if m := f.only(t); strings.Contains(m.Error+f.log.String(), "SECRET") {
			t.Errorf("the URL is told: %s", m.Error)
		}
	})
	t.Run("certificate-of-nobody", func(t *testing.T) {
		t.Parallel()
		r := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it got the request") }))
		r.TLS = &tls.Config{}
		r.Config.ErrorLog = newReceiver(t, nil).Config.ErrorLog
		r.StartTLS()
		t.Cleanup(r.Close)
		newFixture(t, databasetest.SQLite).check(t, "webhook:"+r.URL, notify.Pending, 30*time.Second, "certificate")
	})
	t.Cleanup(func() {
		if n := len(elsewhere.got()); n > 0 {
			t.Errorf("%d requests went elsewhere", n)
		}
	})
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// check sends one message to a contact, and looks at what became of it.
func (f *fixture) check(t *testing.T, to string, state notify.State, wait time.Duration, says string) {
	t.Helper()
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, to)})
	f.ready(t, "acme", "a.csv")
	f.expand(t)
	f.clock.advance(time.Minute)
	f.dispatch(t)
	m := f.only(t)
	if m.State != state || !strings.Contains(m.Error, says) || len(m.Error) > 400 {
		t.Errorf("it is %s: %q; want %s: %q", m.State, m.Error, state, says)
	}
	if strings.HasSuffix(m.Error, ":") || strings.HasSuffix(m.Error, " ") {
		t.Errorf("%q introduces what does not come", m.Error)
	}
	if got := m.Next.Sub(f.clock.now()); wait > 0 && got != wait {
		t.Errorf("it is tried again in %s; want %s", got, wait)
	}
	if tries := int64(1); (state == notify.Sent) == (m.Tries == tries) {
		t.Errorf("%d failures", m.Tries)
	}
}

// TestBackOff: the waits double up to the cap, and after three days it is given up,
// and can be retried.
func TestBackOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.post.fail = errors.New("451 try later")
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, "email:a@acme.example")})
	f.ready(t, "acme", "a.csv")
	f.expand(t)
	f.clock.advance(time.Minute)
	start := f.clock.now()
	var waits []time.Duration
	for f.only(t).State == notify.Pending {
		f.dispatch(t)
		m := f.only(t)
		if m.State != notify.Pending {
			break
		}
		waits = append(waits, m.Next.Sub(f.clock.now()))
		f.clock.advance(m.Next.Sub(f.clock.now()) - time.Second)
		f.dispatch(t) // too early
		if again := f.only(t); again.Tries != m.Tries {
			t.Fatalf("tried before its time, after %d tries", m.Tries)
		}
		f.clock.advance(time.Second)
	}
	if got := fmt.Sprint(waits[:5]); got != "[30s 1m0s 2m0s 4m0s 8m0s]" {
		t.Errorf("waits %s", got)
	}
	if took := f.clock.now().Sub(start); took != 3*day || len(waits) < 25 || len(waits) > 45 {
		t.Errorf("given up after %s and %d waits", took, len(waits))
	}
	m := f.only(t)
	if q, err := f.queue(t.Context()); m.State != notify.Dead || err != nil || q.Dead != 1 || q.Pending != 0 || !q.OldestDead.Equal(m.Created) {
		t.Errorf("message %+v, queue %+v, %v", m, q, err)
	}
	f.post.fail = nil
	if err := notify.RetryMessage(t.Context(), f.db, f.clock.now(), m.ID); err != nil {
		t.Fatal(err)
	}
	f.dispatch(t)
	mails := f.post.mails()
	if len(mails) != 1 || mails[0].ID != m.ID || f.only(t).State != notify.Sent {
		t.Errorf("retried: %+v, %+v", mails, f.only(t))
	}
	var settled *notify.SettledError
	if err := notify.RetryMessage(t.Context(), f.db, f.clock.now(), m.ID); !errors.As(err, &settled) {
		t.Errorf("retried again: %v", err)
	}
	if err := notify.RetryMessage(t.Context(), f.db, f.clock.now(), "msg_x"); !errors.Is(err, notify.ErrUnknownMessage) {
		t.Errorf("retried nothing: %v", err)
	}
}

// TestPermanentFailureIsNotTriedAgain, until an operator says so.
func TestPermanentFailureIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.post.fail = permanent{}
	f.check(t, "email:a@acme.example", notify.Dead, 0, "550")
	f.post.fail = nil
	if n, err := notify.RetryDead(t.Context(), f.db, f.clock.now()); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	f.dispatch(t)
	if m := f.only(t); m.State != notify.Sent {
		t.Errorf("%+v", m)
	}
}

func TestChannelThatIsNotSetUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.Channels.Mail = nil
	f.check(t, "email:a@acme.example", notify.Pending, 0, "notify.smtp.host is not set")
}

// TestHangingReceiverHoldsUpNobodyElse and its own messages wait together.
func TestHangingReceiverHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.Gather = 0
	f.Timeout = 400 * time.Millisecond
	hanging := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	good := newReceiver(t, nil)
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, hanging.contact())})
	f.client(t, "globex", contact.Preferences{Contacts: contacts(t, good.contact())})
	for i := range 10 {
		f.ready(t, "acme", fmt.Sprint(i))
		f.ready(t, "globex", fmt.Sprint(i))
	}
	f.dispatch(t)
	if n := len(good.got()); n != 10 {
		t.Errorf("the other one got %d", n)
	}
	if n := len(hanging.got()); n != 1 {
		t.Errorf("the hanging one was called %d times in one turn", n)
	}
	f.dispatch(t)
	if n := len(hanging.got()); n != 1 {
		t.Errorf("its other messages did not wait: %d calls", n)
	}
	if q, err := f.queue(t.Context()); err != nil || q.Pending != 10 || q.Late < 1 || q.Oldest.IsZero() {
		t.Errorf("queue %+v, %v", q, err)
	}
}

// TestPoisonedMessageHoldsUpNoOther of its own target.
func TestPoisonedMessageHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.Gather = 0
	var first sync.Once
	poison := ""
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		first.Do(func() { poison = req.Header.Get("webhook-id") })
		if req.Header.Get("webhook-id") == poison {
			w.WriteHeader(500)
		}
	})
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, r.contact())})
	for i := range 5 {
		f.ready(t, "acme", fmt.Sprint(i))
	}
	f.dispatch(t)
	f.dispatch(t)
	if q, err := f.queue(t.Context()); err != nil || q.Pending != 1 {
		t.Errorf("queue %+v, %v", q, err)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	f.Gather, f.PerMinute = 0, 6
	r := newReceiver(t, nil)
	f.client(t, "acme", contact.Preferences{Contacts: contacts(t, r.contact())})
	for i := range 20 {
		f.ready(t, "acme", fmt.Sprint(i))
	}
	for _, want := range []int{6, 6, 7, 13} {
		f.dispatch(t)
		if n := len(r.got()); n != want {
			t.Errorf("%d calls; want %d", n, want)
		}
		switch want {
		case 6:
			f.clock.advance(5 * time.Second)
		case 7:
			f.clock.advance(time.Minute)
		}
	}
}

// TestTwoGatewaysSendEachMessageOnce: on one catalog.
func TestTwoGatewaysSendEachMessageOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixture(t, e)
		f.Gather = 0
		others := []*notify.Dispatcher{f.Dispatcher, f.dispatcher(t, f.home.Open(t)), f.dispatcher(t, f.home.Open(t))}
		r := newReceiver(t, nil)
		f.client(t, "acme", contact.Preferences{Contacts: contacts(t, r.contact(), r.contact()+"2")})
		const n = 40
		for i := range n {
			f.ready(t, "acme", fmt.Sprint(i))
		}
		var wg sync.WaitGroup
		for _, d := range others {
			d.Gather = 0
			wg.Go(func() {
				for range 6 {
					if _, err := d.Expand(t.Context()); err != nil {
						t.Error(err)
					}
					if err := d.Dispatch(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		seen := map[string]int{}
		for _, c := range r.got() {
			seen[c.id()]++
		}
		for id, times := range seen {
			if times > 1 {
				t.Errorf("message %s was sent %d times", id, times)
			}
		}
		if len(seen) != 2*n {
			t.Errorf("%d messages; want %d", len(seen), 2*n)
		}
	})
}

func TestSMS(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	r := newReceiver(t, nil)
	f.Channels.SMS = newSMS(t, r.URL, "Authorization: Bearer TOKEN\n\nx-sender: Sealdrop\n", `{"to":["{{.To}}"],"text":"{{.Text}}"}`)
	f.check(t, "sms:+4915112345678", notify.Sent, 0, "")
	calls := r.got()
	if len(calls) != 1 {
		t.Fatalf("%d calls", len(calls))
	}
	if h := calls[0].header; h.Get("Authorization") != "Bearer TOKEN" || h.Get("X-Sender") != "Sealdrop" || h.Get("Idempotency-Key") != f.only(t).ID {
		t.Errorf("headers %v", h)
	}
	if !strings.HasPrefix(string(calls[0].body), `{"to":["+4915112345678"],"text":"`) {
		t.Errorf("body %s", calls[0].body)
	}
	if strings.Contains(f.log.String(), "TOKEN") {
		t.Error("the log has the token")
	}
}

func TestSMSThatCanNotWork(t *testing.T) {
	t.Parallel()
	const body = `{"to":"{{.To}}","text":"{{.Text}}"}`
	for name, test := range map[string][3]string{
		"clear":       {"http://sms.example/", "", body},
		"header":      {"https://sms.example/", "Bearer TOKEN", body},
		"injection":   {"https://sms.example/", "X: a\rY: b", body},
		"no-json":     {"https://sms.example/", "", `{"to":{{.To}},"text":"{{.Text}}"}`},
		"no-text":     {"https://sms.example/", "", `{"to":"{{.To}}"}`},
		"no-to":       {"https://sms.example/", "", `{"text":"{{.Text}}"}`},
		"no-template": {"https://sms.example/", "", `{"to":"{{.To}"}`},
		"unknown":     {"https://sms.example/", "", `{"to":"{{.To}}","text":"{{.Text}}","x":"{{.Secret}}"}`},
	} {
		_, err := notify.NewSMS(test[0], test[1], test[2], nil)
		var s *notify.SMSError
		if !errors.As(err, &s) || s.Hint() == "" || strings.Contains(err.Error(), "TOKEN") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
