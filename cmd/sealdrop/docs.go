package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/manual"
)

// docsCommand is for whoever builds packages and documents.
func (a *app) docsCommand() *cobra.Command {
	cmd := group("docs", "write the manual that is made from the commands", "Writes what is made from the commands' own help. It needs no configuration.",
		a.docsMan(), a.docsCompletion(), a.docsReference())
	cmd.Hidden = true
	return cmd
}

func (a *app) docsMan() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "write a man page of each command into a folder", Example: "  sealdrop docs man man1",
		Args: arguments("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			files := map[string][]byte{}
			for _, p := range manual.Pages(cmd.Root(), version) {
				files[p.Name] = []byte(p.Text)
			}
			return writeDocs(args[0], files)
		},
	}
}

func (a *app) docsCompletion() *cobra.Command {
	return &cobra.Command{
		Use: "completion DIR", Short: "write the shells' completions into a folder",
		Long:    "Writes sealdrop (bash), _sealdrop (zsh), sealdrop.fish and sealdrop.ps1, by the names\nthat the shells look for.",
		Example: "  sealdrop docs completion completions",
		Args:    arguments("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			files := map[string][]byte{}
			for name, write := range map[string]func(io.Writer) error{
				"sealdrop":      func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
				"_sealdrop":     root.GenZshCompletion,
				"sealdrop.fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
				"sealdrop.ps1":  root.GenPowerShellCompletionWithDesc,
			} {
				var b bytes.Buffer
				if err := write(&b); err != nil {
					return fmt.Errorf("making the completion %s: %w", name, err)
				}
				files[name] = b.Bytes()
			}
			return writeDocs(args[0], files)
		},
	}
}

func (a *app) docsReference() *cobra.Command {
	return &cobra.Command{
		Use: "reference", Short: "print the reference of all commands as Markdown", Example: "  sealdrop docs reference >docs/cli.md",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(a.out, manual.Markdown(cmd.Root()))
			return err
		},
	}
}

func writeDocs(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing the manual: %w", err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("writing the manual: %w", err)
		}
	}
	return nil
}
