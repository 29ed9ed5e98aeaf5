package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/backup"
	"github.com/sealdrop/sealdrop/internal/fsck"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
)

func (a *app) fsckCommand() *cobra.Command {
	var client, from string
	var o fsck.Options
	cmd := &cobra.Command{
		Use: "fsck [--quick | --repair BACKUP] [--client ID]", Short: "check the catalog against what is stored",
		Long: `Looks at every report and upload: its sealed file must be there, with the size and
the SHA-256 that were recorded, and addressed to the PGP keys that were recorded.
Then the other way round: files that belong to no report, and files that should have
been deleted by now. Last, the audit's chain, and the catalog's own structure.

It reads every byte unless --quick says otherwise, changes nothing without --repair, and
runs beside the gateway. Each finding comes with the command that mends it. Uploads whose
digest is still being computed are no finding, and neither are deliveries under way.

With --repair it brings sealed files that are missing or damaged back from BACKUP: one
that "sealdrop backup" made, or the folder of several, of which the newest that has the
file is taken. Only what has the SHA-256 that was recorded is put in place, each with an
audit record; nothing else is changed. Where BACKUP shares files with the gateway by hard
link it shares their damage: name one on another disk. A finding that can't be repaired
says why, and what to do instead. After an interrupted run, run it again. A client that
fetches what is not back yet gets it damaged: where much is missing, stop the gateway first.

Exit status: 0 all is well, or was repaired; 1 there are findings left.`,
		Example: "  sealdrop fsck\n  sealdrop fsck --quick\n  sealdrop fsck --client acme -o json\n" +
			"  sealdrop fsck --repair /mnt/backup/sealdrop\n  sealdrop fsck --repair /mnt/backup/sealdrop/20261122T021600Z --client acme",
		Args: arguments(),
	}
	cmd.Flags().BoolVar(&o.Quick, "quick", false, "look at existence and size only; read no content")
	cmd.Flags().StringVar(&client, "client", "", "only this client's files (`ID`)")
	cmd.Flags().StringVar(&from, "repair", "", "bring what is missing or damaged back from `BACKUP`, a backup or the folder of several")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := repairFrom(cmd, from, &o); err != nil {
			return err
		}
		if client != "" {
			var err error
			if o.Client, err = clientArg(cmd, client); err != nil {
				return err
			}
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			if !o.Client.IsZero() {
				if _, err := g.register.Client(ctx, o.Client); err != nil {
					return err
				}
			}
			return a.fsck(ctx, g, o)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// repairFrom looks into where --repair names.
func repairFrom(cmd *cobra.Command, from string, o *fsck.Options) error {
	switch {
	case !cmd.Flags().Changed("repair"):
		return nil
	case from == "":
		return usagef(cmd, "--repair is empty; is a variable of your script not set?")
	case o.Quick:
		return usagef(cmd, "--repair needs to read every byte; leave --quick out")
	}
	copies, err := backup.FindCopies(from)
	if err != nil {
		return fmt.Errorf("repairing: %w", err)
	}
	o.Copies, o.Actor = copies, actor()
	return nil
}

func (a *app) fsck(ctx context.Context, g *gateway, o fsck.Options) error {
	_, bytes, err := g.catalog.Total(ctx, o.Client)
	if err != nil {
		return err
	}
	bar := a.progress("checking", bytes, true)
	o.Progress = func(n int64) { _ = bar.Add64(n) } // it only shows
	out := findings{app: a}
	done, err := fsck.New(fsck.Config{
		DB: g.db, Catalog: g.catalog, Blobs: g.blobs, Now: now, Grace: g.config.Retention.Grace.Std(),
		Every: g.config.Retention.Sweep.Std(), Certificate: g.certificates().find,
	}).Run(ctx, o, func(f fsck.Finding) {
		_ = bar.Clear()
		out.add(f)
	})
	_ = bar.Close()
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; what was found so far is true, and the rest was not looked at")
	}
	if err := errors.Join(err, out.end(done)); err != nil {
		return err
	}
	if done.Findings > done.Repaired {
		return errReported
	}
	return nil
}

// findings prints what is found as it comes, however much it is.
type findings struct {
	*app
	n   int
	err error
}

func (f *findings) print(format string, args ...any) {
	if _, err := fmt.Fprintf(f.out, format, args...); err != nil && f.err == nil {
		f.err = err
	}
}

func (f *findings) add(found fsck.Finding) {
	f.n++
	if f.format == "json" {
		begin := ",\n    "
		if f.n == 1 {
			begin = "{\n  \"findings\": [\n    "
		}
		text, err := json.Marshal(found)
		if err != nil {
			f.err = err
		}
		f.print("%s%s", begin, text)
		return
	}
	what := ""
	if found.Name != "" {
		what = fmt.Sprintf("%s of %s: ", plain(found.Name), found.Client)
	}
	f.print("%s: %s%s\n", found.Kind, what, plain(found.Problem))
	if found.Report != "" {
		f.print("    report: %s\n", found.Report)
	}
	if found.Blob != "" {
		f.print("    blob:   %s\n", found.Blob)
	}
	if found.Unrepaired != "" {
		f.print("    not repaired: %s\n", plain(found.Unrepaired))
	}
	f.print("    mend:   %s\n", plain(found.Mend))
}

// end prints what was looked at, and returns an error of the output.
func (f *findings) end(done fsck.Summary) error {
	if f.format == "json" {
		begin := "\n  ],\n  \"checked\": "
		if f.n == 0 {
			begin = "{\n  \"findings\": [],\n  \"checked\": "
		}
		text, err := json.Marshal(done)
		f.print("%s%s\n}\n", begin, text)
		return errors.Join(err, f.err)
	}
	repaired := ""
	if done.Repaired > 0 {
		repaired = fmt.Sprintf(", %d of them repaired", done.Repaired)
	}
	f.print("%d findings%s; looked at %d files (%s), %d blobs and %d audit records\n", done.Findings, repaired, done.Files, size(done.Bytes), done.Blobs, done.Records)
	if done.Pending > 0 {
		f.print("the digest of %d uploads is still being computed\n", done.Pending)
	}
	return f.err
}

// certificates finds what reports can have been sealed to.
type certificates struct {
	register *keys.Register
	own      []pgp.Certificate // the hold key's, and the escrow's
}

func (g *gateway) certificates() *certificates {
	return &certificates{register: g.register, own: append([]pgp.Certificate{g.own.Hold.Certificate()}, g.publisher.Escrow...)}
}

// find returns a zero certificate for one that is not known any more.
func (c *certificates) find(ctx context.Context, client reports.ClientID, fingerprint string) (pgp.Certificate, error) {
	for _, cert := range c.own {
		if cert.Fingerprint() == fingerprint {
			return cert, nil
		}
	}
	list, err := c.register.Keys(ctx, client)
	if err != nil {
		return pgp.Certificate{}, err
	}
	for _, k := range list {
		if k.Kind != keys.PGP || k.Fingerprint != fingerprint {
			continue
		}
		if certs, err := pgp.Parse([]byte(k.Material)); err == nil && len(certs) == 1 {
			return certs[0], nil
		}
	}
	return pgp.Certificate{}, nil
}
