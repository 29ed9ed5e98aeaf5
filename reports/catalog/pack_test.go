package catalog_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/database/databasetest"
	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

// TestPackIsDueWhenNothingWasLetGoSince: of a pack, the blobs that rows show are told in the order in which
// they lie in it, and what else was in it is due once the last that was let go of it has had its grace.
func TestPackIsDueWhenNothingWasLetGoSince(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, e databasetest.Engine) {
		f := newFixtureOn(t, e)
		pack := "abcdefghijklmnopqrstuvwxyz0"
		pages := []int64{0xaa, 0x9, 0xff, 0xa, 0xab, 0x1f}
		var blobs []string
		for i, page := range pages {
			p := f.publication(t, string(rune('a'+i)), string(rune('a'+i)))
			p.Blob, p.Retention = blobid.Member(pack, page*blobid.PageSize, p.Size), time.Duration(i+1)*day
			f.publish(t, p)
			blobs = append(blobs, p.Blob)
		}
		for _, other := range []string{pack[:26], pack[:25] + "y", "abcdefghijklmnopqrstuvwyyy"} { // beside it
			p := f.publication(t, other, other)
			p.Blob = other
			f.publish(t, p)
		}
		want := func(what string, left []string, before time.Time, due bool) {
			t.Helper()
			left = slices.Sorted(slices.Values(left))
			if got, isDue, err := f.Blobs(t.Context(), pack, before); err != nil || isDue != due || !slices.Equal(got, left) {
				t.Errorf("%s: %q, due %v, %v; want %q, %v", what, got, isDue, err, left, due)
			}
		}
		want("at first", blobs, f.clock.now(), false)
		for i := range blobs {
			f.clock.advance(day)
			if n, err := f.PurgeDue(t.Context(), "gateway", f.clock.now()); n != 1 || err != nil {
				t.Fatalf("%d are purged, %v", n, err)
			}
			want("let go just now", blobs[i+1:], f.clock.now().Add(-time.Microsecond), false)
			want("after its grace", blobs[i+1:], f.clock.now(), true)
		}
		wantError(t, "forgetting", f.ForgetGarbage(t.Context(), []string{pack}, f.clock.now()), nil)
		want("forgotten", nil, f.clock.now(), false)
	})
}
