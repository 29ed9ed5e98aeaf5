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

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/backup"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/fsck"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

func (a *app) restoreCommand() *cobra.Command {
	var o backup.RestoreOptions
	var server serverFlags
	cmd := &cobra.Command{
		Use: "restore BACKUP --to NEWDATA", Short: "make a data folder of a backup, and check it",
		Long: `Copies a backup into the new folder NEWDATA, which becomes a data folder. BACKUP is
one that "sealdrop backup" made, or the folder of several, of which the newest is
taken. Every file is compared with the manifest's SHA-256, the catalog is opened, the
audit's chain compared with the one that was noted, and all of it checked as
"sealdrop fsck" does, before NEWDATA gets its name. If anything is wrong there is no
NEWDATA, and the error names the file. Nothing is ever overwritten: NEWDATA must be
absent or empty. An interrupted run leaves NEWDATA.partial, and the next run removes it.

--accept-losses restores all else where single reports are missing or damaged, and
drops those from the catalog, each with an audit record.

With --catalog-url the catalog goes into an empty database of a PostgreSQL server,
whichever engine it was on. Without it, it stays in NEWDATA.

It needs no configuration, and no gateway. Afterwards let "data" in the
configuration name NEWDATA, and start the gateway; the configuration as it was is in
NEWDATA/config. What was published after the backup is not in it: deliver it again.`,
		Example: "  sealdrop restore /mnt/backup/sealdrop --to /var/lib/sealdrop-restored\n" +
			"  sealdrop restore /mnt/backup/sealdrop/20261122T021600Z --to /var/lib/sealdrop-restored\n" +
			"  sealdrop restore /mnt/backup/sealdrop --to /var/lib/sealdrop-restored --catalog-url postgres://sealdrop@db.example.com/sealdrop",
		Args: arguments("BACKUP"),
	}
	cmd.Flags().StringVar(&o.To, "to", "", "the `folder` to make")
	cmd.Flags().BoolVar(&o.AcceptLosses, "accept-losses", false, "leave out reports that are missing or damaged, and restore the rest")
	cmd.Flags().StringVar(&server.url, "catalog-url", "", "put the catalog into this empty database, a `URL` as catalog.url has it")
	cmd.Flags().StringVar(&server.passwordFile, "catalog-password-file", "", "`file` with the database's password, as catalog.password_file")
	_ = cmd.MarkFlagRequired("to") // the flag was defined above
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.To == "" {
			return usagef(cmd, "--to is empty; is a variable of your script not set?")
		}
		if cmd.Flags().Changed("catalog-url") {
			place, err := server.place()
			if err != nil {
				return err
			}
			o.Server = &place
		} else if server.passwordFile != "" {
			return usagef(cmd, "--catalog-password-file goes with --catalog-url")
		}
		if err := mayHoldData(o.To); err != nil {
			return err
		}
		o.From, o.Actor, o.Now, o.Check = args[0], actor(), now, checkRestored
		bar := a.progress("restoring", -1, true)
		o.Progress = func(n int64) { _ = bar.Add64(n) } // it only shows
		done, err := backup.Restore(cmd.Context(), o)
		_ = bar.Close()
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted; nothing was restored")
		}
		if err != nil {
			return err
		}
		return a.show(done, func(w io.Writer) { restoredTable(w, done) })
	}
	return a.outputFlag(cmd)
}

// mayHoldData fails for a folder in another data folder, or in a backup: what
// belongs to which could not be told any more.
func mayHoldData(folder string) error {
	dir, err := realPath(folder)
	if err != nil {
		return fmt.Errorf("restoring: %w", err)
	}
	for dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if isDir(blobsDir(dir)) && isDir(ownKeysDir(dir)) {
			return &advisedError{
				fmt.Errorf("%s is in %s, which is a data folder or a backup itself", folder, dir),
				"name a folder beside it with --to",
			}
		}
	}
	return nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// serverFlags name a database of a PostgreSQL server.
type serverFlags struct{ url, passwordFile string }

func (f serverFlags) place() (database.Place, error) {
	password, err := catalogPassword(f.passwordFile)
	if err != nil {
		return database.Place{}, err
	}
	place, err := database.AtServer(f.url, password)
	if err != nil {
		return place, fmt.Errorf("--catalog-url: %w", err)
	}
	return place, nil
}

func restoredTable(w io.Writer, done backup.Restored) {
	row(w, "data folder", done.Data)
	row(w, "from the backup", done.Backup)
	if done.Catalog != "" {
		row(w, "catalog", done.Catalog)
	}
	row(w, "made", stamp(done.Made))
	row(w, "files", done.Files)
	row(w, "size", size(done.Bytes))
	if done.Dropped > 0 {
		row(w, "left out: purged while the backup was made", done.Dropped)
	}
	if done.Lost > 0 {
		row(w, "left out: missing or damaged", done.Lost)
	}
	fmt.Fprintf(w, "\nEvery file was checked. Next: let `data` in the configuration name %s.\n", plain(done.Data))
	if done.Catalog != "" {
		fmt.Fprintln(w, "Let `catalog.url` name the database.")
	}
	if !done.Keys {
		fmt.Fprintf(w, "The backup was made without keys: put the gateway's own into %s and %s first.\n",
			plain(ownKeysDir(done.Data)), plain(hostKeysDir(done.Data)))
	}
}

// checkRestored looks at a data folder as `sealdrop fsck` does, without a
// configuration, and maybe without the gateway's own keys.
func checkRestored(ctx context.Context, data string) (err error) {
	db, err := database.InFolder(data).Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	blobs, err := blob.OpenDir(blobsDir(data))
	if err != nil {
		return err
	}
	defer blobs.Close() // only read from
	certs := certificates{register: keys.NewRegister(db, now)}
	own, err := keys.LoadOwn(ownKeysDir(data))
	switch {
	case err == nil:
		certs.own = []pgp.Certificate{own.Hold.Certificate()}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	const never = 100 * 365 * 24 * time.Hour // blobs without a row are not this check's business
	var first *fsck.Finding
	findings := 0
	_, err = fsck.New(fsck.Config{
		DB: db, Catalog: catalog.New(db, now), Blobs: blobs, Certificate: certs.find, Grace: never, Now: now,
	}).Run(ctx, fsck.Options{}, func(f fsck.Finding) {
		if f.Kind == fsck.Usage { // is mended by a command, and must keep nobody from his reports
			return
		}
		if findings++; first == nil {
			first = &f
		}
	})
	if err != nil {
		return err
	}
	if first != nil {
		return fmt.Errorf("%d findings; the first: %s", findings, strings.TrimSpace(first.Name+" "+first.Problem))
	}
	return nil
}
