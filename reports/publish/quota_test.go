package publish_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

func (f *fixture) limit(tb testing.TB, bytes, files int64) {
	tb.Helper()
	if _, err := f.register.UpdateClient(context.Background(), "test", f.acme, keys.Change{QuotaBytes: &bytes, QuotaFiles: &files}); err != nil {
		tb.Fatal(err)
	}
}

// random is content that can't be compressed.
func random(size int) io.Reader {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(content)
	return strings.NewReader(string(content))
}

func TestDeliveryOverQuota(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	f.limit(t, 1<<20, 0)
	f.deliver(t, f.delivery(t, "first.csv"), "figures")
	_, err := f.Publish(context.Background(), f.delivery(t, "big.bin"), random(4<<20))
	var over *reports.QuotaError
	if !errors.As(err, &over) || over.Hint() == "" {
		t.Fatalf("more than there is room for: %v", err)
	}
	if f.blobCount(t) != 1 {
		t.Errorf("%d blobs are left", f.blobCount(t))
	}
	d := f.delivery(t, "big.bin")
	d.OverQuota = true
	if _, err := f.Publish(context.Background(), d, random(4<<20)); err != nil {
		t.Errorf("by an operator's word: %v", err)
	}
}

// What compresses well may be larger than what is left of the quota.
func TestQuotaCountsWhatIsStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	f.limit(t, 100<<10, 0)
	d, content := f.delivery(t, "zeros.csv"), strings.Repeat("0,", 1<<20)
	d.Size = int64(len(content))
	if err := f.Check(context.Background(), d); err != nil {
		t.Errorf("asked before: %v", err)
	}
	f.deliver(t, d, content)

	f.Compress = false
	d.Name = f.delivery(t, "plain.csv").Name
	if err := f.Check(context.Background(), d); !errors.Is(err, reports.ErrQuota) {
		t.Errorf("asked before, without compression: %v", err)
	}
}

// The report that filled the quota is handed in again, because its acknowledgement
// was lost: it was published, and must not be said to have been refused.
func TestRepeatedDeliveryIsKnownOverQuota(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	f.limit(t, 0, 1)
	first := f.deliver(t, f.delivery(t, "a.csv"), "figures")
	again := f.deliver(t, f.delivery(t, "a.csv"), "figures")
	if !again.Known || again.Report.ID != first.Report.ID {
		t.Errorf("by the number of files: %+v", again)
	}
	_, err := f.Publish(context.Background(), f.delivery(t, "a.csv"), strings.NewReader("other figures"))
	if !errors.Is(err, reports.ErrQuota) {
		t.Errorf("other content: %v", err)
	}
	if err == nil || err.Error() != "client acme has 1 of 1 files; this is one more" {
		t.Errorf("other content: %v", err)
	}
	f.limit(t, first.Report.Size, 0)
	if again := f.deliver(t, f.delivery(t, "a.csv"), "figures"); !again.Known {
		t.Errorf("by their bytes: %+v", again)
	}
	f.limit(t, 0, 0)
	big, err := f.Publish(context.Background(), f.delivery(t, "b.bin"), random(3<<20))
	if err != nil {
		t.Fatal(err)
	}
	f.limit(t, first.Report.Size+big.Report.Size+1<<20, 0)
	o, err := f.Publish(context.Background(), f.delivery(t, "b.bin"), random(3<<20))
	if err != nil || !o.Known {
		t.Errorf("found out in the middle: %+v, %v", o, err)
	}
	d := f.delivery(t, "b.bin")
	d.Again = true
	if _, err := f.Publish(context.Background(), d, random(3<<20)); !errors.Is(err, reports.ErrQuota) {
		t.Errorf("once more on purpose: %v", err)
	}
}

func TestReplacingCountsTheDifference(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.certify(t)
	f.deliver(t, f.delivery(t, "a.csv"), strings.Repeat("x", 100))
	f.limit(t, 2000, 1)
	for i := range 3 {
		d := f.delivery(t, "a.csv")
		d.Replace = true
		f.deliver(t, d, fmt.Sprint("correction ", i))
	}
}

// A held report counts, and is released however full the folder is by then.
func TestReleaseIsNotKeptBackByTheQuota(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.limit(t, 0, 2)
	for _, name := range []string{"a.csv", "b.csv"} {
		if o := f.deliver(t, f.delivery(t, name), name); o.Report.State != reports.Held {
			t.Fatalf("%+v", o)
		}
	}
	_, err := f.Publish(context.Background(), f.delivery(t, "c.csv"), strings.NewReader("c"))
	if !errors.Is(err, reports.ErrQuota) {
		t.Errorf("beside two held ones: %v", err)
	}
	f.limit(t, 1, 1)
	f.certify(t)
	if n, err := f.Release(context.Background(), "test", f.acme, nil); n != 2 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	kept, counted, err := f.catalog.CheckUsage(context.Background(), f.acme, false)
	if err != nil || kept != counted || kept.Files != 2 {
		t.Errorf("%+v, %+v, %v", kept, counted, err)
	}
}
