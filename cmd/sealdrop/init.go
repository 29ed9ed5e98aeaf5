package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/durable"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/sshkey"
	"github.com/sealdrop/sealdrop/reports/blob"
)

func (a *app) initCommand() *cobra.Command {
	var dir, catalogURL string
	var roles []string
	cmd := &cobra.Command{
		Use: "init --dir DIR", Short: "make a configuration, a data folder and the gateway's keys",
		Long: `Makes DIR/config.yaml with every setting explained, DIR/data for the catalog and the
sealed reports, SSH host keys (Ed25519 and RSA-3072), and the gateway's own PGP
keys. All of it is readable by you only. What is there already is left as it is, so
it is safe to run again; a configuration that names another data folder is obeyed.

For an edge it makes no keys but the host keys, and no catalog: it writes the roles
and the URL into a new configuration, and an empty folder data/blobs to mount the
intake's on. Both hosts need the same user id for the user that runs sealdrop.`,
		Example: "  sealdrop init --dir /etc/sealdrop\n  sealdrop init --dir /etc/sealdrop --roles edge --catalog-url postgres://sealdrop_edge@db.example/sealdrop",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&dir, "dir", ".", "the `folder` for all of it")
	cmd.Flags().StringVar(&catalogURL, "catalog-url", "", "PostgreSQL `URL` of the catalog, for a new configuration (default: a file in the data folder)")
	rolesFlag(cmd, &roles)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		values, err := initialValues(cmd, catalogURL, roles)
		if err != nil {
			return err
		}
		made, err := initialize(cmd.Context(), dir, values)
		if err != nil {
			return err
		}
		return a.show(made, func(w io.Writer) {
			row(w, "configuration", made.Config)
			row(w, "data folder", made.Data)
			for _, f := range made.HostKeys {
				row(w, "host key", f)
			}
			if made.Edge {
				fmt.Fprintf(w, "\nNext: mount the intake's data/blobs at %s, then sealdrop --config '%s' serve\n", blobsDir(made.Data), made.Config)
				return
			}
			fmt.Fprintf(w, "\nNext: sealdrop --config '%s' client add acme --allow ADDRESS\n", made.Config)
		})
	}
	return a.outputFlag(cmd)
}

// initialized tells what init made or found.
type initialized struct {
	Config   string   `json:"config"`
	Data     string   `json:"data"`
	HostKeys []string `json:"host_keys"` // fingerprints
	Edge     bool     `json:"edge"`
}

// initialValues are what the command line wants a new configuration to have.
func initialValues(cmd *cobra.Command, catalogURL string, roles []string) (map[string]string, error) {
	environ, err := withRoles(cmd, roles)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	if catalogURL != "" {
		values["catalog.url"] = catalogURL
	}
	if len(roles) > 0 {
		values["roles"] = strings.Join(roles, ",")
	}
	edge := (&config.Config{Roles: parsedRoles(roles)}).EdgeOnly()
	if edge && catalogURL == "" && !slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "SEALDROP_CATALOG_URL=") }) {
		return nil, usagef(cmd, "an edge shares the intake's catalog: --catalog-url is missing")
	}
	return values, nil
}

func initialize(ctx context.Context, dir string, values map[string]string) (initialized, error) {
	made := initialized{Config: filepath.Join(dir, "config.yaml")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return made, fmt.Errorf("making %s: %w", dir, err)
	}
	if err := writeConfig(made.Config, values); err != nil {
		return made, err
	}
	cfg, err := config.Load(made.Config, os.Environ())
	if err != nil {
		return made, err
	}
	made.Data, made.Edge = cfg.Data, cfg.EdgeOnly()
	folders := []string{cfg.Data, blobsDir(cfg.Data), hostKeysDir(cfg.Data)}
	if !made.Edge {
		folders = append(folders, ownKeysDir(cfg.Data))
	}
	for _, d := range folders {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return made, fmt.Errorf("making the data folder: %w", err)
		}
	}
	if err := sshkey.GenerateHostKeys(hostKeysDir(cfg.Data)); err != nil && !errors.Is(err, fs.ErrExist) {
		return made, err
	}
	signers, err := sshkey.LoadHostKeys(cfg.SFTP.HostKeys...)
	if err != nil {
		return made, err
	}
	for _, s := range signers {
		made.HostKeys = append(made.HostKeys, hostKeyLine(s.PublicKey()))
	}
	if !made.Edge {
		err = initializeIntake(ctx, cfg)
	}
	return made, errors.Join(err, durable.SyncDir(cfg.Data), durable.SyncDir(dir))
}

// initializeIntake makes the gateway's own keys, and the catalog.
func initializeIntake(ctx context.Context, cfg *config.Config) error {
	place, err := catalogPlace(cfg)
	if err != nil {
		return err
	}
	if err := createOwn(ctx, cfg.Data, place); err != nil {
		return err
	}
	blobs, err := blob.OpenDir(blobsDir(cfg.Data))
	if err != nil {
		return err
	}
	own, err := keys.LoadOwn(ownKeysDir(cfg.Data))
	if err != nil {
		return errors.Join(err, blobs.Close())
	}
	db, err := openCatalog(ctx, place, own)
	if err != nil {
		return errors.Join(err, blobs.Close())
	}
	return errors.Join(db.Close(), blobs.Close())
}

// createOwn makes the gateway's own keys in a data folder that is new. In one that
// is in use they must be there: what is held could not be released with others.
func createOwn(ctx context.Context, data string, place database.Place) error {
	used, err := place.Exists(ctx)
	if err != nil {
		return err
	}
	if used {
		_, err := keys.LoadOwn(ownKeysDir(data))
		if errors.Is(err, fs.ErrNotExist) {
			return keysGone(data, err)
		}
		return err
	}
	left, err := filepath.Glob(filepath.Join(blobsDir(data), "??", "*"))
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return &advisedError{
			err:    fmt.Errorf("%s holds %d sealed files, but there is no catalog that knows them", blobsDir(data), len(left)),
			advice: fmt.Sprintf("restore the catalog %s from a backup, or move the blobs away", place),
		}
	}
	return keys.CreateOwn(ownKeysDir(data), now())
}

func writeConfig(path string, values map[string]string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	text, err := config.Template(values)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(path, text, 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
