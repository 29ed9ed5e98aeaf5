package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/keytext"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

func (a *app) keyCommand() *cobra.Command {
	return group("key", "import, list, retire and revoke clients' public keys", `A client has SSH keys, to log in with, and PGP keys, which its reports are sealed
to. Both come as files from the client; only ever the public half.

A report is sealed to every active PGP key of its client, so keys can overlap
while a client changes over. An SSH key belongs to one client only.`,
		a.keyImport(), a.keyList(), a.keyShow(), a.keyRetire(), a.keyRevoke(), a.keyGateway())
}

func (a *app) keyImport() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "import --client ID FILE…", Short: "register public keys that a client has sent",
		Long: `Finds out by itself what each file is: an SSH key (OpenSSH, RFC 4716 as PuTTYgen
saves it, PEM) or PGP certificates (armored or binary). All files are taken, or
none. "-" reads standard input.

A private key is refused and nothing of it is kept. An expired, revoked,
sign-only or weak key is refused with the reason. Importing a PGP key again whose
owner has extended it takes the new expiry. Reports that were held for want of a
PGP key are released.`,
		Example: "  sealdrop key import --client acme id_rsa.pub acme.asc",
		Args:    arguments("FILE…"),
	}
	cmd.Flags().StringVar(&client, "client", "", "the client's `ID`")
	_ = cmd.MarkFlagRequired("client") // the flag was defined a line above
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
			if _, err := g.register.Client(ctx, id); err != nil {
				return err
			}
			list, err := a.readKeys(args)
			if err != nil {
				return err
			}
			imported, err := g.register.Import(ctx, actor(), id, list)
			if err != nil {
				return err
			}
			released, err := a.release(ctx, g, id)
			return errors.Join(a.showImported(imported, released), err)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// readKeys reads all files, and reports every one that can't be taken.
func (a *app) readKeys(files []string) ([]keys.Public, error) {
	var list []keys.Public
	var errs []error
	for _, file := range files {
		found, err := a.readKeyFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, found...)
	}
	return list, errors.Join(errs...)
}

// readKeyFile reads the keys in a file. Its errors name the file.
func (a *app) readKeyFile(file string) ([]keys.Public, error) {
	var data []byte
	var err error
	if file == "-" {
		data, err = keytext.Read(a.in)
	} else {
		data, err = keytext.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	found, err := keys.Read(data, now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return found, nil
}

// release lets go of what was held for want of a certificate.
func (a *app) release(ctx context.Context, g *gateway, client reports.ClientID) (int, error) {
	bar := a.progress("releasing held reports", -1, false)
	defer bar.Close()
	return g.publisher.Release(ctx, actor(), client, func(reports.Report) { bar.Add(1) })
}

func (a *app) showImported(imported []keys.Imported, released int) error {
	type view struct {
		keyView
		Action string `json:"action"`
	}
	out := struct {
		Keys     []view `json:"keys"`
		Released int    `json:"released"`
	}{Keys: []view{}, Released: released}
	for _, i := range imported {
		out.Keys = append(out.Keys, view{viewKey(i.Key), i.Action})
	}
	return a.show(out, func(w io.Writer) {
		row(w, "ACTION", "KIND", "FINGERPRINT", "ALGORITHM", "LABEL", "EXPIRES")
		for _, v := range out.Keys {
			row(w, v.Action, v.Kind, v.Fingerprint, v.Algorithm, v.Label, stampOf(v.Expires))
		}
		if released > 0 {
			row(w, fmt.Sprintf("held reports released: %d", released))
		}
	})
}

// keyView is how a key is shown.
type keyView struct {
	ID            string           `json:"id"`
	Client        reports.ClientID `json:"client"`
	Kind          keys.Kind        `json:"kind"`
	Fingerprint   string           `json:"fingerprint"`
	Algorithm     string           `json:"algorithm"`
	Label         string           `json:"label,omitempty"`
	State         keys.State       `json:"state"`
	Added         time.Time        `json:"added"`
	Expires       *time.Time       `json:"expires,omitempty"`
	Retires       *time.Time       `json:"retires,omitempty"`
	Revoked       *time.Time       `json:"revoked,omitempty"`
	RevokedReason string           `json:"revoked_reason,omitempty"`
	LastUsed      *time.Time       `json:"last_used,omitempty"`
	Public        string           `json:"public,omitempty"`
}

func viewKey(k keys.Key) keyView {
	return keyView{
		ID: k.ID, Client: k.Client, Kind: k.Kind, Fingerprint: k.Fingerprint, Algorithm: k.Algorithm, Label: k.Label,
		State: k.State(now()), Added: k.Added, Expires: optionalTime(k.Expires), Retires: optionalTime(k.Retires),
		Revoked: optionalTime(k.Revoked), RevokedReason: k.RevokedReason, LastUsed: optionalTime(k.LastUsed),
	}
}

func stampOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
}

func (a *app) keyList() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "list [--client ID]", Short: "list keys with their state",
		Long: `Lists the keys of one client or of all. Only keys that are active or retiring are
of any use; EXPIRES is when that ends, by the key itself or by an operator.`,
		Example: "  sealdrop key list --client acme",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&client, "client", "", "only this client's (`ID`)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var only reports.ClientID
		if client != "" {
			var err error
			if only, err = clientArg(cmd, client); err != nil {
				return err
			}
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			list, err := listKeys(ctx, g, only)
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				row(w, "CLIENT", "KIND", "STATE", "FINGERPRINT", "ALGORITHM", "EXPIRES", "LAST USED", "LABEL")
				for _, v := range list {
					ends := v.Expires
					if v.Retires != nil {
						ends = v.Retires
					}
					row(w, v.Client, v.Kind, v.State, v.Fingerprint, v.Algorithm, stampOf(ends), stampOf(v.LastUsed), v.Label)
				}
			})
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func listKeys(ctx context.Context, g *gateway, only reports.ClientID) ([]keyView, error) {
	list := []keyView{}
	add := func(id reports.ClientID) error {
		found, err := g.register.Keys(ctx, id)
		for _, k := range found {
			list = append(list, viewKey(k))
		}
		return err
	}
	if !only.IsZero() {
		if _, err := g.register.Client(ctx, only); err != nil {
			return nil, err
		}
		return list, add(only)
	}
	var failed error
	err := g.register.Clients(ctx, func(c keys.Client) bool {
		failed = add(c.ID)
		return failed == nil
	})
	return list, errors.Join(err, failed)
}

const keyRef = "A key is named by its id or its whole fingerprint, as `sealdrop key list` shows them."

func (a *app) keyShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show KEY", Short: "show a key and its public half", Long: keyRef,
		Example: "  sealdrop key show SHA256:Xy…",
		Args:    arguments("KEY"),
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		k, err := g.register.Find(ctx, args[0])
		if err != nil {
			return err
		}
		v := viewKey(k)
		v.Public = k.Material
		return a.showKey(v)
	})
	return a.outputFlag(cmd)
}

func (a *app) showKey(v keyView) error {
	return a.show(v, func(w io.Writer) {
		row(w, "id", v.ID)
		row(w, "client", v.Client)
		row(w, "kind", v.Kind)
		row(w, "fingerprint", v.Fingerprint)
		row(w, "algorithm", v.Algorithm)
		row(w, "label", v.Label)
		row(w, "state", v.State)
		row(w, "added", stamp(v.Added))
		row(w, "expires", stampOf(v.Expires))
		row(w, "retires", stampOf(v.Retires))
		if v.Revoked != nil {
			row(w, "revoked", stampOf(v.Revoked)+" "+v.RevokedReason)
		}
		row(w, "last used", stampOf(v.LastUsed))
		if v.Public != "" {
			fmt.Fprintf(w, "\n%s\n", v.Public)
		}
	})
}

func (a *app) keyRetire() *cobra.Command {
	var after string
	cmd := &cobra.Command{
		Use: "retire KEY [--after 14d]", Short: "let a key end, now or after a while",
		Long:    keyRef + "\n\nAn SSH key that has ended lets nobody in, and open sessions end with it; a PGP key\nthat has ended is no longer sealed to. Importing the key again takes it back into use.",
		Example: "  sealdrop key retire SHA256:Xy… --after 14d",
		Args:    arguments("KEY"),
	}
	cmd.Flags().StringVar(&after, "after", "0", "how long it is still good, such as 14d or 12h")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		wait, err := durationArg(cmd, "after", after)
		if err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
			k, err := g.register.Retire(ctx, actor(), args[0], now().Add(wait))
			if err != nil {
				return err
			}
			return a.showKey(viewKey(k))
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) keyRevoke() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "revoke KEY [--reason R]", Short: "end a key at once and for good",
		Long:    keyRef + "\n\nFor a key that was lost or stolen. Its sessions end within two seconds, and no\nimport brings it back.",
		Example: `  sealdrop key revoke SHA256:Xy… --reason "laptop stolen"`,
		Args:    arguments("KEY"),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		k, err := g.register.Revoke(ctx, actor(), args[0], reason)
		if err != nil {
			return err
		}
		return a.showKey(viewKey(k))
	})
	return a.outputFlag(cmd)
}

func (a *app) keyGateway() *cobra.Command {
	cmd := &cobra.Command{
		Use: "gateway", Short: "show the key that the gateway signs with",
		Long: `Prints the public half of the gateway's own signing key, for clients to import and
certify: with sealing.sign, every report is signed with it, and gpg can then tell
who it is from. Without the key gpg opens a signed report, too, but ends with exit
status 2.`,
		Example: "  sealdrop key gateway -o json\n  sealdrop key gateway >gateway.asc     # what is not the key, gpg --import passes over",
		Args:    arguments(),
	}
	cmd.RunE = a.withGateway(func(_ context.Context, g *gateway, _ []string) error {
		cert := g.own.Signing.Certificate()
		out := struct {
			Fingerprint string `json:"fingerprint"`
			Algorithm   string `json:"algorithm"`
			Signs       bool   `json:"signs"`
			Public      string `json:"public"`
		}{cert.Fingerprint(), cert.Algorithm(), g.config.Sealing.Sign, cert.Armored()}
		return a.show(out, func(w io.Writer) {
			row(w, "fingerprint", out.Fingerprint)
			row(w, "algorithm", out.Algorithm)
			row(w, "signs reports", out.Signs)
			fmt.Fprintf(w, "\n%s\n", out.Public)
		})
	})
	return a.outputFlag(cmd)
}
