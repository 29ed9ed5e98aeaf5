package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/term"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/certificate"
	"github.com/sealdrop/sealdrop/internal/guide"
	"github.com/sealdrop/sealdrop/keys"
)

// guideFlags is what `guide` is asked for.
type guideFlags struct{ client, language, format, system, host, out string }

func (a *app) guideCommand() *cobra.Command {
	var f guideFlags
	cmd := &cobra.Command{
		Use: "guide --client ID", Short: "write the guide that a client is handed",
		Long: `Writes how the client makes its keys, sends us the public halves, connects, decrypts,
keeps its keys safe, and what to do when it does not work: with this gateway's host
name, ports and fingerprints, and the client's user name and addresses. There is
nothing secret in it. What does not concern the client is left out.

The host name is public_name in the configuration, or --host. Whom the client can ask
is notify.gateway and notify.contact, where they are set. The language is the client's
own (see "sealdrop client set --language"), or --lang: en, de, ja or pt-BR.
A PDF is shown with the fonts that the reader's computer has.`,
		Example: "  sealdrop guide --client acme --out acme.pdf\n  sealdrop guide --client acme --lang de --os windows --out acme.html\n" +
			"  sealdrop guide --client acme --host reports.example.com --os linux",
		Args: arguments(),
	}
	cmd.Flags().StringVar(&f.client, "client", "", "the client (`ID`)")
	cmd.Flags().StringVar(&f.language, "lang", "", "`language`: "+strings.Join(guide.Languages(), ", "))
	cmd.Flags().StringVar(&f.format, "format", "", "`form`: md, html or pdf (default: by the ending of --out, else md)")
	cmd.Flags().StringVar(&f.system, "os", string(guide.All), "the client's operating `system`: windows, macos, linux or all")
	cmd.Flags().StringVar(&f.host, "host", "", "the `name` or address that the client connects to (default: public_name)")
	cmd.Flags().StringVar(&f.out, "out", "", "`FILE` to write it to (default: standard output)")
	_ = cmd.MarkFlagRequired("client") // the flag was defined above
	for flag, values := range map[string][]string{
		"lang": guide.Languages(), "format": {"md", "html", "pdf"}, "os": {"windows", "macos", "linux", "all"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // so were these
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o, err := f.options(cmd)
		if err != nil {
			return err
		}
		if o.Format == guide.PDF && f.out == "" && isTerminal(a.out) {
			return usagef(cmd, "a PDF can't be shown in a terminal; name a file with --out")
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error { return a.writeGuide(ctx, cmd, g, f, o) })(cmd, args)
	}
	return cmd
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// options checks what can be checked without the gateway.
func (f *guideFlags) options(cmd *cobra.Command) (guide.Options, error) {
	o := guide.Options{Language: f.language, System: guide.System(f.system), Format: guide.Format(f.format)}
	if f.format == "" {
		o.Format = guide.Markdown
		if ending := guide.Format(strings.TrimPrefix(filepath.Ext(f.out), ".")); slices.Contains(guide.Formats(), ending) {
			o.Format = ending
		}
	}
	if f.language != "" && !slices.Contains(guide.Languages(), f.language) {
		return o, usagef(cmd, "--lang is %q; it can be %s", f.language, strings.Join(guide.Languages(), ", "))
	}
	if !slices.Contains(guide.Systems(), o.System) {
		return o, usagef(cmd, "--os is %q; it can be windows, macos, linux or all", f.system)
	}
	if !slices.Contains(guide.Formats(), o.Format) {
		return o, usagef(cmd, "--format is %q; it can be md, html or pdf", f.format)
	}
	host, err := config.ParsePublicName(f.host)
	if err != nil {
		return o, usagef(cmd, "--host: %w", err)
	}
	f.host = host
	return o, nil
}

func (a *app) writeGuide(ctx context.Context, cmd *cobra.Command, g *gateway, f guideFlags, o guide.Options) error {
	id, err := clientArg(cmd, f.client)
	if err != nil {
		return err
	}
	c, err := g.register.Client(ctx, id)
	if err != nil {
		return err
	}
	if c.Producer() {
		return &advisedError{err: fmt.Errorf("%s is a producer, and the guide is for clients", id), advice: "`sealdrop client list` shows who is a client"}
	}
	if o.Language == "" {
		o.Language = "en"
		if slices.Contains(guide.Languages(), c.Notify.Language) {
			o.Language = c.Notify.Language
		}
	}
	facts, err := g.guideFacts(c, cmp.Or(f.host, g.config.PublicName))
	if err != nil {
		return err
	}
	if len(c.Allow) == 0 {
		fmt.Fprintf(a.err, "warning: %s may not connect from any address yet, and the guide asks it for one\n", id)
	}
	var b bytes.Buffer
	if err := guide.Write(&b, facts, o); err != nil {
		return err
	}
	if f.out == "" {
		_, err := a.out.Write(b.Bytes())
		return err
	}
	err = os.WriteFile(f.out, b.Bytes(), 0o644)
	switch folder := filepath.Dir(f.out); {
	case errors.Is(err, fs.ErrNotExist):
		return &advisedError{err: fmt.Errorf("writing the guide: the folder %s is not there", folder), advice: "make it first: mkdir -p '" + folder + "'"}
	case err != nil:
		return fmt.Errorf("writing the guide: %w", err)
	}
	return nil
}

// guideFacts gathers what a guide tells: nothing of it is secret.
func (g *gateway) guideFacts(c keys.Client, host string) (guide.Facts, error) {
	cfg := g.config
	if host == "" {
		return guide.Facts{}, &advisedError{
			err: fmt.Errorf("it is not known by which name clients reach this gateway"), advice: "set public_name in " + cfg.File + ", or name it with --host",
		}
	}
	retention := cmp.Or(c.Retention, cfg.Retention.After.Std())
	f := guide.Facts{
		Host: host, SFTPPort: portOf(cfg.SFTP.Listen), Client: c.ID.String(), Name: c.Name,
		Days: max(1, int(retention/(24*time.Hour))), Signed: cfg.Sealing.Sign && !cfg.EdgeOnly(),
		Gateway: cfg.Notify.Gateway, Contact: cfg.Notify.Contact,
	}
	for _, p := range c.Allow {
		if p.IsSingleIP() {
			f.Allowed = append(f.Allowed, p.Addr().String())
		} else {
			f.Allowed = append(f.Allowed, p.String())
		}
	}
	serving, next, err := loadHostKeys(cfg)
	if err != nil {
		return f, err
	}
	for _, s := range slices.Concat(serving, next) {
		k := s.PublicKey()
		f.HostKeys = append(f.HostKeys, guide.HostKey{
			Algorithm: k.Type(), Fingerprint: ssh.FingerprintSHA256(k), KnownHosts: knownhosts.Line([]string{net.JoinHostPort(host, f.SFTPPort)}, k),
		})
	}
	if f.Signed {
		cert := g.own.Signing.Certificate()
		f.SigningKey, f.SigningKeyArmored = cert.Fingerprint(), strings.TrimSpace(cert.Armored())
	}
	f.FTP, err = g.guideFTP(c)
	return f, err
}

// guideFTP is what the client may do over FTP, as the gate decides it.
func (g *gateway) guideFTP(c keys.Client) (guide.FTP, error) {
	cfg := g.config.FTP
	if !cfg.Enabled() || c.FTP == keys.FTPOff {
		return guide.FTP{}, nil
	}
	f := guide.FTP{
		Port: portOf(cfg.Listen), ImplicitPort: portOf(cfg.TLS.ImplicitListen), TLS: cfg.TLS.Mode != "off",
		Plain: cfg.TLS.Mode != "required" && c.FTP == keys.FTPPlain,
	}
	if cfg.PassivePorts != (config.Ports{}) {
		f.Passive = cfg.PassivePorts.String()
	}
	if !f.TLS || !f.Enabled() {
		return f, nil
	}
	cert, key := cfg.TLS.Certificate, cfg.TLS.Key
	if cert == "" {
		var err error
		if cert, key, err = certificate.SelfSigned(tlsDir(g.config.Data), g.ownNames(), now()); err != nil {
			return f, err
		}
	}
	file, err := certificate.Open(cert, key, now, slog.New(slog.DiscardHandler))
	if err != nil {
		return f, err
	}
	f.Certificate = file.Fingerprint()
	return f, nil
}

// portOf is the port of the first of the addresses, "" if there is none.
func portOf(addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	_, port, _ := net.SplitHostPort(addresses[0]) // the configuration has checked it
	return port
}
