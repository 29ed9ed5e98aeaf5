package ftpd

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
)

// login is what a connection has done to get in.
type login struct {
	attempt Attempt
	asked   bool // for the password of attempt.User
	tries   int
	decided bool // the gate has decided about something
	done    bool
}

const (
	maxUser        = 256
	maxDetail      = 512
	loginIncorrect = "Login incorrect."
	needsTLS       = "This server wants encryption: set your program to \"explicit FTP over TLS\" (AUTH TLS)."
)

// report tells the gate of a connection that ended without having been decided
// about.
func (l *login) report(s *session) {
	if l.decided {
		return
	}
	if l.attempt.Cause == "" {
		l.attempt.Cause = ClosedBeforeLogin
	}
	l.attempt.Software = s.program()
	s.server.cfg.Gate.Refused(context.WithoutCancel(s.ctx), l.attempt)
}

// program is how the client introduced itself.
func (s *session) program() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.software
}

func (s *session) user(arg string) bool {
	l := &s.login
	if l.done {
		s.say(503, "You are logged in already; connect again to be somebody else.")
		return true
	}
	l.attempt.User, l.attempt.Software, l.asked = cut(arg, maxUser), s.program(), false
	answerAt := time.Now().Add(s.server.cfg.FailureDelay)
	if err := s.server.cfg.Gate.Ask(s.ctx, l.attempt); err != nil {
		l.decided = true
		text := loginIncorrect
		if s.tls != nil && !l.attempt.TLS {
			text = needsTLS
		}
		return s.refuse(text, answerAt)
	}
	l.asked = true
	s.say(331, "Please send the password.")
	return true
}

func (s *session) pass(arg string) bool {
	l := &s.login
	switch {
	case l.done:
		s.say(503, "You are logged in already.")
		return true
	case !l.asked:
		s.say(503, "Please send USER first.")
		return true
	}
	l.asked, l.decided = false, true
	answerAt := time.Now().Add(s.server.cfg.FailureDelay)
	client, err := s.server.cfg.Gate.Login(s.ctx, l.attempt, arg, s.end)
	if err != nil {
		text := loginIncorrect
		if r, ok := errors.AsType[*Refusal](err); ok && r.Text != "" {
			text = r.Text
		}
		return s.refuse(text, answerAt)
	}
	l.done = true
	s.mu.Lock()
	s.client = client
	s.log = s.log.With("client", client.Client()) // no transfer reads it yet
	s.mu.Unlock()
	s.conn.Authenticated()
	// The library learns of the login only now, and of no password at all.
	s.forward(request{line: "USER " + client.Client(), answer: fixed("")})
	s.forward(request{line: "PASS", answer: fixed("Welcome. This is your own folder.")})
	return true
}

// end is the gate's way to end a session. It may be called at any time.
func (s *session) end(reason string) {
	s.mu.Lock()
	log := s.log
	s.mu.Unlock()
	log.Info("ending the session", "event", "connection.ended", "reason", reason)
	s.cancel()
	_ = s.conn.Close()
}

// refuse answers a login that was refused, at a time that says nothing about the
// reason. Who has proved nothing learns nothing from the text either.
func (s *session) refuse(text string, at time.Time) bool {
	select {
	case <-time.After(time.Until(at)):
	case <-s.ctx.Done():
		return false
	}
	if s.login.tries++; s.login.tries >= s.server.cfg.MaxTries {
		s.say(421, text+" Too many tries; closing the connection.")
		return false
	}
	s.say(530, text)
	return true
}

func (s *session) auth(arg string) bool {
	switch kind := strings.ToUpper(arg); {
	case s.tls == nil:
		s.say(502, "This server offers no TLS.")
	case s.login.attempt.TLS:
		s.say(503, "The connection is encrypted already.")
	case s.login.done:
		s.say(503, "AUTH has to come before the login.")
	case kind != "TLS" && kind != "TLS-C" && kind != "SSL":
		s.say(504, "This server knows AUTH TLS only.")
	case s.in.Buffered() > 0:
		// What came in the clear together with AUTH would be taken for something
		// that was said under TLS.
		s.log.Warn("commands were sent in the clear behind AUTH TLS; closing the connection", "event", "ftp.injection")
		s.say(421, "Nothing may follow AUTH before TLS; closing the connection.")
		return false
	default:
		s.say(234, "Go ahead with TLS.")
		s.login.asked = false
		return s.startTLS(false)
	}
	return true
}

func (s *session) pbsz(string) bool {
	if !s.login.attempt.TLS {
		s.say(503, "PBSZ needs AUTH TLS first.")
		return true
	}
	s.mu.Lock()
	s.sized = true
	s.mu.Unlock()
	s.say(200, "PBSZ=0")
	return true
}

func (s *session) prot(arg string) bool {
	s.mu.Lock()
	sized := s.sized || s.private // an implicit connection needs no PBSZ
	s.mu.Unlock()
	switch level := strings.ToUpper(arg); {
	case !s.login.attempt.TLS:
		s.say(503, "PROT needs AUTH TLS first.")
	case !sized:
		s.say(503, "PROT needs PBSZ 0 first.")
	case level == "P":
		s.setPrivate(true)
		s.say(200, "Data connections will be encrypted.")
	case level == "C" && s.login.done && s.clearRefused():
		s.say(534, "Data connections must be encrypted: PROT P.")
	case level == "C":
		s.setPrivate(false)
		s.say(200, "Data connections will not be encrypted.")
	case level == "S" || level == "E":
		s.say(536, "There is PROT P and PROT C only.")
	default:
		s.say(504, "There is PROT P and PROT C only.")
	}
	return true
}

func (s *session) setPrivate(private bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private = private
}

// cut bounds a stranger's text, at the edge of a character.
func cut(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// printable is cut, and without what could harm a terminal or make a line read in
// another order.
func printable(text string, most int) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, cut(text, most))
}
