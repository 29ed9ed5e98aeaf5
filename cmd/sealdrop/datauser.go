package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// checkUser keeps root off a data folder that is another user's: what root makes
// there, the gateway can't read.
func checkUser(data string) error {
	info, err := os.Stat(data)
	if err != nil {
		return fmt.Errorf("looking at the data folder: %w", err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	name := fmt.Sprintf("#%d", owner.Uid)
	if u, err := user.LookupId(strconv.Itoa(int(owner.Uid))); err == nil {
		name = u.Username
	}
	return &advisedError{
		err:    fmt.Errorf("the data folder %s belongs to %s, and this is root", data, name),
		advice: fmt.Sprintf("run it as that user: runuser -u %s -- sealdrop …", name),
	}
}
