package demo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// width is how many columns a line of the narration has at most.
const width = 80

// narrator prints the story.
type narrator struct {
	out   io.Writer
	color bool
}

// ANSI escape sequences.
const (
	bold  = "\x1b[1m"
	cyan  = "\x1b[36m"
	amber = "\x1b[33m"
	reset = "\x1b[0m"
)

func (n *narrator) print(style, text string) {
	if n.color && style != "" {
		text = style + text + reset
	}
	fmt.Fprintln(n.out, text)
}

func (n *narrator) blank() { fmt.Fprintln(n.out) }

func (n *narrator) title(text string) {
	n.print(bold, text)
	n.blank()
}

// say prints a paragraph.
func (n *narrator) say(text string) {
	for _, line := range wrap(text) {
		n.print("", line)
	}
	n.blank()
}

// note prints a remark about the demonstration itself.
func (n *narrator) note(text string) {
	for _, line := range wrap("Note: " + text + ".") {
		n.print(amber, line)
	}
	n.blank()
}

// command prints commands, each marked. The lines of a here-document are not: they
// must begin where they begin.
func (n *narrator) command(text string) {
	document := false
	for line := range strings.SplitSeq(text, "\n") {
		marked := line
		if !document {
			marked = "$ " + line
		}
		n.print(cyan, marked)
		document = strings.HasSuffix(line, "<<END") || document && line != "END"
	}
}

// output prints what a command printed, or those of its lines that contain one
// of the strings in only.
func (n *narrator) output(text string, only []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		chosen := len(only) == 0 || slices.ContainsFunc(only, func(s string) bool { return strings.Contains(line, s) })
		if line != "" && chosen {
			n.print("", "  "+line)
		}
	}
}

// wrap breaks a text into lines.
func wrap(text string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
