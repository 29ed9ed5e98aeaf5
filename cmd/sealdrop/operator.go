package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/sealdrop/sealdrop/keys"
)

// sessionsDir is where systemd-logind notes who has logged in. Only root writes there.
const sessionsDir = "/run/systemd/sessions"

// operator is who runs the command, for what one may do and another must approve. It
// rests on nothing that the caller chose: the real user id, and the kernel's audit
// login uid, which stays what it was at the login through sudo and su, if the session
// is one that systemd-logind knows. SUDO_USER, which is a variable like any other, and
// a login that nobody vouches for only add to the name.
func operator() keys.Operator {
	o := keys.Operator{UID: int64(os.Getuid()), Login: keys.NoUID}
	claimed := int64(keys.NoUID)
	if text, err := os.ReadFile("/proc/self/loginuid"); err == nil {
		claimed = parseLogin(string(text))
	}
	if session, err := os.ReadFile("/proc/self/sessionid"); err == nil {
		o.Login = vouchedLogin(os.DirFS(sessionsDir), strings.TrimSpace(string(session)), claimed)
	}
	person := o.Login
	if person == keys.NoUID {
		person = o.UID
	}
	name := userName(person)
	o.Actor = "operator:" + name
	if claimed != keys.NoUID && claimed != person {
		o.Actor += " (login: " + userName(claimed) + ")"
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && sudo != name {
		o.Actor += " (sudo: " + plain(sudo) + ")"
	}
	return o
}

func userName(uid int64) string {
	u, err := user.LookupId(strconv.FormatInt(uid, 10))
	if err != nil {
		return fmt.Sprintf("uid-%d", uid)
	}
	return u.Username
}

// vouchedLogin returns login if it is that of a session that systemd-logind knows, and
// else that it is not known: where none was set at the login, as in a container or
// where PAM lacks pam_loginuid, the kernel lets every process set its own, once, and to
// anybody's.
func vouchedLogin(sessions fs.FS, session string, login int64) int64 {
	files, err := fs.ReadDir(sessions, ".")
	if err != nil || login == keys.NoUID {
		return keys.NoUID
	}
	for _, f := range files {
		text, err := fs.ReadFile(sessions, f.Name())
		if err != nil {
			continue // it has ended, or is a pipe's name
		}
		lines := strings.Split(string(text), "\n")
		if slices.Contains(lines, "AUDIT="+session) && slices.Contains(lines, fmt.Sprintf("UID=%d", login)) {
			return login
		}
	}
	return keys.NoUID
}

// parseLogin reads what the kernel says; all ones stand for nobody.
func parseLogin(text string) int64 {
	const unset = 1<<32 - 1
	uid, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil || uid == unset {
		return keys.NoUID
	}
	return int64(uid)
}
