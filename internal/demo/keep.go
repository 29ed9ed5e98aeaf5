package demo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var errGatewayEnded = errors.New("the gateway has ended by itself")

var fingerprint = regexp.MustCompile(`fingerprint="(SHA256:[^"]+)"`)

// hostKeys are the host keys that the gateway's log names.
func hostKeys(log string) []string {
	var keys []string
	for _, m := range fingerprint.FindAllStringSubmatch(log, -1) {
		keys = append(keys, m[1])
	}
	return keys
}

// keepRunning starts the gateway again, says how to connect to it, and waits
// until ctx is done.
func (t *tour) keepRunning(ctx context.Context) error {
	t.conclude()
	t.story.title("The gateway stays")
	logged := int64(len(t.logFrom(0)))
	if err := t.restart(ctx); err != nil {
		if ctx.Err() != nil {
			return ErrInterrupted
		}
		return err
	}
	t.explainFileZilla(logged)
	t.explainShell()
	t.story.say("Ctrl-C ends it all.")
	select {
	case <-ctx.Done():
		return nil
	case <-t.gateway.ended:
		return &Mismatch{Command: t.serveCommand(), Problem: errGatewayEnded.Error(), Output: t.logFrom(logged), Dir: t.folder.path}
	}
}

// restart starts the gateway again after it was stopped to be copied. Its port
// may have been taken by another program since.
func (t *tour) restart(ctx context.Context) error {
	reason, err := t.startGateway(ctx)
	if err != nil || reason == "" {
		return err
	}
	t.story.say(fmt.Sprintf("It serves on port %d now: %s.", t.port, reason))
	return t.tell(ctx, chapter{steps: []step{t.noteHostKey()}})
}

// explainFileZilla says what to enter. The gateway's log, from the offset on,
// knows the host keys.
func (t *tour) explainFileZilla(logged int64) {
	t.story.say("In FileZilla: File, Site Manager, New site, and then")
	for _, row := range [][2]string{
		{"Protocol", "SFTP - SSH File Transfer Protocol"},
		{"Host", host},
		{"Port", strconv.Itoa(t.port)},
		{"Logon Type", "Key file"},
		{"User", t.acme().id},
		{"Key file", t.keyFile()},
	} {
		t.story.output(fmt.Sprintf("%-12s%s", row[0], row[1]), nil)
	}
	t.story.blank()
	t.story.say("It asks about the host key. It is the right one if its fingerprint is among these:")
	for _, key := range hostKeys(t.logFrom(logged)) {
		t.story.output(key, nil)
	}
	t.story.blank()
	if t.tools.have(puttygen | sshKeys) {
		t.story.say("PuTTY, WinSCP and older FileZillas want the key in PuTTY's form:")
		t.story.command("puttygen $D/acme/ssh-key -o $D/acme/ssh-key.ppk")
		t.story.blank()
	}
}

// explainShell says what to type.
func (t *tour) explainShell() {
	if t.tools.have(sftp | sshKeys) {
		t.story.say("Or from a shell:")
		t.story.command(fmt.Sprintf("sftp -F $D/ssh.conf -P %d -i $D/acme/ssh-key acme@%s", t.port, host))
		t.story.blank()
	}
	t.story.say(fmt.Sprintf("Windows Explorer, or any FTP client: ftp://acme@%s, with the password in %s.", t.ftpAddress(), t.folder.join(t.acme().id, "password")))
	t.story.say("Deliver more, look around: the commands above work in another terminal, once these lines were given to it:")
	for _, v := range t.variables() {
		t.story.command(v)
	}
	t.story.command("export " + strings.Join(t.settings(), " "))
	t.story.blank()
}

// keyFile is where acme's private key is.
func (t *tour) keyFile() string {
	if !t.tools.have(sshKeys) {
		return "(none: neither ssh-keygen nor puttygen was there to make one)"
	}
	return t.folder.join(t.acme().id, "ssh-key")
}
