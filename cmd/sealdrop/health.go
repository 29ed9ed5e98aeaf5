package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/config"
)

// healthTimeout is longer than the gateway gives each of its own checks.
const healthTimeout = 5 * time.Second

func (a *app) healthCommand() *cobra.Command {
	var alive bool
	cmd := &cobra.Command{
		Use: "health", Short: "ask the running gateway whether it can do its work",
		Long: `Asks the admin listener (ops.listen) of the gateway that runs on this configuration
whether it lets clients in, and has its catalog and its data folder. It is made for
what watches containers; a person learns more from ` + "`sealdrop status`" + `.

With --alive it only asks whether the gateway answers at all. That is what to restart
it on: a restart mends no catalog that can't be reached.

Exit status: 0 it can, 1 it can't, or nobody answers.`,
		Example: "  sealdrop health\n  sealdrop health --alive\n  sealdrop health -o json",
		Args:    arguments(),
	}
	cmd.Flags().BoolVar(&alive, "alive", false, "ask only whether it answers")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := a.loadConfig()
		if err != nil {
			return err
		}
		h, err := askHealth(cmd.Context(), cfg, alive)
		if err != nil {
			return err
		}
		if !h.Ready {
			return h.fault()
		}
		return a.show(h, func(w io.Writer) {
			for _, c := range h.Checks {
				row(w, c.Name, "ok")
			}
			if len(h.Checks) == 0 {
				row(w, "the gateway answers")
			}
		})
	}
	return a.outputFlag(cmd)
}

// health is the gateway's own answer.
type health struct {
	Ready  bool          `json:"ready"`
	Checks []healthCheck `json:"checks"`
}

type healthCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// fault says what is in the way.
func (h health) fault() error {
	var why []string
	for _, c := range h.Checks {
		if !c.OK {
			why = append(why, c.Reason)
		}
	}
	return fmt.Errorf("the gateway can't do its work: %s", strings.Join(why, "; "))
}

func askHealth(ctx context.Context, cfg *config.Config, alive bool) (h health, err error) {
	network, address := "unix", ""
	switch {
	case !cfg.Ops.Enabled():
		return h, &advisedError{err: errors.New("the gateway has no admin listener to ask"), advice: `set ops.listen, as in ["unix:/run/sealdrop/ops.sock"], and start it again`}
	case len(cfg.Ops.Sockets()) > 0:
		address = cfg.Ops.Sockets()[0]
	default:
		network, address = "tcp", cfg.Ops.Addresses()[0]
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	path := "/readyz"
	if alive {
		path = "/healthz"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return h, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return h, &advisedError{
			err:    fmt.Errorf("nobody answers at %s: %w", address, errors.Unwrap(err)), // without the URL, which is made up
			advice: "start the gateway with `sealdrop serve`, and look at its log if it ends",
		}
	}
	defer answer.Body.Close() // it was only read
	if alive && answer.StatusCode == http.StatusOK {
		return health{Ready: true, Checks: []healthCheck{}}, nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&h); err != nil {
		return h, fmt.Errorf("reading the answer from %s: %w", address, err)
	}
	return h, nil
}
