package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// app is what every command has at hand.
type app struct {
	in       io.Reader
	out, err io.Writer

	configPath string // --config
	format     string // --output
}

func (a *app) execute(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		a.complain("error", err)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	if errors.Is(err, errRed) {
		return 3
	}
	return 1
}

// errReported is returned by commands that have said what is wrong already.
var errReported = errors.New("reported")

// complain prints an error, or a warning, in the two kinds of lines that every
// command uses. Of errors that were joined, each is printed with its own hint.
func (a *app) complain(kind string, err error) {
	say := func(kind, text string) {
		for line := range strings.SplitSeq(strings.TrimRight(printable(text), "\n"), "\n") {
			fmt.Fprintln(a.err, kind+":", line)
		}
	}
	for _, one := range split(err) {
		say(kind, one.Error())
		if h := hint(one); h != "" {
			say("hint", h)
		}
	}
}

// split takes apart what errors.Join has joined, which has no text of its own,
// and leaves alone what only wraps several errors.
func split(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, split(e)...)
	}
	if errors.Join(list...).Error() != err.Error() {
		return []error{err}
	}
	return list
}

// hint finds the advice that goes with an error.
func hint(err error) string {
	var h interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		return h.Hint()
	case errors.Is(err, reports.ErrUnknownClient):
		return "`sealdrop client list` shows the clients there are, `sealdrop client add` adds one"
	case errors.Is(err, keys.ErrUnknownKey):
		return "`sealdrop key list` shows the fingerprints of all keys"
	case errors.Is(err, reports.ErrOnHold):
		return "a report on legal hold stays as it is until `sealdrop retention release` lifts the hold"
	case errors.Is(err, reports.ErrNoSpace), errors.Is(err, database.ErrFull):
		return "nothing was changed; make room on the disk of the data folder (`df -h`) and try again"
	case errors.Is(err, fs.ErrPermission):
		return "run the command as the user that owns the data folder"
	}
	return ""
}

// usageError is a command line that can't be understood.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// Hint gives the advice that goes with the value that is wrong, if there is any,
// and says where the command is explained.
func (e *usageError) Hint() string {
	usage := fmt.Sprintf("`%s --help` shows how it is used", e.command)
	if h := hint(e.err); h != "" {
		return h + "\n" + usage
	}
	return usage
}

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), command: cmd.CommandPath()}
}

// arguments checks the positional arguments against their names; a last name
// ending in "…" takes one or more.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		many := len(names) > 0 && strings.HasSuffix(names[len(names)-1], "…")
		switch {
		case len(args) < len(names):
			return usagef(cmd, "%s is missing", strings.TrimSuffix(names[len(args)], "…"))
		case len(args) > len(names) && !many:
			return usagef(cmd, "unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// group is a command that only has subcommands.
func group(use, short, long string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			similar := cmd.SuggestionsFor(args[0])
			if len(similar) > 0 {
				return usagef(cmd, "unknown command %q; did you mean %q?", args[0], similar[0])
			}
			return usagef(cmd, "unknown command %q", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(subcommands...)
	return cmd
}

func (a *app) root() *cobra.Command {
	root := group("sealdrop", "deliver reports to clients, sealed", `Sealdrop takes statements from a reporting team, encrypts each for its client's
PGP key, and publishes it, whole or not at all, into the client's own folder. The
client fetches it over sFTP or FTP and decrypts it with GnuPG.

A first run:

  sealdrop init --dir /etc/sealdrop
  sealdrop client add acme --name "Acme Capital" --allow 203.0.113.0/24
  sealdrop key import --client acme acme-ssh.pub acme-pgp.asc
  sealdrop serve
  sealdrop deliver --client acme statement.csv

Every command works beside a running gateway and takes effect in it at once.
Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 something is red
("sealdrop status" only).`)
	a.addSections(root)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentFlags().StringVarP(&a.configPath, "config", "c", "", "configuration `file` (default ./config.yaml, then /etc/sealdrop/config.yaml; or SEALDROP_CONFIG)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err: flagFault(err), command: cmd.CommandPath()}
	})
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		// cobra would find a missing flag, too, but as an error like any other.
		if err := cmp.Or(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()); err != nil {
			return &usageError{err: flagFault(err), command: cmd.CommandPath()}
		}
		return nil
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// addSections adds all commands, in the order of an operator's work.
func (a *app) addSections(root *cobra.Command) {
	for _, section := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"set-up", "Set up:", []*cobra.Command{a.initCommand(), a.configCommand(), a.serveCommand(), a.demoCommand()}},
		{"clients", "Clients and keys:", []*cobra.Command{a.clientCommand(), a.keyCommand(), a.passwordCommand(), a.tokenCommand(), a.banCommand(), a.guideCommand()}},
		{"reports", "Reports:", []*cobra.Command{a.deliverCommand(), a.spoolCommand(), a.reportCommand(), a.receiptsCommand(), a.retentionCommand()}},
		{"watching", "Watching:", []*cobra.Command{a.statusCommand(), a.attemptsCommand(), a.whyCommand(), a.notifyCommand(), a.auditCommand()}},
		{"upkeep", "Upkeep:", []*cobra.Command{a.fsckCommand(), a.backupCommand(), a.restoreCommand(), a.supportCommand(), a.healthCommand(), a.versionCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: section.id, Title: section.title})
		for _, cmd := range section.commands {
			cmd.GroupID = section.id
			root.AddCommand(cmd)
		}
	}
	root.SetHelpCommandGroupID("upkeep")
	root.AddCommand(a.docsCommand()) // hidden
}

// outputFlag gives a command that lists or shows its -o.
func (a *app) outputFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.format, "output", "o", "table", "output `format`: table or json")
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if a.format != "table" && a.format != "json" {
			return usagef(cmd, "--output is %q; it can be table or json", a.format)
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
	return cmd
}

// actor is who runs the command, for the audit: see [operator].
func actor() string { return operator().Actor }

func now() time.Time { return time.Now() }
