package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// commandTree returns root and all commands below it, by their paths.
func commandTree(root *cobra.Command) map[string]*cobra.Command {
	found := map[string]*cobra.Command{root.CommandPath(): root}
	for _, c := range root.Commands() {
		for path, below := range commandTree(c) {
			found[path] = below
		}
	}
	return found
}

func TestEveryCommandsHelpTeaches(t *testing.T) {
	t.Parallel()
	var a app
	for path, cmd := range commandTree(a.root()) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("Short is %q; want a line without a period", cmd.Short)
			}
			if cmd.Long == "" && cmd.Example == "" {
				t.Error("there is neither a Long text nor an Example")
			}
			if cmd.Example != "" && !strings.Contains(cmd.Example, path) {
				t.Errorf("the example %q is not of this command", cmd.Example)
			}
			for line := range strings.SplitSeq(cmd.Example, "\n") {
				if line != "" && !strings.HasPrefix(line, "  ") {
					t.Errorf("the example %q is not set in by two spaces", line)
				}
			}
		})
	}
}

// TestHelpIsInSections: no command is left over at the end of the program's help.
func TestHelpIsInSections(t *testing.T) {
	t.Parallel()
	root := new(app).root()
	for _, cmd := range root.Commands() {
		if cmd.GroupID == "" && !cmd.Hidden {
			t.Errorf("%s is in no section", cmd.Name())
		}
	}
	if n := len(root.Groups()); n != 5 {
		t.Errorf("%d sections", n)
	}
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	for path := range commandTree(new(app).root()) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			a := &app{in: strings.NewReader(""), out: &out, err: &errs}
			status := a.execute(t.Context(), append(strings.Fields(path)[1:], "--help"))
			if status != 0 || errs.Len() > 0 {
				t.Errorf("status %d, standard error %q", status, &errs)
			}
			if !strings.Contains(out.String(), "Usage:\n  "+path) {
				t.Errorf("the help does not show the usage:\n%s", &out)
			}
		})
	}
}

// Whatever shows something can show it as JSON.
func TestEveryCommandHasAnOutputFlag(t *testing.T) {
	t.Parallel()
	without := map[string]bool{
		"sealdrop serve": true, "sealdrop demo": true, "sealdrop config reference": true, "sealdrop guide": true,
		"sealdrop docs man": true, "sealdrop docs completion": true, "sealdrop docs reference": true,
	}
	for path, cmd := range commandTree(new(app).root()) {
		if !cmd.HasSubCommands() && !without[path] && cmd.Flags().Lookup("output") == nil {
			t.Errorf("%s has no --output", path)
		}
	}
}
