package manifest

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// readCSV reads a manifest that begins with a header. Spreadsheets of many
// countries write semicolons, so the header tells the separator.
func readCSV(in *bufio.Reader, c *checker) error {
	ahead, _ := in.Peek(in.Size()) // what is wrong, reading it tells
	header, _, _ := strings.Cut(string(ahead), "\n")
	r := csv.NewReader(in)
	r.ReuseRecord = true
	r.FieldsPerRecord = -1 // counted here, to go on after a line that has too few
	if !strings.Contains(header, ",") && strings.Contains(header, ";") {
		r.Comma = ';'
	}
	row, err := r.Read()
	if err != nil {
		return c.csvError(err)
	}
	columns, err := readHeader(row)
	if err != nil {
		return err
	}
	for {
		row, err := r.Read()
		if err != nil {
			return c.csvError(err)
		}
		line, _ := r.FieldPos(0)
		if len(row) != len(columns) {
			c.faults.add(line, "", fmt.Errorf("has %d fields where the header has %d", len(row), len(columns)))
			continue
		}
		var rec record
		for i, value := range row {
			rec.set(columns[i], strings.TrimSpace(value))
		}
		if err := c.add(line, rec); err != nil {
			return err
		}
	}
}

// csvError tells why no row could be read. Behind a quote that is out of place
// nothing can be told for sure, so that the reading ends there.
func (c *checker) csvError(err error) error {
	var syntax *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &syntax):
		c.faults.add(syntax.Line, "", syntax.Err)
		return nil
	}
	return err
}

// headerError says that the first line names no columns.
type headerError struct{ what string }

func (e *headerError) Error() string { return "line 1: " + e.what }

// Hint says what an operator can do.
func (e *headerError) Hint() string {
	return "the first line names the columns: " + fields + ", of which client and file are needed"
}

// readHeader returns a copy of the columns' names.
func readHeader(row []string) ([]string, error) {
	columns := make([]string, 0, len(row))
	there := map[string]bool{}
	for _, name := range row {
		name = strings.ToLower(strings.TrimSpace(name))
		if !new(record).set(name, "") {
			return nil, &headerError{fmt.Sprintf("there is no column %.40q", name)}
		}
		if there[name] {
			return nil, &headerError{fmt.Sprintf("the column %q is there twice", name)}
		}
		there[name] = true
		columns = append(columns, name)
	}
	for _, needed := range []string{"client", "file"} {
		if !there[needed] {
			return nil, &headerError{fmt.Sprintf("the column %q is missing", needed)}
		}
	}
	return columns, nil
}
