package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
)

func (a *app) deliverCommand() *cobra.Command {
	var client, name string
	var d publish.Delivery
	cmd := &cobra.Command{
		Use: "deliver --client ID FILE…|-", Short: "seal reports and publish them to a client",
		Long: `Encrypts each file to the client's PGP keys and publishes it as NAME.pgp in the
client's folder: whole, or not at all. What is acknowledged is on disk and survives
a power loss. "-" reads one report from standard input, and then needs --name.

Delivering the same file again changes nothing. Another content under a name that
is taken becomes a version of it (NAME~2), unless --replace says otherwise.

Without a usable PGP key the report is held, sealed to the gateway's own hold key,
and published by itself once a key is imported.`,
		Example: "  sealdrop deliver --client acme Activity_20261120.csv\n  make-report | sealdrop deliver --client acme --name Activity_20261120.csv -",
		Args:    arguments("FILE…"),
	}
	cmd.Flags().StringVar(&client, "client", "", "the client's `ID`")
	cmd.Flags().StringVar(&name, "name", "", "the report's name (default: the file's)")
	cmd.Flags().BoolVar(&d.Replace, "replace", false, "take the place of an earlier report of the same name")
	cmd.Flags().BoolVar(&d.Again, "again", false, "publish even if the same was delivered before")
	_ = cmd.MarkFlagRequired("client") // the flag was defined above
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := clientArg(cmd, client)
		if err != nil {
			return err
		}
		if name != "" && len(args) > 1 {
			return usagef(cmd, "--name goes with one file, not %d", len(args))
		}
		if name == "" && cmd.Flags().Changed("name") {
			return usagef(cmd, "--name is empty; is a variable of your script not set?")
		}
		if len(args) == 1 && args[0] == "-" && name == "" {
			return usagef(cmd, "--name is missing: standard input has no name")
		}
		d.Client, d.Actor = id, actor()
		return a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
			return a.deliver(ctx, g, d, name, args)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// deliver hands in the files one after the other. One that fails does not keep
// back the others.
func (a *app) deliver(ctx context.Context, g *gateway, d publish.Delivery, name string, files []string) error {
	if _, err := g.register.Client(ctx, d.Client); err != nil {
		return err
	}
	outcomes := []deliveryView{}
	var errs []error
	for _, file := range files {
		o, err := a.deliverFile(ctx, g, d, name, file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		v := viewDelivery(o)
		outcomes = append(outcomes, v)
		a.acknowledge(v, len(outcomes) == 1)
	}
	if a.format == "json" && len(outcomes) > 0 {
		errs = append(errs, a.show(outcomes, nil))
	}
	return errors.Join(errs...)
}

// acknowledge prints the line of one report as soon as it is durable: what a
// long run has achieved is known even if it is cut off.
func (a *app) acknowledge(v deliveryView, first bool) {
	const line = "%-26s  %-9s  %10s  %s  %s\n"
	if a.format == "table" {
		if first {
			fmt.Fprintf(a.out, line, "REPORT", "STATE", "SIZE", "NAME", "SEALED TO")
		}
		fmt.Fprintf(a.out, line, v.ID, v.State, size(v.Size), plain(v.Name.String()), strings.Join(v.SealedTo, " "))
	}
	if v.Known {
		fmt.Fprintf(a.err, "warning: %s was delivered before; nothing was changed (--again publishes it anew)\n", plain(v.Name.String()))
	}
	if v.HeldBecause != "" {
		fmt.Fprintf(a.err, "warning: %s is held: %s\n", plain(v.Name.String()), v.HeldBecause)
	}
}

func (a *app) deliverFile(ctx context.Context, g *gateway, d publish.Delivery, name, file string) (publish.Outcome, error) {
	if name == "" {
		name = filepath.Base(file)
	}
	var err error
	if d.Name, err = reports.ParseSegment(name); err != nil {
		return publish.Outcome{}, err
	}
	var content io.Reader
	if file == "-" {
		content, d.Size, d.Modified = untilDone(ctx, a.in), -1, now()
	} else {
		steady, err := openSteady(file)
		if err != nil {
			return publish.Outcome{}, err
		}
		defer steady.Close()
		content, d.Size, d.Modified = steady, steady.info.Size(), steady.info.ModTime()
	}
	bar := a.progress(name, d.Size, true)
	defer bar.Close()
	o, err := g.publisher.Publish(ctx, d, io.TeeReader(content, bar))
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	return o, err
}

var errInterrupted = errors.New("interrupted; nothing was published")

// untilDone reads r until ctx ends. A read from a pipe can't be called off, so
// the one under way is left behind.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(pw, r)
		pw.CloseWithError(err)
	}()
	return pr
}

// deliveryView is how an outcome is shown.
type deliveryView struct {
	ID          string           `json:"id"`
	Client      reports.ClientID `json:"client"`
	Name        reports.Name     `json:"name"`
	State       reports.State    `json:"state"`
	Size        int64            `json:"size"`
	SHA256      string           `json:"sha256"`
	SealedTo    []string         `json:"sealed_to"`
	Expires     *time.Time       `json:"expires,omitempty"`
	Known       bool             `json:"known"`
	HeldBecause string           `json:"held_because,omitempty"`
}

func viewDelivery(o publish.Outcome) deliveryView {
	r := o.Report
	v := deliveryView{
		ID: r.ID, Client: r.Client, Name: r.Name, State: r.State, Size: r.Size, SHA256: r.SHA256,
		SealedTo: r.SealedTo, Expires: optionalTime(r.Expires), Known: o.Known,
	}
	if o.HeldBecause != nil {
		v.HeldBecause = o.HeldBecause.Error()
	}
	return v
}

// steadyFile is a file that must not change while it is read.
type steadyFile struct {
	*os.File
	info os.FileInfo
}

func openSteady(path string) (*steadyFile, error) {
	// Not to hang on a named pipe that nobody writes to.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // the file is named by whoever reports the error
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file; to deliver a stream, pipe it in with - and --name")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &steadyFile{f, info}, nil
}

// errChanged says that a file changed while it was read. Half of one version and
// half of another is not a report.
var errChanged = errors.New("the file changed while it was read; nothing was published")

func (f *steadyFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	after, statErr := f.Stat()
	switch {
	case statErr != nil:
		return n, statErr
	case after.Size() != f.info.Size() || !after.ModTime().Equal(f.info.ModTime()):
		return n, errChanged
	}
	return n, err
}

// progress shows how far something is, on standard error if that is a terminal.
func (a *app) progress(what string, total int64, bytes bool) *progressbar.ProgressBar {
	visible := false
	if f, ok := a.err.(*os.File); ok {
		visible = term.IsTerminal(int(f.Fd())) && a.format != "json"
	}
	return progressbar.NewOptions64(total,
		progressbar.OptionSetDescription(plain(what)), progressbar.OptionSetWriter(a.err), progressbar.OptionSetVisibility(visible),
		progressbar.OptionShowBytes(bytes), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
}
