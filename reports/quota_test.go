package reports_test

import (
	"errors"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
)

func TestQuotaCheck(t *testing.T) {
	t.Parallel()
	client, err := reports.ParseClientID("acme")
	if err != nil {
		t.Fatal(err)
	}
	const mib, gib = 1 << 20, 1 << 30
	tests := map[string]struct {
		quota         reports.Quota
		before, after reports.Usage
		want          string // the error's text, "" for none
	}{
		"nothing said":  {reports.Quota{}, reports.Usage{Files: 1, Bytes: gib}, reports.Usage{Files: 2, Bytes: 2 * gib}, ""},
		"no limit":      {reports.Quota{Bytes: reports.NoQuota, Files: reports.NoQuota}, reports.Usage{}, reports.Usage{Files: 1, Bytes: gib}, ""},
		"to the brim":   {reports.Quota{Bytes: gib, Files: 1}, reports.Usage{}, reports.Usage{Files: 1, Bytes: gib}, ""},
		"one byte over": {reports.Quota{Bytes: gib}, reports.Usage{}, reports.Usage{Files: 1, Bytes: gib + 1}, "client acme has 0 B of 1 GiB; this is 1 GiB more"},
		"many bytes over": {
			reports.Quota{Bytes: 10 * gib},
			reports.Usage{Files: 7, Bytes: 10*gib - 200*mib},
			reports.Usage{Files: 8, Bytes: 10*gib + 200*mib},
			"client acme has 9.8 GiB of 10 GiB; this is 400 MiB more",
		},
		"one byte short of it, not rounded up": {
			reports.Quota{Bytes: gib}, reports.Usage{Bytes: gib - 1}, reports.Usage{Bytes: gib + 5}, "client acme has 1023.9 MiB of 1 GiB; this is 6 B more",
		},
		"one file over": {reports.Quota{Files: 3}, reports.Usage{Files: 3}, reports.Usage{Files: 4, Bytes: 5}, "client acme has 3 of 3 files; this is one more"},

		// A quota that was lowered below the use refuses what is new, and nothing else.
		"less, and still over":         {reports.Quota{Bytes: 10, Files: 1}, reports.Usage{Files: 5, Bytes: 50}, reports.Usage{Files: 4, Bytes: 40}, ""},
		"as much, and over":            {reports.Quota{Bytes: 10, Files: 1}, reports.Usage{Files: 5, Bytes: 50}, reports.Usage{Files: 5, Bytes: 50}, ""},
		"a larger overwrite, over":     {reports.Quota{Bytes: 10}, reports.Usage{Files: 5, Bytes: 50}, reports.Usage{Files: 5, Bytes: 51}, "client acme has 50 B of 10 B; this is 1 B more"},
		"fewer bytes in one file more": {reports.Quota{Files: 5}, reports.Usage{Files: 5, Bytes: 50}, reports.Usage{Files: 6, Bytes: 40}, "client acme has 5 of 5 files; this is one more"},
	}
	for name, test := range tests {
		err := test.quota.Check(client, test.before, test.after)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var over *reports.QuotaError
		if !errors.Is(err, reports.ErrQuota) || !errors.As(err, &over) || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		} else if over.Hint() == "" {
			t.Errorf("%s: no hint", name)
		}
	}
}

func TestQuotaLeft(t *testing.T) {
	t.Parallel()
	used := reports.Usage{Files: 3, Bytes: 30}
	if got := (reports.Quota{Bytes: 100, Files: 2}).Left(used); got != (reports.Usage{Files: 0, Bytes: 70}) {
		t.Errorf("%+v", got)
	}
	if got := (reports.Quota{Bytes: reports.NoQuota}).Left(used); got.Bytes < 1<<60 || got.Files < 1<<60 {
		t.Errorf("without limits: %+v", got)
	}
	own := reports.Quota{Files: reports.NoQuota}
	if got := own.Or(reports.Quota{Bytes: 100, Files: 2}); got != (reports.Quota{Bytes: 100, Files: reports.NoQuota}) {
		t.Errorf("with the default: %+v", got)
	}
}
