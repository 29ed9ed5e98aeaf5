package demo

import (
	"context"
	"fmt"
	"strings"
)

// hold delivers before there is a PGP key to seal for, and then brings the keys.
func (t *tour) hold(context.Context) (chapter, error) {
	ch := chapter{title: "A statement that comes before the key", steps: []step{
		{
			say: "acme has sent no PGP key yet. Its statement is held, sealed to a key of the gateway's own, instead of failing " +
				"or waiting in the clear.",
			run:  "sealdrop deliver --client acme $D/statements/acme/" + t.activity(),
			want: []string{"held", "no usable PGP key"},
		},
	}}
	// Two sorts of key, so that both are seen to work.
	for i, algorithm := range []string{"default", "future-default"} {
		c := t.clients()[i]
		s := step{needs: gpg, run: fmt.Sprintf(`mkdir -m 700 $D/%[1]s/gnupg
gpg -q --homedir $D/%[1]s/gnupg --batch --passphrase '' --quick-generate-key '%[2]s <%[3]s>' %[4]s default 2y
gpg --homedir $D/%[1]s/gnupg --armor --export >$D/%[1]s/pgp-key.asc`, c.id, c.name, c.mail, algorithm), mute: true}
		if i == 0 {
			s.say = "The clients make PGP keys with GnuPG, and send the public halves."
		}
		ch.steps = append(ch.steps, s)
	}
	ch.steps = append(ch.steps,
		step{
			say: "With the key, what was held is sealed for acme and published by itself.",
			run: "sealdrop key import --client acme $D/acme/pgp-key.asc", needs: gpg, want: []string{"added", "pgp"},
		},
		step{run: "sealdrop key import --client borealis $D/borealis/pgp-key.asc", needs: gpg, want: []string{"added", "pgp"}},
		step{
			run: "sealdrop report list --client acme", needs: gpg, soon: true,
			want: []string{"published"}, never: []string{" held "},
		},
	)
	return ch, nil
}

// deliver hands in all statements.
func (t *tour) deliver(context.Context) (chapter, error) {
	ch := chapter{title: "The evening's statements", steps: []step{
		{say: "The reporting team has written its statements (made up, so that you need none of your own).", run: "wc -c $D/statements/*/*"},
	}}
	expected, say := "published", "Each is sealed to its client's PGP key and published whole."
	if !t.tools.have(gpg) {
		expected, say = "held", "Without a PGP key each is held."
	}
	for i, c := range t.clients() {
		s := step{run: fmt.Sprintf("sealdrop deliver --client %[1]s $D/statements/%[1]s/*", c.id), want: []string{expected}}
		if i == 0 {
			s.say = say + " One that was delivered before is known, and not delivered twice."
			s.want = append(s.want, "delivered before")
		}
		ch.steps = append(ch.steps, s)
	}
	ch.steps = append(ch.steps, step{
		say:  "On the gateway's disk there is nothing to read: acme's account number is in each of its statements, and nowhere here.",
		run:  fmt.Sprintf("grep -m 1 %s $D/statements/acme/%s\ngrep -r %[1]s $D/gateway || echo nowhere", t.acme().account, t.activity()),
		want: []string{"nowhere"},
	})
	return ch, nil
}

// sftp is the command with which a client talks to the gateway.
func (t *tour) sftp(c client, options string, script ...string) string {
	if c.address != host {
		options += "-o BindAddress=" + c.address + " "
	}
	return fmt.Sprintf("sftp -F $D/ssh.conf -P %d %s-i $D/%s/ssh-key -b - %[3]s@%s <<END\n%s\nEND",
		t.port, options, c.id, host, strings.Join(script, "\n"))
}

// fetch is the clients' side.
func (t *tour) fetch(context.Context) (chapter, error) {
	const all = sftp | sshKeys | gpg
	ch := chapter{title: "The clients fetch, decrypt and compare"}
	for _, c := range t.clients() {
		ch.steps = append(ch.steps,
			step{
				say: fmt.Sprintf("%s connects from %s, sees its own folder, and takes what is in it.", c.name, c.address),
				run: "mkdir $D/" + c.id + "/inbox\n" + t.sftp(c, "", "ls -l", "get *.pgp $D/"+c.id+"/inbox/"), needs: all,
				want: []string{t.activity() + ".pgp"}, show: []string{".pgp"},
			},
			step{
				run:   fmt.Sprintf("gpg --homedir $D/%[1]s/gnupg --decrypt-files $D/%[1]s/inbox/*.pgp", c.id),
				needs: all, want: []string{c.mail}, show: []string{"encrypted with"},
			},
			step{
				run:   fmt.Sprintf("diff -r -x '*.pgp' $D/statements/%[1]s $D/%[1]s/inbox && echo the same, byte for byte", c.id),
				needs: all, want: []string{"the same"},
			},
		)
	}
	ch.steps = append(ch.steps, step{
		say: "The reporting team sees what has arrived: collected means that every byte went out.",
		run: "sealdrop report list", needs: all, soon: true, want: []string{"collected"}, never: []string{" published "},
	})
	return ch, nil
}

// upload is the way back.
func (t *tour) upload(context.Context) (chapter, error) {
	return chapter{title: "The other way", steps: []step{
		{
			say: "A client may put files into its folder, too. They are there once they are whole.",
			run: "echo 'Please send November again as XML.' >$D/acme/request.txt\n" +
				t.sftp(t.acme(), "", "put $D/acme/request.txt", "get request.txt $D/acme/request.back"),
			needs: sftp | sshKeys, mute: true,
		},
		{run: "cmp $D/acme/request.txt $D/acme/request.back", needs: sftp | sshKeys},
		{
			run: "sealdrop report list --client acme", needs: sftp | sshKeys,
			want: []string{"request.txt"}, show: []string{"REPORT", "request.txt"},
		},
	}}, nil
}
