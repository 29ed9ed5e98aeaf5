package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/sealdrop/sealdrop/keys"
)

// operator is who runs the command, for what one may do and another must approve. It
// rests on nothing that the caller chose: the kernel's audit login uid, which stays
// what it was at the login through sudo and su and can't be set anew without
// CAP_AUDIT_CONTROL, and the real user id. SUDO_USER, which is a variable like any
// other, only adds to the name.
func operator() keys.Operator {
	o := keys.Operator{UID: int64(os.Getuid()), Login: keys.NoUID}
	if text, err := os.ReadFile("/proc/self/loginuid"); err == nil {
		o.Login = parseLogin(string(text))
	}
	person := o.Login
	if person == keys.NoUID {
		person = o.UID
	}
	name := fmt.Sprintf("uid-%d", person)
	if u, err := user.LookupId(strconv.FormatInt(person, 10)); err == nil {
		name = u.Username
	}
	o.Actor = "operator:" + name
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && sudo != name {
		o.Actor += " (sudo: " + plain(sudo) + ")"
	}
	return o
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
