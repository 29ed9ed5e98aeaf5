package ftpd

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// TestCloseWhileADownloadIsSent: the library closes a connection under the goroutine
// that sends over it, which writes one record more. No record is torn by that.
func TestCloseWhileADownloadIsSent(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	var got []byte
	var reader sync.WaitGroup
	reader.Go(func() { got, _ = io.ReadAll(there) }) // until the other end is closed
	const rounds = 200
	c := &coalescer{Conn: here}
	c.begin()
	record := bytes.Repeat([]byte{'r'}, 7)
	var closer sync.WaitGroup
	closer.Go(func() {
		for range rounds {
			if _, err := c.Write([]byte("alert")); err != nil {
				t.Error(err)
			}
		}
	})
	for range rounds {
		if _, err := c.Write(record); err != nil {
			t.Error(err)
		}
		if err := c.flush(); err != nil {
			t.Error(err)
		}
	}
	closer.Wait()
	if err := c.flush(); err != nil {
		t.Error(err)
	}
	c.end()
	here.Close()
	reader.Wait()
	if n, m := bytes.Count(got, record), bytes.Count(got, []byte("alert")); n != rounds || m != rounds || len(got) != n*len(record)+m*5 {
		t.Errorf("%d records, %d alerts and %d bytes arrived", n, m, len(got))
	}
}
