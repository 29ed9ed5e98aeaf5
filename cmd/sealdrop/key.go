package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/keytext"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

func (a *app) keyCommand() *cobra.Command {
	return group("key", "import, approve, list, retire and revoke clients' public keys", `A client has SSH keys, to log in with, and PGP keys, which its reports are sealed
to. Both come as files from the client; only ever the public half.

A report is sealed to every PGP key of its client that is in use, so keys can overlap
while a client changes over: "key import --replaces OLD" has the old one end after a
while, and until then either opens what is delivered. An SSH key belongs to one client only.`,
		a.keyImport(), a.keyApprove(), a.keyReject(), a.keyList(), a.keyShow(), a.keyRetire(), a.keyRevoke(), a.keyPolicy(), a.keyGateway())
}

func (a *app) keyImport() *cobra.Command {
	var client, overlap string
	var o keys.ImportOptions
	cmd := &cobra.Command{
		Use: "import --client ID [--replaces KEY [--overlap 14d]] FILE…", Short: "register public keys that a client has sent",
		Long: `Finds out by itself what each file is: an SSH key (OpenSSH, RFC 4716 as PuTTYgen
saves it, PEM) or PGP certificates (armored or binary). All files are taken, or
none. "-" reads standard input.

A private key is refused and nothing of it is kept. An expired, revoked,
sign-only or weak key is refused with the reason. Reports that were held for want of a
PGP key are released.

A PGP key that is registered already is brought up to date by what its owner has signed
since: a later expiry, new subkeys and user ids, revocations. What a copy lacks is not
taken away. Its owner's revocation, also by itself as gpg --gen-revoke makes it, ends
the key for good. CHANGES says what is different.

With --replaces, an old key of the client stays good for the overlap and then ends.
With keys.approval: two-person, nothing that is new counts before another operator
has approved it: see "sealdrop key approve".`,
		Example: "  sealdrop key import --client acme id_rsa.pub acme.asc\n  sealdrop key import --client acme --replaces SHA256:Xy… --overlap 14d new.pub\n  sealdrop key import --client acme revocation.asc",
		Args:    arguments("FILE…"),
	}
	cmd.Flags().StringVar(&client, "client", "", "the client's `ID`")
	cmd.Flags().StringArrayVar(&o.Replaces, "replaces", nil, "the `KEY` that the new one takes the place of, by id or fingerprint; can be given again")
	cmd.Flags().StringVar(&overlap, "overlap", "14d", "for how long the old key is still good, a `time` such as 14d")
	_ = cmd.MarkFlagRequired("client") // the flag was defined a line above
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("overlap") && len(o.Replaces) == 0 {
			return usagef(cmd, "--overlap is how long a replaced key is still good, and --replaces names none")
		}
		if o.Overlap, err = durationArg(cmd, "overlap", overlap); err != nil {
			return err
		}
		return a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
			if _, err := g.register.Client(ctx, id); err != nil {
				return err
			}
			list, err := a.readKeys(ctx, g, args)
			if err != nil {
				return err
			}
			imported, err := g.register.ImportAs(ctx, operator(), id, list, o)
			if err != nil {
				return err
			}
			released, err := a.release(ctx, g, id)
			err = errors.Join(a.showImported(imported, released), err)
			a.sayNext(ctx, g, imported)
			return err
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// readKeys reads all files, and reports every one that can't be taken. A certificate
// that is no good can be taken only if it is registered, to bring that up to date.
func (a *app) readKeys(ctx context.Context, g *gateway, files []string) ([]keys.Public, error) {
	var list []keys.Public
	var errs []error
	for _, file := range files {
		found, err := a.readKeyFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for i := range found {
			p := &found[i]
			if p.Fault == nil {
				continue
			}
			p.Fault = fmt.Errorf("%s: %w", file, p.Fault)
			if _, err := g.register.Find(ctx, p.Fingerprint); errors.Is(err, keys.ErrUnknownKey) {
				errs = append(errs, p.Fault)
			}
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
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &advisedError{err: err, advice: lookedFor(file)}
	}
	if err != nil {
		return nil, err
	}
	found, err := keys.ReadAll(data, now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return found, nil
}

// lookedFor tells where a file was looked for that is not there.
func lookedFor(file string) string {
	if path, err := filepath.Abs(file); err == nil && !filepath.IsAbs(file) {
		return "correct the path; it was looked for at " + path
	}
	return "correct the path"
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
		Action  keys.Action `json:"action"`
		Changes []string    `json:"changes,omitempty"`
	}
	out := struct {
		Keys     []view `json:"keys"`
		Released int    `json:"released"`
	}{Keys: []view{}, Released: released}
	for _, i := range imported {
		out.Keys = append(out.Keys, view{viewKey(i.Key), i.Action, i.Changes})
	}
	return a.show(out, func(w io.Writer) {
		row(w, "ACTION", "KIND", "FINGERPRINT", "ALGORITHM", "LABEL", "EXPIRES", "CHANGES")
		for _, v := range out.Keys {
			ends := v.Expires
			if v.Retires != nil {
				ends = v.Retires
			}
			row(w, v.Action, v.Kind, v.Fingerprint, v.Algorithm, v.Label, stampOf(ends), strings.Join(v.Changes, "; "))
		}
		if released > 0 {
			row(w, fmt.Sprintf("held reports released: %d", released))
		}
	})
}

// sayNext tells the operator what is to be done after an import.
func (a *app) sayNext(ctx context.Context, g *gateway, imported []keys.Imported) {
	say := func(format string, args ...any) { fmt.Fprintf(a.err, "hint: "+format+"\n", args...) }
	for _, i := range imported {
		switch i.Action {
		case keys.ActionPending:
			say("it does nothing yet; another operator approves it: `sealdrop key approve %s`", i.ID)
		case keys.ActionRevoked:
			if _, err := g.register.Recipients(ctx, i.Client); errors.Is(err, keys.ErrNoRecipient) {
				say("client %s has no usable PGP key left and its reports are held from now on; ask it for a new one, which releases them: `sealdrop key import --client %s FILE`", i.Client, i.Client)
			} else if err == nil {
				say("reports for client %s are sealed to its other keys from now on", i.Client)
			}
			say("what was sealed to it before stays as it is: `sealdrop report list --client %s --state published` shows what was not collected, `sealdrop report remove` hides it, `sealdrop report reseal --help` tells how it is sealed anew", i.Client)
		}
	}
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
	ByPolicy      bool             `json:"expires_by_policy,omitempty"`
	ImportedBy    string           `json:"imported_by,omitempty"`
	ApprovedBy    string           `json:"approved_by,omitempty"`
	Approved      *time.Time       `json:"approved,omitempty"`
	Public        string           `json:"public,omitempty"`
}

func viewKey(k keys.Key) keyView {
	return keyView{
		ID: k.ID, Client: k.Client, Kind: k.Kind, Fingerprint: k.Fingerprint, Algorithm: k.Algorithm, Label: k.Label,
		State: k.State(now()), Added: k.Added, Expires: optionalTime(k.Expires), Retires: optionalTime(k.Retires),
		Revoked: optionalTime(k.Revoked), RevokedReason: k.RevokedReason, LastUsed: optionalTime(k.LastUsed),
		ByPolicy: k.ByPolicy(), ImportedBy: k.Importer.Actor, ApprovedBy: k.ApprovedBy, Approved: optionalTime(k.Approved),
	}
}

func stampOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return stamp(*t)
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
		expires := stampOf(v.Expires)
		if v.ByPolicy {
			expires += ", by this gateway's limit on age"
		}
		row(w, "imported by", v.ImportedBy)
		if v.ApprovedBy != "" {
			row(w, "approved", stampOf(v.Approved)+" by "+v.ApprovedBy)
		}
		row(w, "expires", expires)
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
