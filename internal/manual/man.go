package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Page is a man page of section 1.
type Page struct {
	Name string // of the file: "sealdrop-client-add.1"
	Text string // troff with the macros of man(7)
}

// Pages returns a man page of root and of each command below it. The version is
// shown at the foot.
func Pages(root *cobra.Command, version string) []Page {
	var list []Page
	for _, cmd := range commands(root) {
		list = append(list, Page{anchor(cmd) + ".1", manPage(cmd, version)})
	}
	return list
}

func manPage(cmd *cobra.Command, version string) string {
	var b strings.Builder
	name := anchor(cmd)
	program := cmd.Root().Name()
	fmt.Fprintf(&b, ".TH %q 1 \"\" %q %q\n", strings.ToUpper(name), program+" "+version, "The commands of "+program)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", troff(name), troff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", troff(usage(cmd)))
	if cmd.Long != "" {
		b.WriteString(".SH DESCRIPTION\n")
		for i, p := range paragraphs(cmd.Long) {
			switch {
			case p.literal:
				fmt.Fprintf(&b, ".PP\n.RS 4\n.nf\n%s\n.fi\n.RE\n", troff(unindent(p.text)))
			case i > 0:
				fmt.Fprintf(&b, ".PP\n%s\n", troff(p.text))
			default:
				fmt.Fprintf(&b, "%s\n", troff(p.text))
			}
		}
	}
	if list := options(cmd); len(list) > 0 {
		b.WriteString(".SH OPTIONS\n")
		for _, o := range list {
			manOption(&b, o)
		}
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", troff(unindent(cmd.Example)))
	}
	manSeeAlso(&b, cmd)
	return b.String()
}

func manOption(b *strings.Builder, o option) {
	names := make([]string, len(o.names))
	for i, n := range o.names {
		names[i] = `\fB` + troff(n) + `\fP`
	}
	line := strings.Join(names, ", ")
	if o.value != "" {
		line += ` \fI` + troff(o.value) + `\fP`
	}
	text := o.usage
	if o.def != "" {
		text += " (default " + o.def + ")"
	}
	fmt.Fprintf(b, ".TP\n%s\n%s\n", line, troff(text))
}

func manSeeAlso(b *strings.Builder, cmd *cobra.Command) {
	var also []string
	if cmd.HasParent() {
		also = append(also, anchor(cmd.Parent()))
	}
	for _, c := range below(cmd) {
		also = append(also, anchor(c))
	}
	if len(also) == 0 {
		return
	}
	b.WriteString(".SH SEE ALSO\n")
	for i, name := range also {
		comma := ","
		if i == len(also)-1 {
			comma = ""
		}
		fmt.Fprintf(b, ".BR %s (1)%s\n", troff(name), comma)
	}
}

// troff writes text so that nothing in it is taken for a request or an escape.
func troff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "\\(ga", "'", `\(aq`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
