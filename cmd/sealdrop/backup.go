package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/backup"
)

func (a *app) backupCommand() *cobra.Command {
	var withoutKeys bool
	var o backup.Options
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "take a consistent copy of the data folder while it is in use",
		Long: `Makes DIR/YYYYMMDDTHHMMSSZ with the catalog as it is at that moment, the sealed
reports it shows, a manifest with the SHA-256 of each file, and the gateway's keys,
host keys, TLS certificate and configuration. The gateway goes on working. A report
that an earlier backup in DIR has takes no space in the next one (they share the
file), and yet every backup is whole in itself.

A catalog on a PostgreSQL server is copied likewise, into a file: pg_dump is not needed.

A backup holds the gateway's hold key, which opens every report that is held, and its
host keys, with which one can pass for it: keep it as safe as the gateway itself. With
--without-keys it holds sealed reports and the catalog only; the keys then have to be
kept elsewhere, because what is held can't be released without them.

DIR belongs on another disk, or is copied to one: on the same file system the first
copy of a report is a hard link, too (or a reflink), which does not survive the disk.
An interrupted run leaves a folder that ends in .partial, and the next run removes it.
"sealdrop restore" reads a backup back and checks it.`,
		Example: "  sealdrop backup /mnt/backup/sealdrop --keep 14\n  sealdrop backup /mnt/backup/sealdrop --without-keys -o json",
		Args:    arguments("DIR"),
	}
	cmd.Flags().BoolVar(&withoutKeys, "without-keys", false, "leave out the gateway's keys, host keys and TLS key")
	cmd.Flags().IntVar(&o.Keep, "keep", 0, "remove the oldest backups in DIR, so that this many remain (0: remove none)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.Keep < 0 {
			return usagef(cmd, "--keep is %d; it can be 0 or more", o.Keep)
		}
		o.Folder, o.Actor = args[0], actor()
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			return a.backup(ctx, g, o, withoutKeys)
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) backup(ctx context.Context, g *gateway, o backup.Options, withoutKeys bool) error {
	var err error
	if o.Folder, err = filepath.Abs(o.Folder); err != nil {
		return err
	}
	if err := g.mayHoldBackups(o.Folder); err != nil {
		return err
	}
	files, err := g.ownFiles(!withoutKeys)
	if err != nil {
		return fmt.Errorf("making the backup: %w", err)
	}
	bar := a.progress("copying", -1, false)
	o.Progress = func(done, total int64) {
		bar.ChangeMax64(total)
		_ = bar.Set64(done) // it only shows
	}
	done, err := backup.Make(ctx, backup.Source{
		DB: g.db, Catalog: g.catalog, Blobs: g.blobs, Files: files, Keys: !withoutKeys, Version: version, Now: now,
	}, o)
	_ = bar.Close()
	var lost *backup.LostError
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; there is no backup of this run")
	case errors.Is(err, syscall.ENOTDIR):
		return &advisedError{err: err, advice: "name a folder; each backup becomes a folder in it"}
	case err != nil && !errors.As(err, &lost):
		return err
	}
	return errors.Join(err, a.show(done, func(w io.Writer) {
		row(w, "backup", done.Backup)
		row(w, "files", done.Files)
		row(w, "size", size(done.Bytes))
		row(w, "reports", fmt.Sprintf("%d shared by hard link, %d by reflink, %d copied", done.Linked, done.Cloned, done.Copied))
		if done.Purged > 0 {
			row(w, "purged meanwhile", done.Purged)
		}
		for _, id := range done.Lost {
			row(w, "not there", id)
		}
		if done.Removed > 0 {
			row(w, "older backups removed", done.Removed)
		}
	}))
}

// mayHoldBackups fails for a folder from which the gateway itself takes things away:
// in the data folder a backup would look like rubbish, in a spool folder like
// something to deliver.
func (g *gateway) mayHoldBackups(folder string) error {
	resolved, err := realPath(folder)
	if err != nil {
		return fmt.Errorf("making the backup in %s: %w", folder, err)
	}
	refused := map[string]string{g.config.Data: "the data folder"}
	for _, spool := range g.spoolFolders() {
		refused[spool] = "the spool folder " + spool
	}
	for path, what := range refused {
		path, err := realPath(path)
		if err != nil {
			return fmt.Errorf("making the backup: %w", err)
		}
		if backup.Within(resolved, path) {
			return &advisedError{
				err:    fmt.Errorf("%s is in %s", folder, what),
				advice: "a backup belongs elsewhere, on another disk",
			}
		}
	}
	return nil
}

// realPath resolves the symbolic links in as much of a path as is there.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
		return resolved, err
	}
	parent, err := realPath(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}

// ownFiles lists what belongs into a backup beside the catalog and the reports.
func (g *gateway) ownFiles(withKeys bool) ([]backup.File, error) {
	l := fileList{taken: map[string]bool{}}
	l.add("config", g.config.File)
	for _, path := range []string{g.config.Sealing.Escrow, g.config.API.TLS.ClientCA} {
		if path != "" {
			l.add("config", path)
		}
	}
	for _, pattern := range g.config.ClientsFrom {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		l.add("config", found...)
	}
	if withKeys {
		l.addAll("keys", ownKeysDir(g.config.Data))
		for _, path := range g.config.SFTP.HostKeys {
			l.add("hostkeys", path, path+".pub")
		}
		l.addAll("tls", tlsDir(g.config.Data))
		if c := g.config.FTP.TLS; c.Certificate != "" {
			l.add("tls", c.Certificate, c.Key)
		}
		if c := g.config.API.TLS; c.Certificate != "" {
			l.add("tls", c.Certificate, c.Key)
		}
	}
	return l.files, l.err
}

// fileList gathers files that are there, until an error.
type fileList struct {
	files []backup.File
	taken map[string]bool
	err   error
}

// add puts files into a folder of the backup. One that is not there is passed over.
func (l *fileList) add(folder string, paths ...string) {
	for _, path := range paths {
		info, err := os.Stat(path)
		to := folder + "/" + filepath.Base(path)
		switch {
		case l.err != nil || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			l.err = err
		case info.Mode().IsRegular() && !l.taken[to]:
			l.taken[to] = true
			l.files = append(l.files, backup.File{From: path, To: to})
		}
	}
}

// addAll puts the files of a folder, which may not be there, into one of the backup.
func (l *fileList) addAll(folder, dir string) {
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.err = errors.Join(l.err, err)
	}
	for _, f := range found {
		l.add(folder, filepath.Join(dir, f.Name()))
	}
}
