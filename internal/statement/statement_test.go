package statement_test

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/statement"
)

var formats = []struct {
	name  string
	write func(io.Writer, statement.Options) error
	row   int
}{
	{"csv", statement.CSV, statement.CSVRowSize},
	{"xml", statement.XML, statement.XMLRowSize},
	{"pdf", statement.PDF, statement.PDFRowSize},
}

func options(seed uint64, rows int) statement.Options {
	return statement.Options{
		Seed: seed, Account: "U1234567", Client: "Müller & Söhne <Treuhand>", Date: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), Rows: rows,
	}
}

func TestTheSameOptionsGiveTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		var first, second, other bytes.Buffer
		for _, w := range []struct {
			to   *bytes.Buffer
			seed uint64
		}{{&first, 1}, {&second, 1}, {&other, 2}} {
			if err := f.write(w.to, options(w.seed, 100)); err != nil {
				t.Fatal(f.name, err)
			}
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: the same seed gave two statements", f.name)
		}
		if bytes.Equal(first.Bytes(), other.Bytes()) {
			t.Errorf("%s: two seeds gave the same statement", f.name)
		}
	}
}

func TestRowsSetTheSize(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		sizes := map[int]int{}
		for _, rows := range []int{1_000, 11_000} {
			var n counter
			if err := f.write(&n, options(3, rows)); err != nil {
				t.Fatal(f.name, err)
			}
			sizes[rows] = int(n)
		}
		if per := (sizes[11_000] - sizes[1_000]) / 10_000; per < f.row*8/10 || per > f.row*12/10 {
			t.Errorf("%s: a row adds %d bytes, want about %d", f.name, per, f.row)
		}
	}
}

func TestCSVAndXMLAreWellFormed(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := statement.CSV(&text, options(4, 500)); err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(&text)
	r.FieldsPerRecord = -1
	records, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) < 500 {
		t.Errorf("the CSV has %d records", len(records))
	}

	text.Reset()
	if err := statement.XML(&text, options(4, 500)); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(&text)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherProgramsReadThePDF asks the programs that people check PDFs with.
func TestOtherProgramsReadThePDF(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "s.pdf")
	var text bytes.Buffer
	if err := statement.PDF(&text, options(5, 400)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("qpdf", "--check", file).CombinedOutput(); err != nil {
		t.Errorf("qpdf: %v\n%s", err, out)
	}
	out, err := exec.Command("pdftotext", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "U1234567") {
		t.Error("the account's number is not in the PDF's text")
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		if err := f.write(io.Discard, statement.Options{Rows: 1}); err == nil {
			t.Errorf("%s: a statement without a date was written", f.name)
		}
		o := options(1, -1)
		if err := f.write(io.Discard, o); err == nil {
			t.Errorf("%s: a negative number of rows was taken", f.name)
		}
		if err := f.write(failing{}, options(1, 10)); !errors.Is(err, errFull) {
			t.Errorf("%s: the writer's error came back as %v", f.name, err)
		}
	}
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

var errFull = errors.New("full")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFull }
