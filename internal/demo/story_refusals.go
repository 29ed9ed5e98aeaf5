package demo

import (
	"context"
	"fmt"
)

// nobody is an address that is on no client's list.
const nobody = "127.0.0.9"

// sshFailed is the exit status of sftp when it did not get in.
const sshFailed = 255

// refuse shows what somebody gets who should get nothing.
func (t *tour) refuse(context.Context) (chapter, error) {
	ch := chapter{title: "What a stranger gets"}
	ch.steps = append(ch.steps, t.wrongAddresses()...)
	ch.steps = append(ch.steps, t.wrongKeys()...)
	ch.steps = append(ch.steps, t.otherFolder()...)
	return ch, nil
}

func (t *tour) wrongAddresses() []step {
	acme, other := t.acme(), t.borealis().address
	from := func(address string) string { return t.sftp(acme, "-o BindAddress="+address+" ", "ls") }
	return []step{
		{
			say: "An address on nobody's list: the connection is closed before SSH has even begun, right key or not.",
			run: from(nobody), needs: sftp | sshKeys, exit: sshFailed, never: []string{"Permission denied", ".pgp"},
			show: []string{"kex_exchange", "Connection closed by", "Connection reset by"},
		},
		{
			run: "grep 'connection refused' $D/gateway.log", needs: sftp | sshKeys, soon: true,
			want: []string{"cause=address-not-admitted address=" + nobody},
		},
		{
			say: "acme's key from an address that only borealis may use. Whoever proves a right key is told what is wrong.",
			run: from(other), needs: sftp | sshKeys, exit: sshFailed, want: []string{other + " is not on the list", "Permission denied"},
			show: []string{"not on the list", "Permission denied"},
		},
		{
			say: "The operator asks why, and is told what to do.",
			run: "sealdrop why --client acme --from " + other, exit: 1, want: []string{"address-not-allowed", "What to do"},
		},
		{run: "sealdrop why --client acme --from " + nobody, exit: 1, want: []string{"address-not-allowed", nobody}},
	}
}

func (t *tour) wrongKeys() []step {
	return []step{
		{
			say: "Another key than acme's, from acme's address. Who has proved nothing is told nothing.",
			run: fmt.Sprintf("sftp -F $D/ssh.conf -P %d -i $D/borealis/ssh-key -b - acme@%s <<END\nls\nEND", t.port, host), needs: sftp | sshKeys,
			exit: sshFailed, want: []string{"Permission denied"}, never: []string{".pgp"}, show: []string{"Permission denied"},
		},
		{
			run: "sealdrop why --client acme --from " + host + " --key $D/borealis/ssh-key.pub", needs: sshKeys,
			exit: 1, want: []string{"key-unknown", "borealis"},
		},
	}
}

func (t *tour) otherFolder() []step {
	return []step{
		{
			say:   "Another client's folder: there is no name for it. acme's folder is all that there is in acme's world.",
			run:   t.sftp(t.acme(), "", "ls ..", "-ls /borealis", "-cd ../borealis", "-get ../borealis/"+t.activity()+".pgp $D/acme/stolen"),
			needs: sftp | sshKeys, want: []string{"request.txt", "not found"},
		},
		{
			say: "And if a file went astray, it would be of no use.",
			run: "gpg --homedir $D/borealis/gnupg --decrypt $D/acme/inbox/" + t.activity() + ".pgp", needs: sftp | sshKeys | gpg,
			exit: 2, want: []string{"decryption failed"}, show: []string{"decryption failed"},
		},
	}
}
