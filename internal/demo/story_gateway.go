package demo

import (
	"context"
	"fmt"
)

// setUp makes the gateway.
func (t *tour) setUp(context.Context) (chapter, error) {
	return chapter{title: "A gateway", steps: []step{
		{
			say:  "One command makes the configuration, the data folder and the gateway's own keys.",
			run:  "sealdrop init --dir $D/gateway",
			want: []string{"configuration", "ssh-ed25519", "ssh-rsa"},
			show: []string{"configuration", "data folder", "host key"},
		},
		{
			say: "Each setting is explained in the file, and a mistake in it is found before it matters.",
			run: "sealdrop config check",
		},
	}}, nil
}

// makeKeys adds the clients, and gives each an SSH key to log in with.
func (t *tour) makeKeys(context.Context) (chapter, error) {
	ch := chapter{title: "Two clients"}
	for i, c := range t.clients() {
		s := step{
			run:  fmt.Sprintf("sealdrop client add %s --name %q --allow %s", c.id, c.name, c.address),
			want: []string{c.address}, show: []string{"name ", "allow "},
		}
		if i == 0 {
			s.say = "A client's id is the user name that it logs in with, and it gets in from its own addresses only."
		}
		ch.steps = append(ch.steps, s)
	}
	ch.steps = append(ch.steps, t.sshKeys()...)
	ch.steps = append(ch.steps, step{
		say: "The clients send the public halves, each in the form that its program writes. The gateway finds out what they are.",
		run: "sealdrop key import --client acme $D/acme/ssh-key.pub", needs: sshKeys, want: []string{"added", "ssh-rsa 2048"},
	}, step{
		run: "sealdrop key import --client borealis $D/borealis/ssh-key.pub", needs: sshKeys, want: []string{"added", "ssh-rsa 2048"},
	})
	return ch, nil
}

// sshKeys makes both clients' SSH keys: acme's with OpenSSH and borealis's with
// PuTTY, or with the one of them that is there.
func (t *tour) sshKeys() []step {
	acme, borealis := t.acme(), t.borealis()
	switch {
	case !t.tools.have(sshKeys):
		return []step{{say: "The clients' own folders:", run: "mkdir $D/acme $D/borealis"}}
	case !t.tools.have(puttygen):
		return []step{openSSHKey(acme), openSSHKey(borealis)}
	case !t.tools.have(sshKeygen):
		return []step{puttyKey(acme), puttyKey(borealis)}
	}
	return []step{openSSHKey(acme), puttyKey(borealis)}
}

func openSSHKey(c client) step {
	return step{
		say: c.name + " makes an SSH key with OpenSSH.",
		run: fmt.Sprintf("mkdir $D/%[1]s\nssh-keygen -q -t rsa -b 2048 -N '' -C %[1]s -f $D/%[1]s/ssh-key", c.id),
	}
}

func puttyKey(c client) step {
	return step{
		say: c.name + " makes an SSH key with PuTTY. The last line is for the sftp command further down.",
		run: fmt.Sprintf(`mkdir $D/%[1]s
puttygen -q -t rsa -b 2048 --new-passphrase /dev/null -C %[1]s -o $D/%[1]s/ssh-key.ppk
puttygen $D/%[1]s/ssh-key.ppk -p -o $D/%[1]s/ssh-key.pub
puttygen $D/%[1]s/ssh-key.ppk -O private-openssh -o $D/%[1]s/ssh-key`, c.id),
	}
}

// serve starts the gateway.
func (t *tour) serve(ctx context.Context) (chapter, error) {
	reason, err := t.startGateway(ctx)
	if err != nil {
		return chapter{}, err
	}
	say := fmt.Sprintf("The gateway serves sFTP on port 32, and FTP on port %d.", t.ftpPort)
	if reason != "" {
		say = fmt.Sprintf("The gateway serves sFTP on port %d (%s), and FTP on port %d.", t.port, reason, t.ftpPort)
	}
	log := func(context.Context) (string, error) { return t.logFrom(0), nil }
	return chapter{title: "The gateway at work", steps: []step{
		{say: say, run: t.serveCommand(), do: log, show: []string{"msg=listening"}},
		t.noteHostKey(),
	}}, nil
}

func (t *tour) noteHostKey() step {
	return step{
		say: "A client notes the gateway's host key once, so that nobody else can pass for it.",
		run: fmt.Sprintf(`echo "[%s]:%d $(cat $D/gateway/data/hostkeys/ssh_host_ed25519_key.pub)" >$D/known_hosts
cat >$D/ssh.conf <<END
UserKnownHostsFile $D/known_hosts
IdentitiesOnly yes
END`, host, t.port),
		needs: sftp | sshKeys,
	}
}

// verify checks the record of all that happened.
func (t *tour) verify(context.Context) (chapter, error) {
	return chapter{title: "The record", steps: []step{
		{
			say: "What happened is in a chain of records, of which none can be changed or taken out unnoticed.",
			run: "sealdrop audit verify", want: []string{"records fit"},
		},
		{say: "The copy has records of its own from the moment on when it was made.", run: onCopy + "audit verify", want: []string{"records fit"}},
	}}, nil
}
