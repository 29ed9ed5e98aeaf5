package explorer

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestListings(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(year int, month time.Month, day, hour, minute int) time.Time {
		return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	}
	for _, test := range []struct {
		name, line string
		want       Entry
	}{
		{
			"a file of this year", "-rw-r--r-- 1 ftp ftp         1234 Feb  3 15:04 a.csv",
			Entry{"a.csv", false, 1234, at(2026, 2, 3, 15, 4)},
		},
		{
			"a file of last year", "-rw-r--r-- 1 ftp ftp            0 Dec 31 23:59 with  two spaces",
			Entry{"with  two spaces", false, 0, at(2025, 12, 31, 23, 59)},
		},
		{
			"a clock that is ahead", "-rw-r--r-- 1 ftp ftp 1 Mar  1 12:30 x",
			Entry{"x", false, 1, at(2026, 3, 1, 12, 30)},
		},
		{
			"a leap day", "-rw-r--r-- 1 ftp ftp 1 Feb 29 12:30 x",
			Entry{"x", false, 1, at(2024, 2, 29, 12, 30)},
		},
		{
			"a folder of long ago", "drwxr-xr-x 2 ftp ftp            0 Jan 15  2019 Überweisung 報告書",
			Entry{"Überweisung 報告書", true, 0, at(2019, 1, 15, 0, 0)},
		},
		{
			"a space before the name", "-rw-r--r-- 1 ftp ftp 1 Jan 15  2019  x",
			Entry{" x", false, 1, at(2019, 1, 15, 0, 0)},
		},
		{
			"MS-DOS, a file", "02-03-26  03:04PM             12345678901 a b.csv",
			Entry{"a b.csv", false, 12345678901, at(2026, 2, 3, 15, 4)},
		},
		{
			"MS-DOS, a folder", "02-03-2026  03:04AM       <DIR>          New folder",
			Entry{"New folder", true, 0, at(2026, 2, 3, 3, 4)},
		},
		{
			"MS-DOS, a clock of 24 hours", "12-31-2025  23:59  <DIR>  x",
			Entry{"x", true, 0, at(2025, 12, 31, 23, 59)},
		},
	} {
		got, err := parse(test.line+"\r\n", now)
		if diff := cmp.Diff([]Entry{test.want}, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", test.name, err, diff)
		}
	}
	got, err := parse("total 3\r\ndrwxr-xr-x 2 a b 0 Jan 15 2019 .\r\n-rw-r--r-- 1 a b 0 Jan 15 2019 x\r\n", now)
	if err != nil || len(got) != 1 || got[0].Name != "x" {
		t.Errorf("a listing with a head: %v, %v", got, err)
	}
	if got, err := parse("", now); err != nil || len(got) != 0 {
		t.Errorf("an empty folder: %v, %v", got, err)
	}
}

func TestWhatIsNoListing(t *testing.T) {
	t.Parallel()
	if _, err := parse("\r\n", time.Now()); !errors.Is(err, errBlankLine) {
		t.Errorf("a lone line break: %v", err)
	}
	for _, line := range []string{
		"nonsense", "-rw-r--r-- 1 ftp ftp 1 Jan 15 2019", "-rw-r--r-- 1 ftp ftp x Jan 15 2019 a", "-rw-r--r-- 1 ftp ftp 1 Jan 32 2019 a",
		"lrwxrwxrwx 1 ftp ftp 1 Jan 15 2019 a -> b", "02-03-26  03:04PM  <DIR>", "02-03-26  03:04PM  many  a", "13-41-26  03:04PM  1  a", "-rw 1 a b 1 Jan 1 2019 x",
		"-rw-r--r-- 1 ftp ftp 1 Feb 31 12:00 a", "-rw-r--r-- 1 ftp ftp -1 Jan 15 2019 a",
	} {
		if got, err := parse(line, time.Now()); !errors.Is(err, errNoEntry) {
			t.Errorf("%q: %v, %v", line, got, err)
		}
	}
}

func FuzzListing(f *testing.F) {
	f.Add("-rw-r--r-- 1 ftp ftp         1234 Feb  3 15:04 a.csv\r\n")
	f.Add("02-03-26  03:04PM       <DIR>          New folder\r\n")
	f.Add("\r\n")
	f.Fuzz(func(t *testing.T, listing string) {
		entries, err := parse(listing, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Name == "" || e.Size < 0 || e.Modified.IsZero() {
				t.Errorf("%q gave %+v", listing, e)
			}
		}
	})
}
