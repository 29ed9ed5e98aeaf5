// Package manual writes the reference of a program's commands from the commands
// themselves: one Markdown document of all ([Markdown]), and a man page of each
// ([Pages]). What a command says of itself with --help is all there is, so the
// manual can't say something else than the program.
//
// The same commands make the same bytes: there is no date and no path of this
// machine in them. Hidden commands, and cobra's own help command, are left out.
package manual

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commands returns root and all commands below it that are to be seen, in the
// order of their paths.
func commands(root *cobra.Command) []*cobra.Command {
	found := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.Hidden || c.Name() == "help" {
			continue
		}
		found = append(found, commands(c)...)
	}
	slices.SortFunc(found, func(a, b *cobra.Command) int { return strings.Compare(a.CommandPath(), b.CommandPath()) })
	return found
}

// below returns the commands directly below cmd that are to be seen.
func below(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(commands(cmd), func(c *cobra.Command) bool { return c.Parent() != cmd })
}

// option is a flag as both forms show it.
type option struct {
	names []string // "-o", "--output"
	value string   // what it takes; "" for a switch
	usage string
	def   string // "" where it is not worth telling
}

// options returns the flags that cmd itself defines, in the order of their names.
func options(cmd *cobra.Command) []option {
	var list []option
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		o := option{names: []string{"--" + f.Name}}
		if f.Shorthand != "" {
			o.names = []string{"-" + f.Shorthand, "--" + f.Name}
		}
		o.value, o.usage = pflag.UnquoteUsage(f)
		switch f.DefValue {
		case "", "false", "0", "0s", "[]":
		default:
			o.def = f.DefValue
		}
		list = append(list, o)
	})
	return list
}

// usage is the line that shows how the command is written.
func usage(cmd *cobra.Command) string { return cmd.UseLine() }
