package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/spool"
)

// runSpools takes reports in from the spool folders until ctx ends.
func (g *gateway) runSpools(ctx context.Context) {
	cfg := g.config.Spool
	var tasks sync.WaitGroup
	for _, folder := range g.spoolFolders() {
		s := spool.New(spool.Config{
			Folder: folder, Owner: hex.EncodeToString(ownersName(g.own, "spool")), Keep: cfg.After == "move", Settle: cfg.Settle.Std(), Rescan: cfg.Rescan.Std(), Workers: cfg.Workers,
			MinFree: uint64(cfg.MinFree), Free: g.freeSpace, Publisher: g.publisher, DB: g.db, Now: now, Log: g.log,
		})
		g.log.Info("taking reports in", "event", "spool.watching", "spool", folder)
		tasks.Go(func() { s.Run(ctx) })
	}
	tasks.Wait()
}

// spoolFolders are the configured spool folders, each once.
func (g *gateway) spoolFolders() []string {
	var list []string
	for _, folder := range g.config.Spool.Folders {
		if folder = filepath.Clean(folder); !slices.Contains(list, folder) {
			list = append(list, folder)
		}
	}
	return list
}

func (g *gateway) freeSpace() (uint64, error) {
	_, free, err := g.blobs.Space()
	return free, err
}

func (a *app) spoolCommand() *cobra.Command {
	return group("spool", "see what waits in the spool folders, and what was rejected", `A file that a batch job drops as FOLDER/CLIENT/FILE into a spool folder (spool.folders)
is delivered to the client by a running gateway, and removed once the report is
safe. It is taken when it was renamed into its place, when FILE.done lies beside it,
or when nobody has written to it for a while (spool.settle).

What can't be delivered (a client there is not, a symbolic link, a file that the
gateway may not read) is moved to FOLDER/rejected/CLIENT, beside a text that says why.`,
		a.spoolList(), a.spoolRetry())
}

// spoolView is how a file in a spool folder is shown.
type spoolView struct {
	Folder   string     `json:"folder"`
	File     string     `json:"file"` // CLIENT/NAME
	State    string     `json:"state"`
	Size     int64      `json:"size"`
	Modified time.Time  `json:"modified"`
	Reason   string     `json:"reason,omitempty"`
	Hint     string     `json:"hint,omitempty"`
	Rejected *time.Time `json:"rejected,omitempty"`
}

func viewSpooled(i spool.Item) spoolView {
	v := spoolView{
		Folder: i.Folder, File: i.Client + "/" + i.Name, State: "waiting", Size: i.Size, Modified: i.Modified.UTC(),
		Reason: i.Reason, Hint: i.Hint, Rejected: optionalTime(i.At),
	}
	if i.Rejected {
		v.State = "rejected"
	}
	return v
}

func (a *app) spoolList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "list what waits in the spool folders, and what was rejected and why", Args: arguments(),
		Long: `Lists what waits in the spool folders, with what keeps it waiting where that is
plain: no gateway runs, the disk is full, the client's quota is used up. A file
without a reason is about to be taken, or still open for writing; the gateway's log
has the rest. Names that are passed over until they are renamed (.part and the like)
are not listed.

Then what was rejected, and why; -o json also has what to do about it.`,
		Example: "  sealdrop spool list\n  sealdrop spool list -o json",
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
		items, err := g.spooled()
		if err != nil {
			return err
		}
		views := []spoolView{}
		for _, i := range items {
			v := viewSpooled(i)
			if err := g.whyWaiting(ctx, i); err != nil {
				v.Reason, v.Hint = err.Error(), hint(err)
			}
			views = append(views, v)
		}
		return a.show(views, func(w io.Writer) {
			row(w, "FILE", "STATE", "SIZE", "MODIFIED", "FOLDER", "REASON")
			for _, v := range views {
				row(w, v.File, v.State, size(v.Size), stamp(v.Modified), v.Folder, v.Reason)
			}
		})
	})
	return a.outputFlag(cmd)
}

// whyWaiting says what keeps a file from being taken in, as far as that can be seen
// beside the gateway that takes it; nil if nothing does, or the file was rejected.
func (g *gateway) whyWaiting(ctx context.Context, i spool.Item) error {
	if i.Rejected {
		return nil
	}
	if r := lockHolder(filepath.Join(g.config.Data, lockName)); r.Known && !r.Running {
		return &advisedError{errors.New("no gateway runs"), "start it with `" + startCommand("/", g.config.File) + "`"}
	}
	free, err := g.freeSpace()
	if err != nil {
		return err
	}
	if free < uint64(g.config.Spool.MinFree) {
		return &advisedError{
			fmt.Errorf("the data folder's disk has less free than spool.min_free (%s)", size(int64(g.config.Spool.MinFree))),
			"make room; it is then taken in by itself",
		}
	}
	client, err := reports.ParseClientID(i.Client)
	if err != nil {
		return nil // it is about to be rejected
	}
	room, err := g.catalog.Room(ctx, client, reports.Name{}, false)
	switch {
	case errors.Is(err, reports.ErrUnknownClient):
		return nil // likewise
	case err != nil:
		return err
	}
	return room.Check(i.Size)
}

// spooled is what lies in the spool folders. It fails where there are none.
func (g *gateway) spooled() ([]spool.Item, error) {
	folders := g.spoolFolders()
	if len(folders) == 0 {
		return nil, &advisedError{
			err:    errors.New("no spool folder is configured"),
			advice: "name one in spool.folders of " + g.config.File + ", and start the gateway again",
		}
	}
	var items []spool.Item
	var errs []error
	for _, folder := range folders {
		found, err := spool.List(folder)
		items = append(items, found...)
		errs = append(errs, err)
	}
	return items, errors.Join(errs...)
}

func (a *app) spoolRetry() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "retry CLIENT/FILE…|--all", Short: "put rejected files back, to be taken in once more",
		Long: `Puts rejected files back to where they were handed in, under the names that they had
there. Mend first what they were rejected for; "spool list" says what it is.`,
		Example: "  sealdrop spool retry acme/statement.csv\n  sealdrop spool retry --all",
	}
	cmd.Flags().BoolVar(&all, "all", false, "everything that was rejected")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case all && len(args) > 0:
			return usagef(cmd, "--all and %q exclude one another", args[0])
		case !all && len(args) == 0:
			return usagef(cmd, "CLIENT/FILE is missing")
		}
		return nil
	}
	cmd.RunE = a.withGateway(func(ctx context.Context, g *gateway, args []string) error {
		items, err := g.spooled()
		if err != nil {
			return err
		}
		chosen, missing := chooseRejected(items, args)
		views, errs := []spoolView{}, missing
		for _, i := range chosen {
			err := spool.Retry(ctx, g.db, now(), actor(), i)
			if errors.Is(err, fs.ErrExist) {
				err = &advisedError{fmt.Errorf("%s/%s: a file of its name waits there already", i.Client, i.Name), "try again when that one was taken in"}
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			v := viewSpooled(i)
			v.State, v.Reason, v.Hint, v.Rejected = "waiting", "", "", nil
			views = append(views, v)
		}
		if len(views) > 0 || len(errs) == 0 {
			errs = append(errs, a.show(views, func(w io.Writer) {
				for _, v := range views {
					row(w, v.File+" was put back")
				}
			}))
		}
		return errors.Join(errs...)
	})
	return a.outputFlag(cmd)
}

// chooseRejected returns the rejected files that are named, or all where none is,
// and an error for each name that is none's. A name that does not print may be given
// as it is shown.
func chooseRejected(items []spool.Item, named []string) (chosen []spool.Item, missing []error) {
	found := make(map[string]bool)
	for _, i := range items {
		name := i.Client + "/" + i.Name
		if !slices.Contains(named, name) {
			name = plain(name)
		}
		if i.Rejected && (len(named) == 0 || slices.Contains(named, name)) {
			found[name] = true
			chosen = append(chosen, i)
		}
	}
	for _, name := range named {
		if !found[name] {
			missing = append(missing, &advisedError{fmt.Errorf("%s: no such file was rejected", name), "`sealdrop spool list` shows them"})
		}
	}
	return chosen, missing
}
