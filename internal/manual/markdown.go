package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Markdown returns the reference of root and all commands below it.
func Markdown(root *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The commands of %s\n\n", root.Name())
	b.WriteString("Made from the commands' own help. Do not edit it: change the help of the command.\n\n")
	list := commands(root)
	for _, cmd := range list {
		depth := strings.Count(cmd.CommandPath(), " ")
		fmt.Fprintf(&b, "%s- [`%s`](#%s): %s\n", strings.Repeat("  ", depth), cmd.CommandPath(), anchor(cmd), cmd.Short)
	}
	for _, cmd := range list {
		markdownCommand(&b, cmd)
	}
	return b.String()
}

// anchor is what a heading with the command's path is linked to by.
func anchor(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func markdownCommand(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n\n", cmd.CommandPath(), sentence(cmd.Short))
	if cmd.Runnable() && !cmd.HasSubCommands() {
		fmt.Fprintf(b, "```\n%s\n```\n\n", usage(cmd))
	}
	for _, p := range paragraphs(cmd.Long) {
		if p.literal {
			fmt.Fprintf(b, "```\n%s\n```\n\n", unindent(p.text))
		} else {
			fmt.Fprintf(b, "%s\n\n", escape(p.text))
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "```sh\n%s\n```\n\n", unindent(cmd.Example))
	}
	if list := options(cmd); len(list) > 0 {
		b.WriteString("| option | meaning |\n|---|---|\n")
		for _, o := range list {
			names := strings.Join(o.names, ", ")
			if o.value != "" {
				names += " " + o.value
			}
			text := o.usage
			if o.def != "" {
				text += " (default " + o.def + ")"
			}
			fmt.Fprintf(b, "| `%s` | %s |\n", names, strings.ReplaceAll(escape(text), "|", `\|`))
		}
		b.WriteString("\n")
	}
}

// sentence makes a Short, which has no capital, the beginning of a sentence.
func sentence(short string) string {
	if short == "" {
		return ""
	}
	return strings.ToUpper(short[:1]) + short[1:]
}

// escape keeps < and > from being taken for HTML, outside of `code`.
func escape(text string) string {
	parts := strings.Split(text, "`")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.NewReplacer("<", "&lt;", ">", "&gt;", "*", `\*`).Replace(parts[i])
	}
	return strings.Join(parts, "`")
}

// paragraph is a part of a help text between empty lines. A literal one is set in,
// and its lines are kept as they are.
type paragraph struct {
	text    string
	literal bool
}

func paragraphs(text string) []paragraph {
	var list []paragraph
	for part := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		part = strings.Trim(part, "\n")
		if part != "" {
			list = append(list, paragraph{part, strings.HasPrefix(part, "  ")})
		}
	}
	return list
}

// unindent takes two spaces off each line.
func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
