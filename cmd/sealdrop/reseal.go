package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealdrop/sealdrop/internal/keytext"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
)

func (a *app) reportReseal() *cobra.Command {
	var client, with string
	var fromStdin, dryRun bool
	cmd := &cobra.Command{
		Use: "reseal --client ID [--with FILE]", Short: "readdress a client's reports to its present PGP keys",
		Long: `For a client that lost its PGP key. Import its new one and revoke the lost one first;
then reseal: from there on the new key opens every report, and the lost one none.

What a report was sealed to has to open it once more. Published reports are sealed
to the client and to the escrow key, if sealing.escrow names one: --with FILE is that
key's private half, as "gpg --export-secret-keys" writes it. Its passphrase is asked
for, or read from standard input with --passphrase-stdin; neither is stored. Without
--with, only what is sealed to the gateway's own hold key opens. Held reports need
none of this: the import of a key releases them.

Only the session-key packets are replaced. The encrypted body stays as it is, byte
by byte; nothing is decrypted but the session key, in memory. A report keeps its id,
name, times and retention. One that was collected is published again, because the
bytes that stand there now have not been fetched; its earlier receipts remain. A
client that mirrors by name, size and time may have to be told to fetch anew.
Reports on legal hold are passed by: release them first.

It can be interrupted, and run again: what is done already is passed by.`,
		Example: "  sealdrop key import --client acme new-acme.asc\n  sealdrop key revoke FINGERPRINT --reason lost\n" +
			"  sealdrop report reseal --client acme --with escrow-secret.asc --dry-run\n  sealdrop report reseal --client acme --with escrow-secret.asc",
		Args: arguments(),
	}
	clientFlag(cmd, &client)
	cmd.Flags().StringVar(&with, "with", "", "`file` with the private key that opens the reports, such as the escrow's")
	cmd.Flags().BoolVar(&fromStdin, "passphrase-stdin", false, "read the passphrase of that key from standard input")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing; count what would be done")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		if fromStdin && with == "" {
			return usagef(cmd, "--passphrase-stdin goes with --with")
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			o := publish.ResealOptions{DryRun: dryRun}
			if with != "" {
				key, err := a.readOpeningKey(ctx, cmd, with, fromStdin)
				if err != nil {
					return err
				}
				o.With = []pgp.PrivateKey{key}
			}
			return a.reseal(ctx, g, id, o)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// readOpeningKey reads a private key that is used once and kept nowhere.
func (a *app) readOpeningKey(ctx context.Context, cmd *cobra.Command, path string, fromStdin bool) (pgp.PrivateKey, error) {
	data, err := keytext.ReadFile(path)
	if err != nil {
		return pgp.PrivateKey{}, fmt.Errorf("reading --with: %w", err)
	}
	defer clear(data)
	key, err := pgp.ReadLockedPrivateKey(data, func() ([]byte, error) {
		if fromStdin {
			line, err := readPasswordLine(a.in)
			return []byte(line), err
		}
		tty, ok := a.in.(*os.File)
		if !ok || !term.IsTerminal(int(tty.Fd())) {
			return nil, usagef(cmd, "there is no terminal to ask for the passphrase of %s on; give --passphrase-stdin", path)
		}
		text, err := a.prompt(ctx, tty, fmt.Sprintf("Passphrase of %s: ", path))
		return []byte(text), err
	})
	if err != nil {
		var usage *usageError
		if errors.As(err, &usage) {
			return key, usage
		}
		advice := "--with takes one private key with its encryption subkey: `gpg --armor --export-secret-keys NAME`"
		if errors.Is(err, pgp.ErrWrongPassphrase) {
			advice = "try again; nothing was changed"
		}
		return key, &advisedError{err: fmt.Errorf("%s: %w", path, err), advice: advice}
	}
	return key, nil
}

// resealView is how a run of resealing is shown.
type resealView struct {
	Client   reports.ClientID `json:"client"`
	DryRun   bool             `json:"dry_run"`
	SealedTo []string         `json:"sealed_to"`
	publish.ResealResult
}

func (a *app) reseal(ctx context.Context, g *gateway, client reports.ClientID, o publish.ResealOptions) error {
	if _, err := g.register.Client(ctx, client); err != nil {
		return err
	}
	certs, err := g.register.Recipients(ctx, client)
	if err != nil {
		advice := fmt.Sprintf("import the client's new key first: sealdrop key import --client %s FILE", client)
		if keys.WaitsForApproval(err) {
			advice = "have another operator approve the client's new key first"
		}
		return &advisedError{err: err, advice: advice}
	}
	v := resealView{Client: client, DryRun: o.DryRun}
	for _, c := range append(certs, g.publisher.Escrow...) {
		v.SealedTo = append(v.SealedTo, c.Fingerprint())
	}
	total, err := g.catalog.CountSealed(ctx, client)
	if err != nil {
		return err
	}
	bar := a.progress("resealing", total, false)
	o.Each = func(reports.Report, publish.ResealOutcome) { _ = bar.Add(1) } // it only shows
	v.ResealResult, err = g.publisher.Reseal(ctx, actor(), client, o)
	_ = bar.Close()
	if errors.Is(err, context.Canceled) {
		err = &advisedError{
			err: errors.New("interrupted; what was resealed so far stays so"), advice: "run the same command again to go on",
		}
	}
	shown := a.show(v, func(w io.Writer) { resealTable(w, v) })
	return errors.Join(err, lockedFault(v, len(o.With) > 0), shown)
}

func resealTable(w io.Writer, v resealView) {
	done := "resealed"
	if v.DryRun {
		done = "would be resealed"
	}
	row(w, done, v.Resealed)
	row(w, "sealed to the present keys already", v.Current)
	for _, more := range []struct {
		what string
		n    int
	}{
		{"passed by: on legal hold", v.OnHold},
		{"passed by: the key at hand does not open them", v.Locked},
		{"purged or changed meanwhile", v.Gone},
		{"failed", v.Failed},
	} {
		if more.n > 0 {
			row(w, more.what, more.n)
		}
	}
	for _, fpr := range v.SealedTo {
		row(w, "sealed to", fpr)
	}
}

// lockedFault says what can be done about reports that no key at hand opens.
func lockedFault(v resealView, with bool) error {
	if v.Locked == 0 {
		return nil
	}
	e := &advisedError{
		err:    fmt.Errorf("the gateway's hold key does not open %s of %s", count(int(v.Locked), "report"), v.Client),
		advice: "give the private half of the escrow key they were sealed to: --with FILE",
	}
	if with {
		e.err = fmt.Errorf("the key of --with does not open %s of %s", count(int(v.Locked), "report"), v.Client)
		e.advice = "`sealdrop report show` tells what a report is sealed to; without that private key it has to be delivered again"
	}
	return e
}
