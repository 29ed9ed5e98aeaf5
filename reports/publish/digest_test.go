package publish_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// hesitant reads nothing every other time, as an [io.Reader] may.
type hesitant struct {
	io.Reader
	later bool
}

func (r *hesitant) Read(p []byte) (int, error) {
	if r.later = !r.later; r.later {
		return 0, nil
	}
	return r.Reader.Read(p)
}

// TestReadOfNothingChangesNoHash: what is hashed beside the next read must not be read
// over, or a report that is delivered again is not known any more.
func TestReadOfNothingChangesNoHash(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	var content strings.Builder
	for i := range byte(32) {
		content.Write(bytes.Repeat([]byte{i}, 256<<10))
	}
	first := f.deliver(t, f.delivery(t, "large.pdf"), content.String())
	again, err := f.Publish(t.Context(), f.delivery(t, "large.pdf"), &hesitant{Reader: strings.NewReader(content.String())})
	if err != nil || again.Report.ID != first.Report.ID {
		t.Errorf("delivered again it is %s, %v; it was %s", again.Report.Name, err, first.Report.Name)
	}
}
