package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sealdrop/sealdrop/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var c demo.Config
	cmd := &cobra.Command{
		Use: "demo", Short: "show the whole way of a statement, with real clients",
		Long: `Plays the whole way of a statement, in under half a minute: a gateway, two clients and
their keys, deliveries, fetching with sftp, decrypting with gpg, what strangers get,
and a sweep. Each command is printed as it is run, to be copied and tried.

It works in a folder of its own, touches no gateway that you have, and listens on
127.0.0.1 only: on port 32, or on a higher one if that is not to be had. It uses
ssh-keygen, puttygen, gpg and sftp, and leaves out what needs one that is missing.
At the end it ends what it started and removes the folder. If something is not as
it should be, it says what, keeps the folder, and ends with exit status 1.`,
		Example: `  sealdrop demo
  sealdrop demo --keep                      # then connect with FileZilla
  sealdrop demo --dir /tmp/sealdrop-demo    # and look at what is in it`,
		Args: arguments(),
	}
	cmd.Flags().BoolVar(&c.Keep, "keep", false, "leave the gateway running until Ctrl-C, and say how to connect to it")
	cmd.Flags().StringVar(&c.Dir, "dir", "", "the `folder` to work in: new or empty; it is not removed (default: a temporary one, which is)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		program, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		c.Program, c.Out, c.Color, c.Environ, c.Now = program, a.out, a.color(), os.Environ(), now
		// Whatever ends it, what it started must end, too: also when its terminal
		// goes, or whoever reads its output.
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP, syscall.SIGPIPE)
		defer stop()
		return demo.Run(ctx, c)
	}
	return cmd
}

// color tells whether standard output is a terminal that shows colours.
func (a *app) color() bool {
	f, ok := a.out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
