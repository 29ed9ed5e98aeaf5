package explorer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// errBlankLine: Windows 11 25H2 shows an error for a listing with an empty line in
// it, such as the lone CRLF that some servers send for an empty folder.
var errBlankLine = errors.New("the listing has an empty line in it")

// errNoEntry is a line that Explorer makes nothing of.
var errNoEntry = errors.New("not a line of a listing")

// parse reads a listing in the form of `ls -l`, or of MS-DOS. Times without a year
// are of the year before now.
func parse(listing string, now time.Time) ([]Entry, error) {
	entries := []Entry{}
	for line := range strings.Lines(listing) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case line == "":
			return nil, errBlankLine
		case strings.HasPrefix(line, "total "):
			continue
		}
		parseLine := parseUnix
		if line[0] >= '0' && line[0] <= '9' {
			parseLine = parseDOS
		}
		e, err := parseLine(line, now)
		if err != nil {
			return nil, err
		}
		if e.Name != "." && e.Name != ".." {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// cutField returns the first of the fields in s, which spaces part, and what
// follows the first space behind it.
func cutField(s string) (field, rest string) {
	field, rest, _ = strings.Cut(strings.TrimLeft(s, " "), " ")
	return field, rest
}

// parseUnix reads a line of `ls -l`:
//
//	-rw-r--r-- 1 ftp ftp         1234 Jan  2 15:04 name
func parseUnix(line string, now time.Time) (Entry, error) {
	const mode, size, month, day, clock = 0, 4, 5, 6, 7
	var fields [8]string
	rest := line
	for i := range fields {
		fields[i], rest = cutField(rest)
	}
	e := Entry{Name: rest, Folder: strings.HasPrefix(fields[mode], "d")}
	if len(fields[mode]) < 10 || !strings.ContainsAny(fields[mode][:1], "-d") || e.Name == "" {
		return Entry{}, fmt.Errorf("%w: %q", errNoEntry, line)
	}
	var err error
	if e.Size, err = parseSize(fields[size]); err != nil {
		return Entry{}, fmt.Errorf("%w: %q: %w", errNoEntry, line, err)
	}
	if e.Modified, err = parseStamp(fields[month]+" "+fields[day]+" ", fields[clock], now); err != nil {
		return Entry{}, fmt.Errorf("%w: %q: %w", errNoEntry, line, err)
	}
	return e, nil
}

func parseSize(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// parseStamp reads a date without its year, and the year or the time in its place.
func parseStamp(date, clock string, now time.Time) (time.Time, error) {
	if !strings.Contains(clock, ":") {
		return time.Parse("Jan 2 2006", date+clock)
	}
	var at time.Time
	var err error
	for year := now.UTC().Year() + 1; year > now.UTC().Year()-4; year-- { // the 29th of February is in one of four
		at, err = time.Parse("Jan 2 15:04 2006", fmt.Sprintf("%s%s %d", date, clock, year))
		if err == nil && at.Before(now.Add(24*time.Hour)) { // somebody's clock is not ours
			return at, nil
		}
	}
	return at, err
}

// parseDOS reads a line in the form that IIS has by default:
//
//	01-02-26  03:04PM       <DIR>          name
func parseDOS(line string, _ time.Time) (Entry, error) {
	date, rest := cutField(line)
	clock, rest := cutField(rest)
	size, rest := cutField(rest)
	e := Entry{Name: strings.TrimLeft(rest, " "), Folder: size == "<DIR>"}
	var err error
	if !e.Folder {
		if e.Size, err = parseSize(size); err != nil {
			return Entry{}, fmt.Errorf("%w: %q: %w", errNoEntry, line, err)
		}
	}
	for _, layout := range []string{"01-02-06 03:04PM", "01-02-2006 03:04PM", "01-02-06 15:04", "01-02-2006 15:04"} {
		if e.Modified, err = time.Parse(layout, date+" "+clock); err == nil {
			break
		}
	}
	if err != nil || e.Name == "" {
		return Entry{}, fmt.Errorf("%w: %q", errNoEntry, line)
	}
	return e, nil
}
