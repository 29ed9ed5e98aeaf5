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
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealdrop/sealdrop/internal/steady"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
)

// deliverFlags are the command line of deliver.
type deliverFlags struct {
	client, name string
	template     publish.Delivery
	batch        batchOptions
	remote       remoteFlags
}

func (a *app) deliverCommand() *cobra.Command {
	var f deliverFlags
	cmd := &cobra.Command{
		Use: "deliver {--client ID FILE…|- | --manifest FILE|-}", Short: "seal reports and publish them to a client",
		Long: `Encrypts each file to the client's PGP keys and publishes it as NAME.pgp in the
client's folder: whole, or not at all. What is acknowledged is on disk and survives
a power loss. "-" reads one report from standard input, and then needs --name.

Delivering the same file again changes nothing. Another content under a name that
is taken becomes a version of it (NAME~2), unless --replace says otherwise.

Without a usable PGP key the report is held, sealed to the gateway's own hold key,
and published by itself once a key is imported.

--manifest delivers a batch: a CSV file whose header names the columns client, file,
name, date and sha256, of which client and file are needed, or one JSON object with
these keys per line. Paths are relative to the manifest's folder. All lines are
checked first, and if one is wrong nothing is delivered; --check does only that.
date, a day or a time such as 2026-11-20T17:30:00Z, becomes the report's own time. A
file that has another sha256 than its line is not published. A line that fails does
not keep back the others: the exit status is then 1, and the failures are told at the
end.

What is done is noted in FILE.delivered, line by line. Run the same command again
after a crash or a failure, and only what is missing is delivered, without reading the
rest again. --restart disregards the notes. A manifest from standard input has no such
notes unless --journal names a file for them.

--to delivers to a gateway on another machine, or as another user, through its HTTP
API instead of into the data folder. It needs what "sealdrop token add" has made: a
token in a file, or a client certificate with its key; through a unix socket neither.
Where the connection breaks, it tries again; nothing comes to be there twice.`,
		Example: `  sealdrop deliver --client acme Activity_20261120.csv
  make-report | sealdrop deliver --client acme --name Activity_20261120.csv -
  sealdrop deliver --manifest batch/list.csv --check
  sealdrop deliver --manifest batch/list.csv -o json
  sealdrop deliver --to https://gateway.example.com:8443 --token-file token --client acme report.csv
  sealdrop deliver --to unix:///run/sealdrop/api.sock --manifest batch/list.csv`,
	}
	f.define(cmd)
	cmd.Args = func(cmd *cobra.Command, args []string) error { return f.check(cmd, args) }
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.template.Actor = actor()
		return f.withDestination(a, cmd, func(ctx context.Context, to destination) (err error) {
			if f.batch.file != "" {
				return a.deliverManifest(ctx, to, f.template, f.batch)
			}
			if f.template.Client, err = clientArg(cmd, f.client); err != nil {
				return err
			}
			return a.deliver(ctx, to, f.template, f.name, args)
		})
	}
	return a.outputFlag(cmd)
}

// define adds the flags to their command.
func (f *deliverFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.client, "client", "", "the client's `ID`")
	cmd.Flags().StringVar(&f.name, "name", "", "the report's name (default: the file's)")
	cmd.Flags().BoolVar(&f.template.Replace, "replace", false, "take the place of an earlier report of the same name")
	cmd.Flags().BoolVar(&f.template.Again, "again", false, "publish even if the same was delivered before")
	cmd.Flags().BoolVar(&f.template.OverQuota, "over-quota", false, "publish even if the client's quota is used up; the record says so")
	cmd.Flags().StringVar(&f.batch.file, "manifest", "", "deliver what a `FILE` lists, or standard input (-)")
	cmd.Flags().BoolVar(&f.batch.check, "check", false, "check the manifest, and deliver nothing")
	cmd.Flags().BoolVar(&f.batch.restart, "restart", false, "disregard what the journal says was delivered")
	cmd.Flags().StringVar(&f.batch.journal, "journal", "", "`FILE` to note what was delivered in (default: the manifest's name and .delivered)")
	cmd.Flags().IntVar(&f.batch.jobs, "jobs", 64, "how many reports to work on at a time, 1 to 256: while some are sealed, others wait for the disk; with --to it is 8 unless given")
	cmd.Flags().StringVar(&f.remote.to, "to", "", "the `URL` of a gateway's API: https://HOST:PORT or unix:///PATH")
	cmd.Flags().StringVar(&f.remote.tokenFile, "token-file", "", "`FILE` with the token to show")
	cmd.Flags().StringVar(&f.remote.cert, "cert", "", "`FILE` with the client certificate to show (PEM)")
	cmd.Flags().StringVar(&f.remote.key, "key", "", "`FILE` with its private key (PEM)")
	cmd.Flags().StringVar(&f.remote.ca, "ca", "", "`FILE` with whom the gateway's certificate must be from (PEM; default: the system's authorities)")
}

// withDestination opens the data folder, or the way to another gateway.
func (f *deliverFlags) withDestination(a *app, cmd *cobra.Command, do func(context.Context, destination) error) error {
	if f.remote.to == "" {
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error { return do(ctx, ownGateway{g}) })(cmd, nil)
	}
	to, err := a.openRemote(f.remote)
	if err != nil {
		return err
	}
	return do(cmd.Context(), to)
}

// check finds what does not go together on the command line.
func (f *deliverFlags) check(cmd *cobra.Command, args []string) error {
	if err := f.remote.check(cmd.Flags().Changed); err != nil {
		return &usageError{err, cmd.CommandPath()}
	}
	if cmd.Flags().Changed("manifest") {
		return f.checkBatch(cmd, args)
	}
	for _, name := range []string{"check", "restart", "journal", "jobs"} {
		if cmd.Flags().Changed(name) {
			return usagef(cmd, "--%s goes with --manifest", name)
		}
	}
	switch {
	case !cmd.Flags().Changed("client"):
		return usagef(cmd, "--client is missing, or --manifest")
	case len(args) == 0:
		return usagef(cmd, "FILE is missing")
	case f.name != "" && len(args) > 1:
		return usagef(cmd, "--name goes with one file, not %d", len(args))
	case f.name == "" && cmd.Flags().Changed("name"):
		return usagef(cmd, "--name is empty; is a variable of your script not set?")
	case len(args) == 1 && args[0] == "-" && f.name == "":
		return usagef(cmd, "--name is missing: standard input has no name")
	}
	_, err := clientArg(cmd, f.client)
	return err
}

func (f *deliverFlags) checkBatch(cmd *cobra.Command, args []string) error {
	for _, name := range []string{"client", "name"} {
		if cmd.Flags().Changed(name) {
			return usagef(cmd, "--%s does not go with --manifest, whose lines say it", name)
		}
	}
	switch {
	case f.batch.file == "":
		return usagef(cmd, "--manifest is empty; is a variable of your script not set?")
	case len(args) > 0:
		return usagef(cmd, "unexpected argument %q: the manifest names the files", args[0])
	case f.batch.jobs < 1 || f.batch.jobs > 256:
		return usagef(cmd, "--jobs is %d; it can be 1 to 256", f.batch.jobs)
	}
	if cmd.Flags().Changed("to") && !cmd.Flags().Changed("jobs") {
		f.batch.jobs = remoteJobs
	}
	return nil
}

// deliver hands in the files one after the other. One that fails does not keep
// back the others.
func (a *app) deliver(ctx context.Context, to destination, d publish.Delivery, name string, files []string) error {
	if err := to.client(ctx, d.Client); err != nil {
		return err
	}
	outcomes := []deliveryView{}
	var errs []error
	for _, file := range files {
		v, err := a.deliverFile(ctx, to, d, name, file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", file, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
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
		gone := ""
		if v.State != reports.Held && v.State != reports.Published && v.State != reports.Collected {
			gone = fmt.Sprintf(" and is %s, so that the client does not see it", v.State)
		}
		fmt.Fprintf(a.err, "warning: %s was delivered before%s; nothing was changed (--again publishes it anew)\n", plain(v.Name.String()), gone)
	}
	if v.HeldBecause != "" {
		fmt.Fprintf(a.err, "warning: %s is held: %s\n", plain(v.Name.String()), v.HeldBecause)
	}
}

func (a *app) deliverFile(ctx context.Context, to destination, d publish.Delivery, name, file string) (v deliveryView, err error) {
	if name == "" {
		name = filepath.Base(file)
	}
	if d.Name, err = reports.ParseSegment(name); err != nil {
		return v, err
	}
	h := handIn{Delivery: d}
	var bar *progressbar.ProgressBar
	if file == "-" {
		h.Size, h.Modified, h.once = -1, now(), true
		h.open = func() (io.ReadCloser, error) { return tracked(untilDone(ctx, a.in), nil, bar), nil }
	} else {
		info, err := os.Stat(file)
		if err != nil {
			return v, withoutPath(err)
		}
		h.Size, h.Modified = info.Size(), info.ModTime()
		h.open = func() (io.ReadCloser, error) {
			f, err := openReport(file)
			if err != nil {
				return nil, err
			}
			return tracked(f, f, bar), nil
		}
	}
	bar = a.progress(name, h.Size, true)
	defer bar.Close()
	v, err = to.deliver(ctx, h)
	return v, interruptedIf(err)
}

var errInterrupted = errors.New("interrupted; nothing was published")

// interruptedIf puts it into words that the user has ended the command.
func interruptedIf(err error) error {
	if errors.Is(err, context.Canceled) {
		return errInterrupted
	}
	return err
}

// withoutPath takes the file's name off an error that is reported with it.
func withoutPath(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// trackedReader moves a bar along with what is read.
type trackedReader struct {
	r    io.Reader
	file io.Closer // nil: there is nothing to close
	bar  *progressbar.ProgressBar
}

func tracked(r io.Reader, file io.Closer, bar *progressbar.ProgressBar) io.ReadCloser {
	return &trackedReader{r, file, bar}
}

func (t *trackedReader) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	_ = t.bar.Add(n) // what is tried again goes beyond the bar's end, which is no failure
	return n, err
}

func (t *trackedReader) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

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

// openReport opens a file to deliver, in words for who named it.
func openReport(path string) (*steady.File, error) {
	f, err := steady.Open(path)
	if errors.Is(err, steady.ErrNotRegular) {
		return nil, errors.New("not a regular file; to deliver a stream, pipe it in with - and --name")
	}
	return f, err
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
