package ftpd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

// commands returns the table of all commands that the server knows.
func commands() map[string]command {
	refused := func(code int, text string) func(*session, string) bool {
		return func(s *session, _ string) bool { s.say(code, text); return true }
	}
	table := map[string]command{
		"USER": {run: (*session).user, open: true, needs: true, help: "USER name"},
		"PASS": {run: (*session).pass, open: true, help: "PASS password"},
		"ACCT": {run: refused(202, "There are no accounts here."), open: true},
		"AUTH": {run: (*session).auth, open: true, needs: true, help: "AUTH TLS"},
		"PBSZ": {run: (*session).pbsz, open: true, needs: true, help: "PBSZ 0"},
		"PROT": {run: (*session).prot, open: true, needs: true, help: "PROT P"},
		"CCC":  {run: refused(534, "The control connection stays encrypted."), open: true},
		"QUIT": {run: (*session).quit, open: true, help: "QUIT"},
		"REIN": {run: refused(502, "Please connect again instead."), open: true},

		"NOOP": {run: refused(200, "Still here."), open: true, help: "NOOP"},
		"SYST": {run: refused(215, "UNIX Type: L8"), open: true, help: "SYST"},
		"FEAT": {run: (*session).features, open: true, help: "FEAT"},
		"OPTS": {run: (*session).options, open: true, needs: true, help: "OPTS UTF8 ON"},
		"CLNT": {run: (*session).introduce, open: true, needs: true, help: "CLNT program"},
		"HELP": {run: (*session).help, open: true, help: "HELP [command]"},
		"HOST": {run: refused(504, "This server has one name only."), open: true},
		"LANG": {run: refused(504, "This server speaks English only."), open: true},
		"STAT": {run: (*session).status, anytime: true, help: "STAT [path]"},
		"SITE": {run: (*session).site, needs: true, help: "SITE CHMOD mode path"},
		"SMNT": {run: refused(502, "There is one folder only.")},

		"TYPE": {run: (*session).setType, needs: true, help: "TYPE I"},
		"STRU": {run: oneOf("STRU", "F"), needs: true, help: "STRU F"},
		"MODE": {run: oneOf("MODE", "S"), needs: true, help: "MODE S"},
		"ALLO": {run: (*session).allocate, needs: true, help: "ALLO bytes"},
		"AVBL": {run: (*session).available, help: "AVBL"},
		"PASV": {run: (*session).passive, help: "PASV"},
		"EPSV": {run: (*session).extendedPassive, help: "EPSV"},
		"PORT": {run: refused(502, activeText)},
		"EPRT": {run: refused(502, activeText)},
		"LPRT": {run: refused(502, activeText)},

		"SIZE": {run: (*session).size, needs: true, help: "SIZE path"},
		"MDTM": {run: (*session).modified, needs: true, help: "MDTM path"},
		"MFMT": {run: (*session).setModified, needs: true, help: "MFMT YYYYMMDDhhmmss path"},
		"MLST": {run: (*session).mlst, help: "MLST [path]"},
		"REST": {run: (*session).restart, needs: true, help: "REST bytes"},
		"RETR": {run: (*session).retrieve, needs: true, help: "RETR path"},
		"STOR": {run: (*session).store, needs: true, help: "STOR path"},
		"STOU": {run: (*session).storeUnique, help: "STOU"},
		"APPE": {run: (*session).appendTo, needs: true, help: "APPE path"},
		"ABOR": {run: (*session).abort, anytime: true, help: "ABOR"},
		"DELE": {run: (*session).remove, needs: true, help: "DELE path"},
		"RNFR": {run: (*session).renameFrom, needs: true, help: "RNFR path"},
		"RNTO": {run: (*session).renameTo, needs: true, help: "RNTO path"},
		"LIST": {run: listed(formatLIST), help: "LIST [-a] [path]"},
		"NLST": {run: listed(formatNLST), help: "NLST [path or pattern]"},
		"MLSD": {run: (*session).mlsd, help: "MLSD [path]"},
	}
	for _, folder := range []struct {
		names string
		command
	}{
		{"CWD XCWD", command{run: (*session).changeFolder, needs: true, help: "CWD path"}},
		{"CDUP XCUP", command{run: (*session).parentFolder, help: "CDUP"}},
		{"PWD XPWD", command{run: (*session).where, help: "PWD"}},
		{"MKD XMKD", command{run: (*session).makeFolder, needs: true, help: "MKD path"}},
		{"RMD XRMD", command{run: (*session).removeFolder, needs: true, help: "RMD path"}},
	} {
		for name := range strings.FieldsSeq(folder.names) {
			table[name] = folder.command
		}
	}
	return table
}

const activeText = "Active mode is off; please set your program to passive mode (PASV or EPSV)."

func oneOf(verb, value string) func(*session, string) bool {
	return func(s *session, arg string) bool {
		if strings.EqualFold(arg, value) {
			s.say(200, verb+" is "+value+".")
		} else {
			s.say(504, "There is "+verb+" "+value+" only.")
		}
		return true
	}
}

// fail answers a command that failed.
func (s *session) fail(err error) bool {
	s.say(s.replyTo(err))
	return true
}

// name reads a path that a client sent.
func (s *session) name(arg string) (reports.Name, error) { return reports.ParseName(s.abs(arg)) }

func (s *session) folder() Folder { return s.client.Folder() }

// Information.

func (s *session) features(string) bool {
	lines := []string{" UTF8", " SIZE", " MDTM", " MFMT", " MLST " + s.facts.feature(), " REST STREAM", " TVFS", " EPSV", " AVBL", " CLNT"}
	if s.tls != nil {
		lines = append(lines, " AUTH TLS", " PBSZ", " PROT")
	}
	s.sayLines(211, "Features:", lines, "End")
	return true
}

func (s *session) options(arg string) bool {
	what, value, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(what) {
	case "UTF8", "UTF-8":
		if strings.EqualFold(value, "OFF") {
			s.say(504, "Names are in UTF-8 only.")
		} else {
			s.say(200, "Names are in UTF-8.")
		}
	case "MLST":
		s.facts = parseFacts(value)
		s.say(200, strings.TrimSpace("MLST OPTS "+s.facts.chosen()))
	default:
		s.say(501, "There is no such option.")
	}
	return true
}

func (s *session) introduce(arg string) bool {
	s.mu.Lock()
	s.software = printable(arg, maxUser)
	s.mu.Unlock()
	s.say(200, "Nice to meet you.")
	return true
}

func (s *session) help(arg string) bool {
	if c, ok := s.server.commands[strings.ToUpper(strings.TrimSpace(arg))]; ok && c.help != "" {
		s.say(214, "Syntax: "+c.help)
		return true
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.server.commands)) {
		if s.server.commands[name].help != "" {
			names = append(names, name)
		}
	}
	var lines []string
	for row := range slices.Chunk(names, 10) {
		lines = append(lines, " "+strings.Join(row, " "))
	}
	s.sayLines(214, "These commands are known; HELP with one of them tells its syntax:", lines, "End")
	return true
}

func (s *session) status(arg string) bool {
	if arg != "" {
		return s.waitIdle() && s.statusOf(arg)
	}
	protection := "in the clear"
	if s.login.attempt.TLS {
		protection = "encrypted"
	}
	s.mu.Lock()
	busy, private := s.transfer != nil, s.private
	s.mu.Unlock()
	lines := []string{" Logged in as " + s.client.Client(), " The control connection is " + protection}
	if private {
		lines = append(lines, " Data connections will be encrypted")
	}
	if busy {
		lines = append(lines, " A transfer is under way")
	}
	s.sayLines(211, "Status of this connection:", lines, "End")
	return true
}

func (s *session) site(arg string) bool {
	verb, _, _ := strings.Cut(arg, " ")
	switch strings.ToUpper(verb) {
	case "CHMOD", "UMASK":
		s.say(200, "Accepted; every file here is yours alone anyway.")
	case "HELP":
		s.say(214, "SITE knows CHMOD, which changes nothing.")
	default:
		s.say(504, "There is no such SITE command.")
	}
	return true
}

func (s *session) size(arg string) bool {
	name, err := s.name(arg)
	if err != nil {
		return s.fail(err)
	}
	e, err := s.folder().Stat(s.ctx, name)
	if err == nil && e.Folder {
		err = reports.ErrIsFolder
	}
	if err != nil {
		return s.fail(err)
	}
	s.say(213, strconv.FormatInt(e.Size, 10))
	return true
}

func (s *session) modified(arg string) bool {
	name, err := s.name(arg)
	if err != nil {
		return s.fail(err)
	}
	e, err := s.folder().Stat(s.ctx, name)
	if err != nil {
		return s.fail(err)
	}
	s.say(213, e.ModTime.UTC().Format(timeFormat))
	return true
}

func (s *session) setModified(arg string) bool {
	stamp, place, _ := strings.Cut(arg, " ")
	at, err := time.Parse(timeFormat, stamp) // takes fractions of a second too
	if err != nil || place == "" {
		s.say(501, "The command is: MFMT YYYYMMDDhhmmss path")
		return true
	}
	name, err := s.name(place)
	if err == nil {
		_, err = s.folder().Stat(s.ctx, name)
	}
	if err == nil {
		err = s.folder().Chtimes(s.ctx, name, at)
	}
	if err != nil {
		return s.fail(err)
	}
	s.say(213, "Modify="+stamp+"; "+place)
	return true
}

// Folders.

func (s *session) where(string) bool {
	s.say(257, quoted(s.lib.Path())+" is the current folder.")
	return true
}

func (s *session) here(code int) (int, string) {
	return code, quoted(s.lib.Path()) + " is the current folder."
}

func (s *session) changeFolder(arg string) bool { return s.forwardf(s.here, "CWD %s", arg) }
func (s *session) parentFolder(string) bool     { return s.forwardf(s.here, "CDUP") }

func (s *session) makeFolder(arg string) bool {
	return s.forwardf(fixed(quoted(s.abs(arg))+" was made."), "MKD %s", arg)
}

func (s *session) removeFolder(arg string) bool {
	return s.forwardf(fixed("The folder was removed."), "RMD %s", arg)
}

func (s *session) remove(arg string) bool {
	return s.forwardf(fixed("The file was removed."), "DELE %s", arg)
}

func (s *session) renameFrom(arg string) bool {
	return s.forwardf(fixed("Now RNTO, please."), "RNFR %s", arg)
}

func (s *session) renameTo(arg string) bool {
	return s.forwardf(func(code int) (int, string) {
		if code >= 400 {
			return code, "RNFR has to come first."
		}
		return code, "It has its new name."
	}, "RNTO %s", arg)
}

func (s *session) quit(string) bool {
	return s.forwardf(fixed("Goodbye."), "QUIT")
}

// Transfers.

func (s *session) setType(arg string) bool {
	switch strings.ToUpper(strings.ReplaceAll(arg, " ", "")) {
	case "I", "L8":
		s.say(200, "Type is binary.")
	case "A", "AN":
		s.say(200, "Type is ASCII; files go over byte by byte all the same.")
	default:
		s.say(504, "There is TYPE I and TYPE A only.")
	}
	return true
}

func (s *session) allocate(arg string) bool {
	number, _, _ := strings.Cut(arg, " ")
	bytes, err := strconv.ParseInt(number, 10, 64)
	if err != nil || bytes < 0 {
		s.say(501, "The command is: ALLO bytes")
		return true
	}
	u, err := s.folder().Usage(s.ctx)
	if err == nil && bytes > u.FreeBytes {
		err = reports.ErrNoSpace
		if u.ByQuota {
			err = reports.ErrQuota
		}
	}
	if err != nil {
		return s.fail(err)
	}
	s.say(200, "There is room for it.")
	return true
}

func (s *session) available(string) bool {
	u, err := s.folder().Usage(s.ctx)
	if err != nil {
		return s.fail(err)
	}
	s.say(213, strconv.FormatInt(u.FreeBytes, 10))
	return true
}

func (s *session) restart(arg string) bool {
	offset, err := strconv.ParseUint(arg, 10, 62)
	if err != nil {
		s.say(501, "The command is: REST bytes")
		return true
	}
	s.mu.Lock()
	s.offset = int64(offset)
	s.mu.Unlock()
	s.say(350, fmt.Sprintf("The next transfer starts at byte %d.", offset))
	return true
}

// move forwards a transfer, unless it could not have a data connection.
func (s *session) move(line, opening string) bool {
	s.mu.Lock()
	data := s.data
	s.mu.Unlock()
	switch {
	case data == nil:
		s.say(425, "Please send PASV or EPSV first.")
	case !s.protected() && s.clearRefused():
		s.say(522, "Data connections must be encrypted: PROT P.")
	default:
		s.forward(request{line: line, transfer: true, answer: func(code int) (int, string) {
			switch {
			case code == 150:
				return code, opening
			case code == 226:
				return code, "Transfer complete."
			default:
				return 451, "The transfer failed."
			}
		}})
		return true
	}
	s.takeOffset()
	return true
}

func (s *session) retrieve(arg string) bool { return s.move("RETR "+arg, "Here it comes.") }
func (s *session) store(arg string) bool    { return s.move("STOR "+arg, "Ready for it.") }
func (s *session) appendTo(arg string) bool { return s.move("APPE "+arg, "Ready for it.") }

// storeUnique stores under a name of the server's choosing, which the reply tells
// (RFC 1123, section 4.1.2.9).
func (s *session) storeUnique(string) bool {
	name := "upload-" + strings.ToLower(rand.Text())
	s.takeOffset()
	return s.move("STOR "+name, "FILE: "+name)
}

// takeOffset returns what REST said, once.
func (s *session) takeOffset() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset := s.offset
	s.offset = 0
	return offset
}

// abort is forwarded if a transfer is under way for sure. Before, and after one
// that was refused, the library would write two replies at once.
func (s *session) abort(string) bool {
	s.mu.Lock()
	data := s.data
	unopened := s.transfer != nil && !s.transfer.opened
	if s.transfer != nil {
		s.transfer.aborted = true
	}
	s.mu.Unlock()
	if unopened && data != nil {
		data.place.close() // nobody waits for the client any more
	}
	s.mu.Lock()
	for s.transfer != nil && !s.transfer.opened && !s.ended && s.ctx.Err() == nil {
		s.idle.Wait()
	}
	data = s.data
	underWay := s.transfer != nil
	s.mu.Unlock()
	if underWay {
		return s.forwardf(nil, "ABOR")
	}
	if data != nil {
		_ = data.Close()
	}
	s.say(226, nothingText)
	return true
}

func (s *session) passive(string) bool {
	switch {
	case s.epsvAll:
		s.say(503, "After EPSV ALL there is EPSV only.")
	case !s.local.Addr().Is4():
		s.say(425, "PASV is for IPv4; please use EPSV.")
	default:
		// EPSV and PASV differ in nothing but the reply.
		return s.forwardf(func(code int) (int, string) {
			if code >= 400 {
				return 425, "No data port is free; please try again."
			}
			a := s.announced().Addr().As4()
			port := s.announced().Port()
			return 227, fmt.Sprintf("Entering Passive Mode (%d,%d,%d,%d,%d,%d)", a[0], a[1], a[2], a[3], port>>8, port&0xff)
		}, "EPSV")
	}
	return true
}

func (s *session) extendedPassive(arg string) bool {
	family := "1"
	if s.local.Addr().Is6() {
		family = "2"
	}
	switch strings.ToUpper(arg) {
	case "ALL":
		s.epsvAll = true
		s.say(200, "EPSV only from now on.")
		return true
	case "", family:
	case "1", "2":
		s.say(522, "This connection has another protocol: ("+family+")")
		return true
	default:
		s.say(501, "The command is: EPSV, or EPSV "+family)
		return true
	}
	return s.forwardf(func(code int) (int, string) {
		if code >= 400 {
			return 425, "No data port is free; please try again."
		}
		return code, fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", s.announced().Port())
	}, "EPSV")
}

// replyTo is the reply for an error; what is internal goes to the log.
func (s *session) replyTo(err error) (code int, text string) {
	s.tellOfData(err)
	for _, r := range replies() {
		if errors.Is(err, r.err) {
			return r.code, r.text
		}
	}
	if errors.Is(err, reports.ErrName) {
		text := err.Error()
		if i := strings.Index(text, reports.ErrName.Error()); i > 0 {
			text = text[i:]
		}
		return 553, text
	}
	if isNetwork(err) {
		return 426, "The data connection broke off."
	}
	if s.ctx.Err() == nil {
		s.log.Error("a command failed", "event", "ftp.command-failed", "error", err)
	}
	return 451, "Something went wrong in the server."
}

// tellOfData tells the gate of a data connection that was refused for how the client
// protects it.
func (s *session) tellOfData(err error) {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	switch {
	case client == nil:
	case errors.Is(err, errNotResumed):
		client.DataRefused(NotResumed)
	case errors.Is(err, errHandshake):
		client.DataRefused(DataTLSFailed)
	case errors.Is(err, errClearData):
		client.DataRefused(InTheClear)
	}
}

// replies maps what a folder, or this package, may answer with. The first that
// fits is taken.
func replies() []struct {
	err  error
	code int
	text string
} {
	return []struct {
		err  error
		code int
		text string
	}{
		{errUnreachable, 425, "Your program did not connect to the announced port."},
		{errHandshake, 425, "TLS could not be set up on the data connection."},
		{errNotResumed, 522, "The data connection must resume the TLS session of the control connection."},
		{errClearData, 522, "Data connections must be encrypted: PROT P."},
		{errTruncated, 426, "The data connection ended without ending TLS, so the file may be cut off; it was not stored."},
		{errGone, 426, "The connection was lost, so the file may be cut off; it was not stored."},
		{errStalled, 426, "Nothing moved for too long; the transfer was ended."},
		{errAborted, 426, "The transfer was aborted."},
		{errPastEnd, 554, "The restart position is beyond the end of the file."},
		{errNoPort, 425, "No data port is free; please try again."},
		{errSessionOver, 421, "The session is over."},
		{reports.ErrNoSpace, 452, "There is no space left on the server."},
		{reports.ErrQuota, 552, "The quota is used up; the file does not fit in."},
		{reports.ErrTooLarge, 552, "The file is too large."},
		{reports.ErrNotResumable, 550, reports.ErrNotResumable.Error()},
		{reports.ErrBusy, 450, "The name is being written by another session."},
		{reports.ErrOnHold, 550, "The file is on hold and can't be changed."},
		{reports.ErrNotFolder, 550, "It is not a folder."},
		{reports.ErrIsFolder, 550, "It is a folder."},
		{reports.ErrNotEmpty, 550, "The folder is not empty."},
		{reports.ErrIncomplete, 550, reports.ErrIncomplete.Error()},
		{fs.ErrNotExist, 550, "There is no such file or folder."},
		{fs.ErrExist, 550, "The name is taken."},
		{fs.ErrPermission, 550, "That is not permitted."},
		{fs.ErrInvalid, 501, "The request is not valid."},
	}
}
