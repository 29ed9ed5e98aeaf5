package config

import "testing"

func TestParseSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		size  Size
		shown string
	}{
		"1B": {1, "1B"}, "1023B": {1023, "1023B"}, "1024B": {1024, "1KiB"}, "500MiB": {500 << 20, "500MiB"},
		"10GiB": {10 << 30, "10GiB"}, "10 GiB": {10 << 30, "10GiB"}, "1TiB": {1 << 40, "1TiB"}, "1536MiB": {1536 << 20, "1536MiB"},
		"500MB": {500e6, "500MB"}, "1kB": {1000, "1kB"}, "8388607TiB": {8388607 << 40, "8388607TiB"},
		"unlimited": {Unlimited, "unlimited"},
	} {
		got, err := ParseSize(text)
		if err != nil || got != want.size || got.String() != want.shown {
			t.Errorf("%q is %d (%s), %v; want %d (%s)", text, int64(got), got, err, int64(want.size), want.shown)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s reads back as %d, %v", got, int64(again), err)
		}
	}
	for _, text := range []string{
		"", "10", "0", "0B", "0GiB", "-1GiB", "+1GiB", "1.5GiB", "GiB", "10gib", "10G", "10KB", "8388608TiB", "99999999999999999999B",
		"none", "Unlimited", "1e3B", "10  GiB", "0x10B", "1_000B",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, int64(got))
		}
	}
}

func TestParseCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Count{"1": 1, "10000": 10000, "unlimited": Unlimited} {
		if got, err := ParseCount(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1.5", "10k", "1000000000001", "none"} {
		if got, err := ParseCount(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
