package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestStoppedServiceIsNotStartedByHand: beside the package's unit, `sealdrop serve` would
// run as the operator, and the unit's own start would find the data folder taken.
func TestStoppedServiceIsNotStartedByHand(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		folders []string
		file    string
		want    string
	}{
		"the package's":         {[]string{"run/systemd/system", "lib/systemd/system/sealdrop.service"}, packageConfig, "systemctl start sealdrop"},
		"a unit of one's own":   {[]string{"run/systemd/system", "etc/systemd/system/sealdrop.service"}, packageConfig, "systemctl start sealdrop"},
		"another configuration": {[]string{"run/systemd/system", "lib/systemd/system/sealdrop.service"}, "/srv/gw/config.yaml", "sealdrop serve"},
		"no unit":               {[]string{"run/systemd/system"}, packageConfig, "sealdrop serve"},
		"no systemd":            {[]string{"lib/systemd/system/sealdrop.service"}, packageConfig, "sealdrop serve"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for _, folder := range test.folders {
				if err := os.MkdirAll(filepath.Join(root, folder), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if got := startCommand(root, test.file); got != test.want {
				t.Errorf("it is started by %q, want %q", got, test.want)
			}
		})
	}
}

// TestPrintable: what a terminal would act on is shown, and our own lines stay lines.
func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain, Grüße, 報告\nsecond line": "plain, Grüße, 報告\nsecond line",
		"\x1b[2J\x1b]0;owned\a":         `\x1b[2J\x1b]0;owned\a`,
		"a\rb\tc\x00\x7f\u0085":         `a\rb\tc\x00\x7f\u0085`,
		"cod.\u202efdp.exe\u2066":       `cod.\u202efdp.exe\u2066`,
		"\u2028\ufeff\u200b":            `\u2028\ufeff\u200b`,
		"not\xffUTF-8 \ufffd":           `not\xffUTF-8 ` + "\ufffd",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q is printed as %q, want %q", text, got, want)
		}
	}
}
