package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/keys"
)

// lookAround looks at the files and folders that the configuration names, and into the
// catalog if it can. An error is what `serve` refuses. A warning is what it goes on with;
// or what is not there yet, for a configuration may be checked before its data folder is
// made, and on another machine.
func (a *app) lookAround(ctx context.Context, cfg *config.Config) (warnings []error, err error) {
	found := lookAtData(ctx, cfg)
	switch {
	case errors.Is(found.fault, fs.ErrNotExist):
		return nil, found.fault // it was there
	case found.fault != nil:
		warnings = append(warnings, found.fault)
	}
	if !found.closed {
		if err := checkHostKeys(cfg, found.fault != nil); err != nil {
			return warnings, err
		}
	}
	warnings = append(warnings, lookAtSpools(cfg)...)
	if found.fault != nil || cfg.EdgeOnly() {
		return warnings, nil
	}
	g, err := openGateway(ctx, cfg, a.logger(cfg))
	if err != nil { // which is no fault of the configuration
		a.complain("hint", fmt.Errorf("what would become of the clients that there are could not be looked up: %w", err))
		return warnings, nil
	}
	defer func() { _ = g.Close() }() // it was only read
	a.warnOfLimits(ctx, g)
	return append(warnings, g.lockedOut(ctx, cfg)...), nil
}

// dataFound is what a look at a data folder gives.
type dataFound struct {
	fault  error // an [fs.ErrNotExist] if it is in use and lacks its keys; else it was never set up
	closed bool  // it is another user's
}

func lookAtData(ctx context.Context, cfg *config.Config) dataFound {
	if cfg.EdgeOnly() {
		_, err := os.Stat(blobsDir(cfg.Data))
		if errors.Is(err, fs.ErrNotExist) {
			return dataFound{fault: &advisedError{
				err:    fmt.Errorf("%s is not there, which an edge can't start without", blobsDir(cfg.Data)),
				advice: "mount the intake's folder data/blobs there; `sealdrop init --roles edge` makes the rest",
			}}
		}
		return dataFound{closed: errors.Is(err, fs.ErrPermission)}
	}
	_, err := keys.LoadOwn(ownKeysDir(cfg.Data))
	if errors.Is(err, fs.ErrNotExist) {
		return dataFound{fault: notSetUp(ctx, cfg, err)}
	}
	return dataFound{closed: errors.Is(err, fs.ErrPermission)}
}

// checkHostKeys loads the host keys, as a start and a reload do. Those that `sealdrop init`
// makes need not be there before it has run.
func checkHostKeys(cfg *config.Config, fresh bool) error {
	named := *cfg
	if fresh && filepath.Dir(cfg.SFTP.HostKeys[0]) == hostKeysDir(cfg.Data) {
		named.SFTP.HostKeys = nil
	}
	_, _, err := loadHostKeys(&named)
	return err
}

func lookAtSpools(cfg *config.Config) (warnings []error) {
	for _, folder := range cfg.Spool.Folders {
		info, err := os.Stat(folder)
		switch {
		case err != nil:
			warnings = append(warnings, &advisedError{
				err:    fmt.Errorf("spool.folders: %s: %w; intake pauses until it can be used", folder, withoutPath(err)),
				advice: "make the folder, or mount it, and let the gateway's user read and write it",
			})
		case !info.IsDir():
			warnings = append(warnings, &advisedError{
				err:    fmt.Errorf("spool.folders: %s is no folder; intake pauses until it is", folder),
				advice: "name the folder that the clients' folders are in",
			})
		}
	}
	return warnings
}

// lockedOut warns of the clients that a start or a reload would disable.
func (g *gateway) lockedOut(ctx context.Context, cfg *config.Config) (warnings []error) {
	list, err := g.register.WouldDisable(ctx, declarations(cfg.Clients))
	if err != nil {
		return []error{err}
	}
	if len(list) == 0 {
		return nil
	}
	names := make([]string, 0, len(list))
	for _, id := range list {
		names = append(names, id.String())
	}
	return []error{&advisedError{
		err:    fmt.Errorf("taking this over will disable %s: %s", count(len(list), "client"), someOf(names)),
		advice: "the configuration declared them before; if that is not meant, see what became of `clients:` and of the files of clients_from",
	}}
}
