package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/support"
	"github.com/sealdrop/sealdrop/keys/pgp"
)

func (a *app) supportCommand() *cobra.Command {
	return group("support", "make a bundle for whoever helps, without clients' data", `The bundle tells how the gateway is set up and what happened lately, with aliases in
place of clients, reports, keys and addresses: the same alias always means the same.
"sealdrop support resolve" tells the operator, and nobody else, what an alias stands
for.`,
		a.supportBundle(), a.supportResolve())
}

// bundleOptions are the command line's.
type bundleOptions struct {
	client, out, sealTo string
	days                int
	dryRun              bool

	recipients []pgp.Certificate
	support.Options
}

func (a *app) supportBundle() *cobra.Command {
	var o bundleOptions
	cmd := &cobra.Command{
		Use: "bundle", Short: "write the bundle: a zip that only you can read",
		Long: `Writes a zip of JSON files: the version and the machine, the settings that name
nothing, counts, clients and their keys by alias, and the logins, refusals and changes
of the last days. It is built from a list of what may be in it: no name, address,
fingerprint, key, password, token, path or content is. --dry-run shows what would be
written, and with -o json every byte of it; nothing is sent anywhere.

--seal-to encrypts it to the PGP key of whoever is to have it.`,
		Example: `  sealdrop support bundle --dry-run
  sealdrop support bundle --client acme --days 3 --comment "acme can't log in since Monday"
  sealdrop support bundle --extended --seal-to helper.asc`,
		Args: arguments(),
	}
	cmd.Flags().StringVar(&o.client, "client", "", "only what concerns this client (`ID`)")
	cmd.Flags().IntVar(&o.days, "days", 7, "how many days back")
	cmd.Flags().BoolVar(&o.Extended, "extended", false, "also each report's sizes, times and states")
	cmd.Flags().StringVar(&o.Comment, "comment", "", "your own `words` on what is wrong; they are passed on as they are")
	cmd.Flags().StringVar(&o.out, "out", "", "where to write it (`FILE`, which must not be there yet; default sealdrop-support-TIME.zip)")
	cmd.Flags().StringVar(&o.sealTo, "seal-to", "", "`FILE` with the PGP key to encrypt it to")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "write nothing; list what would be in it")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.days < 1 {
			return usagef(cmd, "--days is %d; it can be 1 or more", o.days)
		}
		if o.client != "" {
			if o.Client, err = clientArg(cmd, o.client); err != nil {
				return err
			}
		}
		if o.recipients, err = readRecipients("--seal-to", o.sealTo); err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error { return a.bundle(ctx, g, o) })(cmd, args)
	}
	return a.outputFlag(cmd)
}

// bundledFile is how a part is shown; its content in JSON only.
type bundledFile struct {
	support.File
	Content string `json:"content,omitempty"`
}

func (a *app) bundle(ctx context.Context, g *gateway, o bundleOptions) error {
	if !o.Client.IsZero() {
		if _, err := g.register.Client(ctx, o.Client); err != nil {
			return err
		}
	}
	at := now().UTC()
	o.Since = at.AddDate(0, 0, -o.days)
	b, err := support.Gather(ctx, g.supportSource(at), o.Options)
	if err != nil {
		return fmt.Errorf("making the bundle: %w", err)
	}
	out := struct {
		File  string        `json:"file,omitempty"`
		Files []bundledFile `json:"files"`
	}{}
	for _, f := range b.Files() {
		shown := bundledFile{File: f}
		if o.dryRun {
			shown.Content = string(f.Content())
		}
		out.Files = append(out.Files, shown)
	}
	if !o.dryRun {
		suffix := ".zip"
		if o.recipients != nil {
			suffix = ".zip.pgp"
		}
		out.File = cmp.Or(o.out, "sealdrop-support-"+at.Format("20060102T150405Z")+suffix)
		if err := writeBundle(out.File, b, o.recipients); err != nil {
			return err
		}
	}
	return a.show(out, func(w io.Writer) {
		row(w, "FILE", "SIZE", "WHAT")
		for _, f := range out.Files {
			row(w, f.Name, size(int64(f.Size)), f.What)
		}
		if o.dryRun {
			fmt.Fprintln(w, "\nNothing was written. -o json shows every byte of it.")
		} else {
			fmt.Fprintf(w, "\nWritten to %s, which only you can read.\n", out.File)
		}
	})
}

func (g *gateway) supportSource(at time.Time) support.Source {
	engine := "sqlite"
	if g.config.Catalog.URL != "" {
		engine = "postgresql"
	}
	return support.Source{
		Register: g.register, Catalog: g.catalog, DB: g.db, Settings: g.config.Facts(), Engine: engine, DataDir: g.config.Data,
		Version: version, Aliases: support.NewAliases(g.own.Delivery), Now: at,
	}
}

// writeBundle writes a file that is not there yet, for its owner only. What it could
// not write whole is removed.
func writeBundle(path string, b *support.Bundle, recipients []pgp.Certificate) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &advisedError{err: fmt.Errorf("%s is there already", path), advice: "name another file with --out"}
	} else if err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(fmt.Errorf("writing the bundle: %w", err), os.Remove(path))
		}
	}()
	if recipients != nil {
		sealed, err := pgp.NewWriter(f, pgp.Options{Recipients: recipients, FileName: filepath.Base(path), Size: -1, Now: now()})
		if err != nil {
			return err
		}
		if err := b.Write(sealed); err != nil {
			return err
		}
		return errors.Join(sealed.Close(), f.Sync())
	}
	return errors.Join(b.Write(f), f.Sync())
}

func (a *app) supportResolve() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resolve ALIAS…", Short: "tell what an alias in a bundle of this gateway stands for",
		Long: `Whoever helps speaks of "client-3f9a…"; this tells you who that is. It goes through the
clients, keys, reports and the addresses of recorded logins.`,
		Example: "  sealdrop support resolve client-3f9a1c02be",
		Args:    arguments("ALIAS…"),
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		found, err := support.Resolve(ctx, g.supportSource(now()), args)
		if err != nil {
			return err
		}
		var errs []error
		for _, alias := range args {
			if !slices.ContainsFunc(found, func(m support.Meaning) bool { return m.Alias == alias }) {
				errs = append(errs, fmt.Errorf("%q stands for nothing that is still in the catalog of this gateway", alias))
			}
		}
		var shown error
		if len(found) > 0 {
			shown = a.show(found, func(w io.Writer) {
				row(w, "ALIAS", "STANDS FOR")
				for _, m := range found {
					row(w, m.Alias, m.StandsFor)
				}
			})
		}
		return errors.Join(append(errs, shown)...)
	})
	return a.outputFlag(cmd)
}
