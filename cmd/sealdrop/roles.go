package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/server/access"
)

// rolesFlag gives a command its --roles.
func rolesFlag(cmd *cobra.Command, roles *[]string) {
	cmd.Flags().StringSliceVar(roles, "roles", nil, "what this host does: `edge`, intake or all (default: roles in the configuration)")
}

// withRoles returns the environment with the roles that the command line names, which
// go before the configuration's.
func withRoles(cmd *cobra.Command, roles []string) ([]string, error) {
	environ := os.Environ()
	if len(roles) == 0 {
		return environ, nil
	}
	for _, r := range roles {
		if _, err := config.ParseRole(r); err != nil {
			return nil, usagef(cmd, "--roles: %w", err)
		}
	}
	return append(environ, "SEALDROP_ROLES="+strings.Join(roles, ",")), nil // the last counts
}

// parsedRoles returns roles that [withRoles] has checked.
func parsedRoles(roles []string) (list []config.Role) {
	for _, r := range roles {
		list = append(list, config.Role(r))
	}
	return list
}

// openServing opens what `sealdrop serve` needs for its roles.
func openServing(ctx context.Context, cfg *config.Config, log *slog.Logger) (*gateway, error) {
	if cfg.EdgeOnly() {
		return openEdge(ctx, cfg, log)
	}
	g, err := openGateway(ctx, cfg, log)
	if err == nil && !cfg.Serves(config.Edge) {
		g.gate.Serves = access.ProducersOnly
	}
	return g, err
}

// openEdge opens what an edge has: the shared catalog and the shared blobs. It loads
// none of the gateway's own keys and has no publisher, so that no way leads from an
// edge to a plaintext. A folder of keys on an edge is refused: it was copied there by
// mistake, and is what an edge exists not to hold.
func openEdge(ctx context.Context, cfg *config.Config, log *slog.Logger) (g *gateway, err error) {
	if _, err := os.Lstat(ownKeysDir(cfg.Data)); !errors.Is(err, fs.ErrNotExist) {
		return nil, &advisedError{
			err:    fmt.Errorf("this host is an edge, and yet there is %s, the gateway's own keys", ownKeysDir(cfg.Data)),
			advice: "remove it from this host; with these keys, whoever gets in here can open what is held",
		}
	}
	if _, err := os.Stat(blobsDir(cfg.Data)); err != nil {
		return nil, &advisedError{
			err:    fmt.Errorf("the sealed files are not there: %w", err),
			advice: fmt.Sprintf("mount the intake's folder data/blobs at %s; `sealdrop init --roles edge` makes the rest", blobsDir(cfg.Data)),
		}
	}
	place, err := catalogPlace(cfg)
	if err != nil {
		return nil, err
	}
	if err := checkData(ctx, cfg.Data, place); err != nil {
		return nil, err
	}
	g = newGateway(cfg, log, place)
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
			g = nil
		}
	}()
	if g.db, err = place.OpenAsIs(ctx); err != nil {
		return g, err
	}
	if _, err := g.db.Read().GetMark(ctx, ownerMark); errors.Is(err, database.ErrNotFound) {
		return g, &advisedError{err: fmt.Errorf("the catalog %s belongs to no intake yet", place), advice: "start the intake host first"}
	} else if err != nil {
		return g, err
	}
	if g.blobs, err = blob.OpenDir(blobsDir(cfg.Data)); err != nil {
		return g, err
	}
	g.overCatalog(access.ClientsOnly)
	return g, g.checkShared(ctx)
}

// looked is how many of the newest reports an edge looks for. One may have been purged
// in the moment between, not all.
const looked = 20

// checkShared refuses a folder of blobs that has none of those the catalog tells of:
// a share that is not mounted, or another gateway's.
func (g *gateway) checkShared(ctx context.Context) error {
	newest, err := g.catalog.Reports(ctx, catalog.Filter{Limit: looked})
	if err != nil {
		return err
	}
	missing := 0
	for _, r := range newest {
		if r.State == reports.Removed {
			continue
		}
		b, err := g.blobs.Open(r.Blob)
		switch {
		case err == nil:
			return b.Close()
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		missing++
	}
	if missing == 0 {
		return nil
	}
	return &advisedError{
		err:    fmt.Errorf("%s has none of the %d newest files that the catalog tells of", blobsDir(g.config.Data), missing),
		advice: "mount the intake's folder data/blobs there, or correct catalog.url",
	}
}
