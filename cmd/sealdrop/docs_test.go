package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// inline is a command within a sentence of a document, between backquotes.
var inline = regexp.MustCompile("`(sealdrop [^`]+)`")

// shown is a command that a document or a help text shows.
type shown struct {
	at      string // the file and the line, or the command whose help it is
	command string
}

// TestEveryCommandInTheDocsExists: the operators' manual once told, on the bad day, to type
// `client set --disable`, which there was not, and `retention release` without the reason
// that it asks for. Nothing is run here; subcommand, flags and arguments are looked up.
func TestEveryCommandInTheDocsExists(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no documents: %v", err)
	}
	var list []shown
	files = slices.DeleteFunc(files, func(file string) bool { return filepath.Base(file) == "cli.md" }) // made from the commands
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, commandsIn(filepath.Base(file), string(text))...)
	}
	for path, cmd := range commandTree(new(app).root()) {
		for line := range strings.Lines(cmd.Example) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "sealdrop ") {
				list = append(list, shown{path + " --help", line})
			}
		}
	}
	if len(list) < 100 {
		t.Fatalf("only %d commands were found", len(list))
	}
	for _, s := range list {
		if err := understood(s.command); err != nil {
			t.Errorf("%s: %s: %v", s.at, s.command, err)
		}
	}
}

// commandsIn finds the commands of a document, within sentences and in blocks of code.
func commandsIn(name, text string) []shown {
	var list []shown
	block, text := false, strings.ReplaceAll(text, "\\\n", "  ")
	for n, line := range strings.Split(text, "\n") {
		at := fmt.Sprintf("%s:%d", name, n+1)
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			block = !block
			continue
		}
		if command := strings.TrimPrefix(strings.TrimSpace(line), "$ "); block && strings.HasPrefix(command, "sealdrop ") {
			list = append(list, shown{at, command})
		}
		for _, m := range inline.FindAllStringSubmatch(line, -1) {
			if !block {
				list = append(list, shown{at, m[1]})
			}
		}
	}
	return list
}

// understood says whether the program knows what it is told: the command, its flags and,
// unless it is only mentioned, all that it asks for.
func understood(command string) error {
	words := shellWords(command)
	for i, w := range words { // a placeholder is no client's id
		if w == "ID" {
			words[i] = "acme"
		}
	}
	cmd, rest, err := new(app).root().Find(words[1:])
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	args := cmd.Flags().Args()
	if len(rest) <= 1 || slices.Contains(args, "…") { // only mentioned, or cut short
		return nil
	}
	if help, _ := cmd.Flags().GetBool("help"); help {
		return nil
	}
	for _, check := range []func() error{
		func() error { return cmd.ValidateArgs(args) }, cmd.ValidateRequiredFlags, cmd.ValidateFlagGroups, func() error { return runnable(cmd, args) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// runnable refuses words behind a command that has only subcommands.
func runnable(cmd *cobra.Command, args []string) error {
	if cmd.HasSubCommands() && len(args) > 0 {
		return fmt.Errorf("%s has no %s", cmd.CommandPath(), args[0])
	}
	return nil
}

// shellWords takes a command apart as a shell does, up to what is not for the command:
// a comment, a pipe, a redirection, what runs in the background. Brackets, which say
// that something may be left out, are taken away.
func shellWords(command string) []string {
	var words []string
	var word strings.Builder
	quote, begun := rune(0), false
	flush := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range command {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ':
			flush()
		case !begun && strings.ContainsRune("#|<>&", r):
			return words
		case r == '>' || r == '<' || r == ';':
			if strings.Trim(word.String(), "0123456789") == "" { // 2>
				begun = false
			}
			flush()
			return words
		case r == '[' || r == ']':
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	flush()
	return words
}
