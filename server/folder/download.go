package folder

import (
	"io"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// download is a file that the client is reading.
type download struct {
	fs      *FS
	report  reports.Report
	content *blob.Reader
	started time.Time

	mu      sync.Mutex
	covered reports.Coverage
	err     error // why the transfer did not end well
}

func (d *download) Size() int64 { return d.content.Size() }

func (d *download) ReadAt(p []byte, off int64) (int, error) {
	// Clients ask for more than there is, and again at the end: the size tells as much
	// as the file would.
	want := p[:max(min(int64(len(p)), d.content.Size()-off), 0)]
	if len(want) == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	n, err := d.content.ReadAt(want, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	if n > 0 {
		d.mu.Lock()
		d.covered.Add(off, off+int64(n))
		d.mu.Unlock()
	}
	if err != nil && err != io.EOF {
		d.TransferError(err)
	}
	return n, err
}

func (d *download) SendTo(w io.Writer, off int64) (int64, error) {
	rest, err := d.content.From(off)
	if err != nil {
		d.TransferError(err)
		return 0, err
	}
	n, err := io.Copy(w, rest)
	if err == nil && n < d.content.Size()-off {
		err = io.ErrUnexpectedEOF // the blob is shorter than it was
	}
	d.mu.Lock()
	d.covered.Add(off, off+n)
	d.mu.Unlock()
	if err != nil {
		d.TransferError(err)
	}
	return n, err
}

func (d *download) TransferError(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}

func (d *download) Close() error {
	err := d.content.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fs.store.observe(Transfer{Protocol: d.fs.session.Protocol, Bytes: d.covered.Bytes(), Well: d.err == nil && err == nil})
	if d.err != nil || err != nil || d.covered.Bytes() == 0 && d.report.Size > 0 {
		return err
	}
	s := d.fs.session
	d.fs.store.Recorder.record(catalog.Transfer{
		Report: d.report, Protocol: s.Protocol, Address: s.Address, Fingerprint: s.Fingerprint,
		Started: d.started, Ended: d.fs.store.Now(), Covered: d.covered, Evidence: s.Evidence,
	})
	d.covered = reports.Coverage{} // the recorder has it now; a read still under way must not write to it
	return nil
}
