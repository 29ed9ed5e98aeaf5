package measure

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Load returns how many processes were ready to run in the last minute on average.
func Load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	minute, _, _ := strings.Cut(string(text), " ")
	return minute
}

// Median returns the median, 0 of no values.
func Median[T ~int64 | ~float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

// WriteTable aligns the columns, so that the table reads well as it is.
func WriteTable(out *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], len([]rune(text)))
		}
	}
	for n, row := range rows {
		for i, text := range row {
			fmt.Fprintf(out, "| %-*s ", widths[i], text)
		}
		out.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				out.WriteString("|" + strings.Repeat("-", width+2))
			}
			out.WriteString("|\n")
		}
	}
}

// InMemory reports whether a folder is in memory (tmpfs).
func InMemory(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.TMPFS_MAGIC
}

var (
	modelName  = regexp.MustCompile(`(?m)^model name\s*:\s*(.+)$`)
	prettyName = regexp.MustCompile(`(?m)^PRETTY_NAME="?([^"\n]+)`)
)

// Machine describes this computer in a line.
func Machine() string {
	parts := []string{fmt.Sprintf("%d cores", runtime.NumCPU())}
	parts = append(parts, firstMatch("/proc/cpuinfo", modelName)...)
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		parts = append(parts, "Linux "+strings.TrimSpace(string(release)))
	}
	parts = append(parts, firstMatch("/etc/os-release", prettyName)...)
	return strings.Join(append(parts, runtime.Version()), ", ")
}

// firstMatch returns the first group of the first match in the file, or nothing.
func firstMatch(file string, of *regexp.Regexp) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	if m := of.FindSubmatch(text); m != nil {
		return []string{string(m[1])}
	}
	return nil
}

// Between returns a document with what is between two marks replaced: those that say that a
// command writes it.
func Between(text, command, part string) (string, error) {
	begin, end := Marks(command)
	before, rest, begun := strings.Cut(text, begin)
	_, after, ended := strings.Cut(rest, end)
	if !begun || !ended {
		return "", &MarksError{command}
	}
	return before + begin + part + end + after, nil
}

// WriteBetween does so in a file.
func WriteBetween(file, command, part string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	changed, err := Between(string(text), command, part)
	if err != nil {
		return fmt.Errorf("writing the result to %s: %w", file, err)
	}
	return os.WriteFile(file, []byte(changed), 0o644)
}

// Marks returns the lines between which a command writes its result into a document.
func Marks(command string) (begin, end string) {
	return "<!-- begin: written by " + command + " -->\n", "<!-- end: written by " + command + " -->\n"
}

// MarksError says that a document has no place for a command's result.
type MarksError struct{ Command string }

func (e *MarksError) Error() string {
	return "the document lacks the marks between which the result of " + e.Command + " goes"
}

// Hint says what to write into it.
func (e *MarksError) Hint() string {
	begin, end := Marks(e.Command)
	return "write them into it: " + strings.TrimSpace(begin) + " and " + strings.TrimSpace(end)
}
