package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/reports"
)

// show prints value as JSON, or calls table, as -o says.
func (a *app) show(value any, table func(w io.Writer)) error {
	if a.format == "json" {
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(value)
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// row prints one line of a table. Cells are made safe for a terminal: a name
// may hold what its owner chose.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, plain(fmt.Sprint(c)))
	}
	fmt.Fprintln(w)
}

// plain makes a text safe for a terminal, and for a document of lines: nothing in it
// begins another line, moves the cursor, or turns what stands around it.
func plain(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return '?'
		}
		return r
	}, s)
}

// printable is how a text of several lines is shown in messages: what is not seen, or
// works on the terminal, is written as Go does (\x1b, \u202e). A message may quote a name
// that a stranger chose.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || unicode.IsGraphic(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// mostNamed is how many things a message names one by one.
const mostNamed = 20

// someOf lists names, of many the first.
func someOf(names []string) string {
	if more := len(names) - mostNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNamed], ", "), more)
	}
	return strings.Join(names, ", ")
}

// stamp is how times are shown: UTC, to the minute, "-" where there is none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// limitArg reads --limit where 0 stands for all.
func limitArg(cmd *cobra.Command, limit int64) (int64, error) {
	switch {
	case limit < 0:
		return 0, usagef(cmd, "--limit is %d; it can be 0 or more", limit)
	case limit == 0:
		return math.MaxInt64, nil
	}
	return limit, nil
}

// optionalTime keeps times that are not set out of JSON.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}

// size is how lengths in bytes are shown to people.
func size(n int64) string {
	if n < 0 {
		return "-"
	}
	return reports.SizeText(n)
}

// wrap breaks a text into lines of some width, between words. A word that is too long
// stands alone.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
