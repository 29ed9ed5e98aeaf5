package blobid_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/reports/blob/blobid"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const plain = "abcdefghijklmnopqrstuvwxyz"
	const pack = plain + "0"
	for _, tt := range []struct {
		in   string
		want blobid.ID
		ok   bool
	}{
		{plain, blobid.ID{File: plain}, true},
		{pack + "0000000001", blobid.ID{File: pack, Packed: true, Size: 1}, true},
		{pack + "001b001f40", blobid.ID{File: pack, Packed: true, Offset: 27 * 4096, Size: 8000}, true},
		{pack + "ffffffffff", blobid.ID{File: pack, Packed: true, Offset: 65535 * 4096, Size: blobid.MaxMember}, true},
		{in: ""},
		{in: pack},
		{in: plain[:25]},
		{in: strings.ToUpper(plain)},
		{in: plain[:25] + "/"},
		{in: plain[:25] + "1"},
		{in: pack + "001b001f4"},
		{in: pack + "001B001f40"},
		{in: pack + "+01b001f40"},
		{in: pack + "00_b001f40"},
		{in: plain + "1001b001f40"},
		{in: "../" + pack[3:] + "001b001f40"},
	} {
		got, ok := blobid.Parse(tt.in)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("Parse(%q) is %+v, %v", tt.in, got, ok)
		}
		if ok && got.Packed && blobid.Member(got.File, got.Offset, got.Size) != tt.in {
			t.Errorf("%q does not come back", tt.in)
		}
		if ok && blobid.File(tt.in) != got.File {
			t.Errorf("File(%q) is %q", tt.in, blobid.File(tt.in))
		}
	}
}

// TestOrder: what is in a pack lies between the pack and Last, and nothing else does.
func TestOrder(t *testing.T) {
	t.Parallel()
	pack := blobid.NewPack()
	ids := []string{pack, blobid.Member(pack, 0, 1), blobid.Member(pack, 9*blobid.PageSize, 1), blobid.Member(pack, 10*blobid.PageSize, 1), blobid.Last(pack)}
	if !slices.IsSorted(ids) {
		t.Errorf("not in order: %q", ids)
	}
	for range 1000 {
		if other := blobid.New(); other > pack && other < blobid.Last(pack) {
			t.Fatalf("%s lies in pack %s", other, pack)
		}
	}
	if !blobid.IsPack(pack) || !blobid.IsFile(pack) || blobid.IsPack(blobid.New()) || !blobid.IsFile(blobid.New()) {
		t.Error("a pack is not told from a file")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(blobid.New())
	f.Add(blobid.Member(blobid.NewPack(), 4096, 77))
	f.Fuzz(func(t *testing.T, s string) {
		id, ok := blobid.Parse(s)
		if !ok {
			return
		}
		if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") != "" || !blobid.IsFile(id.File) || !strings.HasPrefix(s, id.File) {
			t.Errorf("%q is %+v", s, id)
		}
		if id.Packed != (blobid.Member(id.File, id.Offset, id.Size) == s) {
			t.Errorf("%q does not come back", s)
		}
	})
}
