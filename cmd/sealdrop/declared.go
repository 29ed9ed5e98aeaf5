package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealdrop/sealdrop/reports"
)

// awaitedError says that a client is declared in the configuration, and that no gateway
// has taken the declaration over into the catalog yet. It is a [reports.ErrUnknownClient].
type awaitedError struct {
	client        reports.ClientID
	place, remedy string
}

func (e *awaitedError) Error() string {
	return fmt.Sprintf("client %s is declared at %s and not taken over yet", e.client, e.place)
}

// Unwrap makes the error a [reports.ErrUnknownClient].
func (e *awaitedError) Unwrap() error { return reports.ErrUnknownClient }

// Hint says what takes the declaration over.
func (e *awaitedError) Hint() string { return e.remedy }

// awaited returns an error if the configuration declares a client that the catalog does not
// have. To add it by command would be undone by the next start.
func (g *gateway) awaited(ctx context.Context, id reports.ClientID) error {
	for _, c := range g.config.Clients {
		if c.ID != id {
			continue
		}
		if _, err := g.register.Account(ctx, id); !errors.Is(err, reports.ErrUnknownClient) {
			return err
		}
		return &awaitedError{client: id, place: c.Declared["id"], remedy: g.takeOver()}
	}
	return nil
}

// takeOver says what has the declared clients applied.
func (g *gateway) takeOver() string {
	gateway := lockHolder(filepath.Join(g.config.Data, lockName))
	start := startCommand("/", g.config.File)
	switch {
	case !gateway.Running:
		return fmt.Sprintf("start the gateway, which takes it over: `%s`", start)
	case start != serveCommand:
		return "have the gateway take it over: `systemctl reload sealdrop`"
	case gateway.PID > 0:
		return fmt.Sprintf("have the gateway take it over: `kill -HUP %d`", gateway.PID)
	}
	return "have the gateway take it over: send it SIGHUP"
}

// explained puts an error about a client that there is not into the words of [awaitedError]
// where they fit.
func (g *gateway) explained(ctx context.Context, err error) error {
	if !errors.Is(err, reports.ErrUnknownClient) {
		return err
	}
	list := split(err)
	for i, one := range list {
		unknown := new(reports.UnknownClientError)
		if errors.As(one, &unknown) {
			if better := g.awaited(ctx, unknown.Client); better != nil {
				list[i] = better
			}
		}
	}
	if len(list) == 1 {
		return list[0]
	}
	return errors.Join(list...)
}

const (
	// packageConfig is the configuration that the package's unit runs the gateway on.
	packageConfig = "/etc/sealdrop/config.yaml"
	// serveCommand starts a gateway where no unit does.
	serveCommand = "sealdrop serve"
)

// startCommand returns what starts the gateway of a configuration on the machine whose
// files are below root: where the package's unit does, another beside it would be in its way.
func startCommand(root, file string) string {
	if path, err := filepath.Abs(file); err != nil || path != packageConfig || !isThere(filepath.Join(root, "run/systemd/system")) {
		return serveCommand
	}
	for _, dir := range []string{"etc/systemd/system", "lib/systemd/system", "usr/lib/systemd/system"} {
		if isThere(filepath.Join(root, dir, "sealdrop.service")) {
			return "systemctl start sealdrop"
		}
	}
	return serveCommand
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
