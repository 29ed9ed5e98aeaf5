package demo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/sealdrop/sealdrop/internal/statement"
)

// client is one of the two clients of the story.
type client struct {
	id, name, mail string
	address        string // the only one that it may connect from
	account        string
}

func (t *tour) clients() [2]client { return [2]client{t.acme(), t.borealis()} }

func (t *tour) acme() client {
	return client{"acme", "Acme Capital", "reports@acme.example", "127.0.0.1", "U4711001"}
}

func (t *tour) borealis() client {
	return client{"borealis", "Borealis Fund", "operations@borealis.example", "127.0.0.2", "U4711002"}
}

// report is a statement to be made up: of which client, how, and about how long.
type report struct {
	client client
	name   string
	write  func(io.Writer, statement.Options) error
	rows   int
}

func (t *tour) reports() []report {
	return []report{
		{t.acme(), t.activity(), statement.CSV, 20 << 10 / statement.CSVRowSize},
		{t.acme(), t.dated("Trades", "xml"), statement.XML, 2 << 20 / statement.XMLRowSize},
		{t.acme(), t.dated("Statement", "pdf"), statement.PDF, 5 << 20 / statement.PDFRowSize},
		{t.borealis(), t.activity(), statement.CSV, 400 << 10 / statement.CSVRowSize},
		{t.borealis(), t.dated("Statement", "pdf"), statement.PDF, 150 << 10 / statement.PDFRowSize},
	}
}

// activity is the name of the statement that both clients get.
func (t *tour) activity() string { return t.dated("Activity", "csv") }

func (t *tour) dated(kind, form string) string {
	return kind + "_" + t.day.Format("20060102") + "." + form
}

// writeStatements does the reporting team's work.
func (t *tour) writeStatements() error {
	for i, r := range t.reports() {
		dir := t.folder.join("statements", r.client.id)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making a folder for the statements: %w", err)
		}
		o := statement.Options{
			Seed: uint64(i + 1), Account: r.client.account, Client: r.client.name, Date: t.day, Rows: r.rows,
		}
		if err := writeStatement(filepath.Join(dir, r.name), r, o); err != nil {
			return fmt.Errorf("making up a statement: %w", err)
		}
	}
	return nil
}

func writeStatement(path string, r report, o statement.Options) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return r.write(f, o)
}
