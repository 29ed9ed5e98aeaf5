package main

import (
	"crypto/fips140"
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
			cells := []any{"sealdrop " + version, out["go"], out["platform"]}
			if fips140.Enabled() {
				out["fips"] = fips140.Version()
				cells = append(cells, "FIPS 140-3 module "+out["fips"])
			}
			return a.show(out, func(w io.Writer) { row(w, cells...) })
		},
	}
	return a.outputFlag(cmd)
}
