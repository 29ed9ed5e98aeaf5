package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/password"
	"github.com/sealdrop/sealdrop/reports"
)

func (a *app) passwordCommand() *cobra.Command {
	return group("password", "set, expire and remove clients' passwords for FTP", `FTP knows nothing of keys: a client that uses it logs in with its id and a password.
sFTP takes keys only. Only an argon2id hash of a password is kept, so a lost one
can't be read out, only replaced.

Over which connections a client may send its password says "sealdrop client set
ID --ftp": tls, which is the default, plain or off.`,
		a.passwordSet(), a.passwordExpire(), a.passwordRemove(), a.passwordList())
}

// passwordView is how what is known of a password is shown.
type passwordView struct {
	Client   reports.ClientID `json:"client"`
	State    keys.State       `json:"state"`
	Set      time.Time        `json:"set"`
	Expires  *time.Time       `json:"expires,omitempty"`
	LastUsed *time.Time       `json:"last_used,omitempty"`
	// Password is shown once, when it was made.
	Password string `json:"password,omitempty"`
}

func viewPassword(p keys.Password) passwordView {
	return passwordView{
		Client: p.Client, State: p.State(now()), Set: p.Set, Expires: optionalTime(p.Expires), LastUsed: optionalTime(p.LastUsed),
	}
}

func (a *app) showPassword(v passwordView) error {
	return a.show(v, func(w io.Writer) {
		row(w, "client", v.Client)
		row(w, "state", v.State)
		row(w, "set", stamp(v.Set))
		row(w, "expires", stampOf(v.Expires))
		row(w, "last used", stampOf(v.LastUsed))
	})
}

// passwordSource is where `password set` has the password from.
type passwordSource struct {
	stdin, generate bool
}

func (a *app) passwordSet() *cobra.Command {
	var client, expires string
	var from passwordSource
	cmd := &cobra.Command{
		Use: "set --client ID [--stdin | --generate] [--expires 90d|2027-01-31]", Short: "give a client a password",
		Long: `Asks for the password twice, without showing it. --stdin reads it from the one line
of standard input instead; --generate makes one of 20 characters up and prints it,
which is the only time that it can be seen. It is not taken from the command line,
which every user of the machine can read.

A password has 12 to 128 characters. One that is set already is replaced, and its
sessions end within two seconds. With --expires it is good for a while, or until a
day begins (in UTC).`,
		Example: "  sealdrop password set --client acme --generate --expires 90d\n  pass show acme | sealdrop password set --client acme --stdin",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 { // it may be one: it must not be repeated
				return usagef(cmd, "a password is not taken from the command line, which every user of this machine can read")
			}
			return nil
		},
	}
	clientFlag(cmd, &client)
	cmd.Flags().BoolVar(&from.stdin, "stdin", false, "read the password from standard input")
	cmd.Flags().BoolVar(&from.generate, "generate", false, "make a password up and print it, once")
	cmd.Flags().StringVar(&expires, "expires", "", "how long it is good, such as 90d, or a day, such as 2027-01-31 (default: for good)")
	cmd.MarkFlagsMutuallyExclusive("stdin", "generate")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		until, err := expiryArg(cmd, expires)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			c, err := g.register.Client(ctx, id) // before anybody types a password in vain
			if err != nil {
				return err
			}
			if c.Producer() {
				return &advisedError{
					fmt.Errorf("%s is a producer, which has no use for a password", id),
					fmt.Sprintf("it logs in over sFTP, with its SSH key: `sealdrop key import --client %s FILE`", id),
				}
			}
			text, err := a.readPassword(ctx, cmd, id, from)
			if err != nil {
				return err
			}
			if err := g.register.SetPassword(ctx, actor(), id, text, until); err != nil {
				return err
			}
			a.notePassword(c, text)
			return a.showSet(ctx, g, id, text, from.generate)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// showSet shows what became of a password that was just set, with the password
// itself if it was made up.
func (a *app) showSet(ctx context.Context, g *gateway, client reports.ClientID, text string, generated bool) error {
	p, _, err := g.register.Password(ctx, client)
	if err != nil {
		return err
	}
	v := viewPassword(p)
	if !generated {
		return a.showPassword(v)
	}
	v.Password = text
	// Alone, so that it can be piped to where it is kept.
	return a.show(v, func(w io.Writer) { fmt.Fprintln(w, text) })
}

// notePassword says what may keep the password that was just set from being of use.
func (a *app) notePassword(c keys.Client, text string) {
	if c.Disabled {
		fmt.Fprintf(a.err, "note: client %s is disabled; `sealdrop client enable %s` lets it log in\n", c.ID, c.ID)
	}
	if c.FTP == keys.FTPOff {
		fmt.Fprintf(a.err, "note: client %s may not use FTP; `sealdrop client set %s --ftp tls` lets it\n", c.ID, c.ID)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		fmt.Fprintln(a.err, "note: the password has letters beyond ASCII, which Windows Explorer and older programs send in an encoding of their own; such a login fails")
	}
}

// readPassword gets the password from where it is to come from.
func (a *app) readPassword(ctx context.Context, cmd *cobra.Command, client reports.ClientID, from passwordSource) (string, error) {
	switch {
	case from.generate:
		return password.Generate(), nil
	case from.stdin:
		return readPasswordLine(a.in)
	}
	tty, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(tty.Fd())) {
		return "", usagef(cmd, "there is no terminal to ask for the password on; give --stdin or --generate")
	}
	text, err := a.prompt(ctx, tty, fmt.Sprintf("Password for %s: ", client))
	if err != nil {
		return "", err
	}
	if err := password.Check(text, client.String()); err != nil {
		return "", err // before it has to be typed again
	}
	again, err := a.prompt(ctx, tty, "Once more: ")
	if err == nil && again != text {
		err = &advisedError{errors.New("the two are not the same"), "nothing was changed; try again, or let --generate make one"}
	}
	return text, err
}

// prompt asks for a line that is not shown. An interrupt leaves the terminal as it
// was.
func (a *app) prompt(ctx context.Context, tty *os.File, question string) (string, error) {
	fd := int(tty.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking for the password: %w", err)
	}
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	fmt.Fprint(a.err, question)
	go func() {
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case got := <-answers:
		fmt.Fprintln(a.err) // the one that was typed was not shown
		if got.err != nil {
			return "", fmt.Errorf("asking for the password: %w", got.err)
		}
		return string(got.text), nil
	case <-ctx.Done():
		fmt.Fprintln(a.err)
		return "", errors.Join(errors.New("interrupted; nothing was changed"), term.Restore(fd, before))
	}
}

// readPasswordLine reads a line, which must be the only one.
func readPasswordLine(r io.Reader) (string, error) {
	const most = 8 * password.MaxLength
	data, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	line, _ := strings.CutSuffix(string(data), "\n")
	line, _ = strings.CutSuffix(line, "\r")
	if strings.Contains(line, "\n") {
		return "", &advisedError{errors.New("standard input has more than one line"), "give the password as the only line"}
	}
	return line, nil
}

func (a *app) passwordExpire() *cobra.Command {
	var client, after string
	cmd := &cobra.Command{
		Use: "expire --client ID [--after 14d]", Short: "let a client's password end, now or after a while",
		Long: `The password lets nobody in any more, and its sessions end with it. A client that
uses it is told apart from one with a wrong password by "sealdrop why". A password
that ends sooner than this stays as it is.`,
		Example: "  sealdrop password expire --client acme\n  sealdrop password expire --client acme --after 14d",
		Args:    arguments(),
	}
	clientFlag(cmd, &client)
	cmd.Flags().StringVar(&after, "after", "0", "how long it is still good, such as 14d or 12h")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		wait, err := durationArg(cmd, "after", after)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			p, err := g.register.ExpirePassword(ctx, actor(), id, now().Add(wait))
			if err != nil {
				return err
			}
			return a.showPassword(viewPassword(p))
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) passwordRemove() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "remove --client ID", Short: "take a client's password away",
		Long:    "The client can't log in over FTP any more, and its FTP sessions end within two\nseconds. Its keys, and so sFTP, are not affected.",
		Example: "  sealdrop password remove --client acme",
		Args:    arguments(),
	}
	clientFlag(cmd, &client)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if err := g.register.RemovePassword(ctx, actor(), id); err != nil {
				return err
			}
			return a.show(map[string]string{"removed": id.String()}, func(w io.Writer) { row(w, "removed the password of client "+id.String()) })
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) passwordList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list the clients that have a password",
		Long:    "Lists when each password was set, when it expires and when it was last used. The\npasswords themselves nobody can list.",
		Example: "  sealdrop password list\n  sealdrop password list -o json",
		Args:    arguments(),
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		list := []passwordView{}
		err := g.register.Passwords(ctx, func(p keys.Password) bool {
			list = append(list, viewPassword(p))
			return true
		})
		if err != nil {
			return err
		}
		return a.show(list, func(w io.Writer) {
			row(w, "CLIENT", "STATE", "SET", "EXPIRES", "LAST USED")
			for _, v := range list {
				row(w, v.Client, v.State, stamp(v.Set), stampOf(v.Expires), stampOf(v.LastUsed))
			}
		})
	})
	return a.outputFlag(cmd)
}

// clientFlag gives a command that is about one client its --client.
func clientFlag(cmd *cobra.Command, client *string) {
	cmd.Flags().StringVar(client, "client", "", "the client's `ID`")
	_ = cmd.MarkFlagRequired("client") // the flag was defined a line above
}

// expiryArg reads how long something is good, or the day on which that ends; the
// zero time for no end.
func expiryArg(cmd *cobra.Command, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		wait, err := durationArg(cmd, "expires", s)
		if err != nil {
			return time.Time{}, err
		}
		at = now().Add(wait)
	}
	if !at.After(now()) {
		return time.Time{}, usagef(cmd, "--expires: %s is not in the future", s)
	}
	return at, nil
}
