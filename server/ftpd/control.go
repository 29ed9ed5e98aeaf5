package ftpd

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// command is what the server does about a command of the client. It answers it,
// or forwards it, in this or another form, to the library. It returns false if
// the connection is to be closed.
type command struct {
	run func(s *session, arg string) bool
	// open: it needs no login.
	open bool
	// needs: it needs an argument.
	needs bool
	// anytime: it is carried out while a transfer is under way. All others wait.
	anytime bool
	// help is the syntax, "" for what HELP does not list.
	help string
}

// command carries out one line; false closes the connection.
func (s *session) command(line string) bool {
	verb, arg, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
	verb = strings.ToUpper(verb)
	c, known := s.server.commands[verb]
	if !c.anytime && !s.waitIdle() {
		return false
	}
	loggedIn := s.loggedIn()
	if !loggedIn {
		if s.early++; s.early > maxEarly {
			s.say(421, "Too many commands without a login; closing the connection.")
			return false
		}
	}
	switch {
	case verb == "" && arg == "":
		s.say(500, "An empty line is no command.")
	case !utf8.ValidString(line):
		s.say(501, "The command is not in UTF-8; please set your program to UTF-8.")
	case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }):
		s.say(501, "The command has a control character in it.")
	case !known:
		s.say(500, "There is no such command; HELP lists them.")
	case !loggedIn && !c.open:
		s.say(530, "Please log in with USER and PASS first.")
	case c.needs && strings.TrimSpace(arg) == "":
		s.say(501, "The command needs an argument: "+c.help)
	default:
		return c.run(s, arg)
	}
	return true
}

// abs is the place that an argument means, as the library works it out.
func (s *session) abs(arg string) string {
	if path.IsAbs(arg) {
		return path.Clean(arg)
	}
	return path.Join(s.lib.Path(), arg)
}

// quoted is a path as replies have it (RFC 959, appendix II).
func quoted(place string) string { return `"` + strings.ReplaceAll(place, `"`, `""`) + `"` }

// Texts that the library has for ABOR alone. They come while the replies of the
// transfer may come too.
const (
	abortedText = "Connection closed; transfer aborted"
	aborText    = "ABOR successful; closing transfer connection"
)

// nothingText is our own answer to ABOR.
const nothingText = "Nothing is being transferred any more."

// fromLibrary takes the library's replies. Their texts, which may hold anything
// that an error says, are not passed on: the session knows better what happened.
func (s *session) fromLibrary(p []byte) {
	s.replies.Lock()
	defer s.replies.Unlock()
	s.reply = append(s.reply, p...)
	for {
		line, rest, ok := bytes.Cut(s.reply, []byte("\r\n"))
		if !ok {
			return
		}
		text := string(line)
		s.reply = append(s.reply[:0], rest...)
		code, err := strconv.Atoi(text[:min(3, len(text))])
		if err != nil || len(text) > 3 && text[3] == '-' {
			continue // but the last line of a reply
		}
		s.replied(code, strings.TrimPrefix(text[3:], " "))
	}
}

// replied passes on a reply of the library.
func (s *session) replied(code int, text string) {
	s.mu.Lock()
	r := s.current
	if s.transfer != nil && text != abortedText {
		r = s.transfer
	}
	var err error
	if r != nil {
		err, r.opened = r.err, r.opened || code == 150
	}
	s.mu.Unlock()
	if code == 150 {
		s.idle.Broadcast()
	}
	answered := true
	switch {
	case r == nil: // the greeting
	case text == abortedText:
		text = "The transfer was aborted."
	case text == aborText:
		// What was aborted is put aside first, so that SIZE finds it.
		s.waitClosed(r)
		text = nothingText
	case code >= 400 && err != nil:
		code, text = s.replyTo(err)
	case code == 500:
		s.log.Error("the FTP library failed", "event", "ftp.library-failed", "reply", text)
		code, text = 451, "Something went wrong in the server."
	case r.answer != nil:
		if code, text = r.answer(code); text == "" {
			answered = false
		}
	}
	if answered {
		s.say(code, text)
	}
	if code >= 200 {
		s.transferOver(r)
	}
}

// waitClosed returns when a request's file is closed. The library closes it before
// it has anything more to say of the transfer.
func (s *session) waitClosed(r *request) {
	s.mu.Lock()
	file := r.file
	s.mu.Unlock()
	if file == nil {
		return
	}
	select {
	case <-file:
	case <-s.ctx.Done():
	}
}

// transferOver lets the next command begin, once a transfer had its last reply.
func (s *session) transferOver(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r != nil && r == s.transfer {
		s.transfer = nil
		s.idle.Broadcast()
	}
}

// fixed is an answer of one text, whatever the code.
func fixed(text string) func(int) (int, string) {
	return func(code int) (int, string) { return code, text }
}

func (s *session) forwardf(answer func(int) (int, string), format string, args ...any) bool {
	s.forward(request{line: fmt.Sprintf(format, args...), answer: answer})
	return true
}
