package statement

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
)

const writeBuffer = 64 << 10

// CSV writes the statement in sections, each with its own columns: every line
// begins with the section's name and the kind of line it is (Header, Data or
// Total), and the section's fields follow.
func CSV(w io.Writer, o Options) error {
	o, err := o.check()
	if err != nil {
		return fmt.Errorf("writing CSV statement: %w", err)
	}
	out := bufio.NewWriterSize(w, writeBuffer)
	for _, t := range sections(o, closeLedger(o)) {
		if err := csvTable(out, t); err != nil {
			return fmt.Errorf("writing CSV statement: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing CSV statement: %w", err)
	}
	return nil
}

func csvTable(out *bufio.Writer, t table) error {
	line := append([]byte(t.title), ",Header"...)
	for _, c := range t.columns {
		line = appendCSV(append(line, ','), []byte(c.title))
	}
	if _, err := out.Write(append(line, "\r\n"...)); err != nil {
		return err
	}
	return t.each(func(r *row) error {
		kind := ",Data"
		if r.total {
			kind = ",Total"
		}
		line = append(append(line[:0], t.title...), kind...)
		for _, cell := range r.cells() {
			line = appendCSV(append(line, ','), cell)
		}
		_, err := out.Write(append(line, "\r\n"...))
		return err
	})
}

// appendCSV adds a field, quoted when RFC 4180 section 2 asks for it.
func appendCSV(b, field []byte) []byte {
	if !bytes.ContainsAny(field, ",\"\r\n") {
		return append(b, field...)
	}
	b = append(b, '"')
	for _, c := range field {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}

// XML writes the statement with an element for each section, in it an element
// for each row, and the row's cells as attributes. An empty cell is left out.
func XML(w io.Writer, o Options) error {
	o, err := o.check()
	if err != nil {
		return fmt.Errorf("writing XML statement: %w", err)
	}
	out := bufio.NewWriterSize(w, writeBuffer)
	// bufio.Writer keeps its first error, and Flush returns it.
	out.WriteString(xml.Header + "<ActivityStatement>\n")
	for _, t := range sections(o, closeLedger(o)) {
		if err := xmlTable(out, t); err != nil {
			return fmt.Errorf("writing XML statement: %w", err)
		}
	}
	out.WriteString("</ActivityStatement>\n")
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing XML statement: %w", err)
	}
	return nil
}

func xmlTable(out *bufio.Writer, t table) error {
	out.WriteString("  <" + t.element + ">\n")
	err := t.each(func(r *row) error {
		item := t.item
		if r.total {
			item = "Total"
		}
		out.WriteString("    <")
		out.WriteString(item)
		for i, cell := range r.cells() {
			if len(cell) == 0 {
				continue
			}
			out.WriteByte(' ')
			out.WriteString(t.columns[i].attribute)
			out.WriteString(`="`)
			if err := xml.EscapeText(out, cell); err != nil {
				return err
			}
			out.WriteByte('"')
		}
		_, err := out.WriteString("/>\n")
		return err
	})
	if err != nil {
		return err
	}
	_, err = out.WriteString("  </" + t.element + ">\n")
	return err
}
