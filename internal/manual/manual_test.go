package manual_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/internal/manual"
)

// tree is a program with what is hard to set: leading dots, backslashes, quotes,
// angle brackets, bars.
func tree() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "prog", Short: "does it", Long: "Does it.\n\nA first run:\n\n  prog sub <in >out\n\n.dots and 'quotes' and back\\slash", Run: run}
	sub := &cobra.Command{Use: "sub NAME", Short: "does a part", Example: "  prog sub it\n  prog sub that", Run: run}
	sub.Flags().StringP("output", "o", "table", "output `format`: table|json")
	sub.Flags().Bool("dry-run", false, "do nothing")
	root.AddCommand(sub, &cobra.Command{Use: "secret", Short: "x", Hidden: true, Run: run})
	return root
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	got := manual.Markdown(tree())
	for _, want := range []string{
		"- [`prog`](#prog): does it\n  - [`prog sub`](#prog-sub): does a part\n",
		"```\nprog sub <in >out\n```\n", "```sh\nprog sub it\nprog sub that\n```\n",
		"| `-o, --output format` | output format: table\\|json (default table) |\n", "| `--dry-run` | do nothing |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, "secret") {
		t.Errorf("the hidden command is in it:\n%s", got)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	pages := manual.Pages(tree(), "1.2.3")
	if len(pages) != 2 || pages[0].Name != "prog.1" || pages[1].Name != "prog-sub.1" {
		t.Fatalf("pages: %v", pages)
	}
	for _, want := range []string{`\&.dots and \(aqquotes\(aq and back\eslash`, ".BR prog\\-sub (1)\n", "prog sub <in >out"} {
		if !strings.Contains(pages[0].Text, want) {
			t.Errorf("%q is not in\n%s", want, pages[0].Text)
		}
	}
	if want := ".TP\n\\fB\\-o\\fP, \\fB\\-\\-output\\fP \\fIformat\\fP\n"; !strings.Contains(pages[1].Text, want) {
		t.Errorf("%q is not in\n%s", want, pages[1].Text)
	}
}

// groff says nothing of a page that is well formed.
func TestPagesAreWellFormed(t *testing.T) {
	t.Parallel()
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("there is no groff")
	}
	for _, p := range manual.Pages(tree(), "1.2.3") {
		cmd := exec.Command(groff, "-man", "-Tutf8", "-ww")
		cmd.Stdin = strings.NewReader(p.Text)
		var complaints strings.Builder
		cmd.Stderr = &complaints
		if _, err := cmd.Output(); err != nil || complaints.Len() > 0 {
			t.Errorf("%s: %v\n%s", p.Name, err, &complaints)
		}
	}
}
