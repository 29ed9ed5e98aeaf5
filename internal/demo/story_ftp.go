package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sealdrop/sealdrop/internal/explorer"
)

const (
	// curlRefused is the exit status of curl when a login was refused.
	curlRefused = 67
	// netrc makes a password and keeps it where curl looks for it.
	netrc = `sealdrop password set --client %[1]s --generate >$D/%[1]s/password
echo "machine %[2]s login %[1]s password $(cat $D/%[1]s/password)" >$D/%[1]s/netrc`
)

// curlOver is the command with which a client talks FTP to the gateway.
func (t *tour) curlOver(c client, options, path string) string {
	if c.address != host {
		options = "--interface " + c.address + " " + options
	}
	return fmt.Sprintf("curl -sS --netrc-file $D/%s/netrc %s ftp://%s/%s", c.id, options, t.ftpAddress(), path)
}

// overFTP is for clients that know no sFTP.
func (t *tour) overFTP(context.Context) (chapter, error) {
	const secure = "--ssl-reqd --cacert $D/gateway/data/tls/certificate.pem"
	borealis, sealed := t.borealis(), t.activity()+".pgp"
	return chapter{title: "Clients that know no sFTP", steps: []step{
		{
			say: "FTP is for those who can't use sFTP. A client logs in with a password, which is shown once, when it is made.",
			run: fmt.Sprintf(netrc, borealis.id, host), needs: curl, mute: true,
		},
		{
			say: "It is the same folder, over FTP with TLS.",
			run: t.curlOver(borealis, secure, ""), needs: curl | gpg, want: []string{sealed},
		},
		{
			run:   t.curlOver(borealis, secure+" -o $D/borealis/over-ftp.pgp", sealed) + "\ncmp $D/borealis/over-ftp.pgp $D/borealis/inbox/" + sealed + " && echo the same file",
			needs: curl | sftp | sshKeys | gpg, want: []string{"the same file"},
		},
		{
			say: "Without TLS it does not get in, and is not even asked for its password.",
			run: t.curlOver(borealis, "", ""), needs: curl, exit: curlRefused, want: []string{"530"}, never: []string{".pgp"},
		},
		{
			run:  "sealdrop why --protocol ftp --plain --client borealis --from " + borealis.address,
			exit: 1, want: []string{"plain-not-allowed", "--ftp plain"},
		},
		{
			say: "Windows Explorer knows no TLS. A client that has nothing else can be let in as it is, and the gateway says what that means.",
			run: "sealdrop client set acme --ftp plain", want: []string{"warning"}, show: []string{"warning"},
		},
		{run: fmt.Sprintf(netrc, t.acme().id, host), mute: true},
		{
			say: "What Explorer says to the gateway then, word for word:",
			run: "# Windows Explorer opens ftp://acme@" + t.ftpAddress() + "/ and a file in it",
			do:  t.explore, want: []string{"USER anonymous", "331 ", "227 ", "226 "},
		},
	}}, nil
}

// explore is what Windows Explorer does: it looks at acme's folder and opens a
// file, where there is one: without a PGP key all statements are held.
func (t *tour) explore(ctx context.Context) (string, error) {
	password, err := os.ReadFile(t.folder.join(t.acme().id, "password"))
	if err != nil {
		return "", fmt.Errorf("reading acme's password: %w", err)
	}
	var said, file bytes.Buffer
	c := explorer.Client{Address: t.ftpAddress(), User: t.acme().id, Password: strings.TrimSpace(string(password)), Log: &said}
	defer c.Close()
	entries, err := c.List(ctx, "/")
	if err == nil && len(entries) > 0 {
		err = c.Open(ctx, entries[len(entries)-1].Name, &file)
	}
	return said.String(), err
}
