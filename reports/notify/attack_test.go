package notify_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports/notify"
)

// TestAttackReceiverEchoesTheToken: a receiver says what it was sent. Its answer is
// kept, shown and logged; the token that a request carries is in none of that.
func TestAttackReceiverEchoesTheToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t, databasetest.SQLite)
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "no page %s?%s for %q", req.URL.Path, req.URL.RawQuery, req.Header.Get("Authorization"))
	})
	f.Channels.SMS = newSMS(t, r.URL+"/v1/SECRETPATH?key=SECRETQUERY", "Authorization: Bearer SECRETTOKEN\n", `{"to":["{{.To}}"],"text":"{{.Text}}"}`)
	f.check(t, "sms:+4915112345678", notify.Pending, 0, "the receiver answered 404")
	if m := f.only(t); strings.Contains(m.Error, "SECRET") || !strings.Contains(m.Error, "no page") {
		t.Errorf("kept: %s", m.Error)
	}
	if strings.Contains(f.log.String(), "SECRET") {
		t.Errorf("logged: %s", f.log.String())
	}
}
