package main

import (
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "print the program's version", Args: arguments(),
		Example: "  sealdrop version -o json",
		RunE: func(*cobra.Command, []string) error {
			out := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return a.show(out, func(w io.Writer) { row(w, "sealdrop "+version, out["go"], out["platform"]) })
		},
	}
	return a.outputFlag(cmd)
}
