package config

import (
	"strings"
	"testing"
)

// TestAdminListenerOnTheNetworkIsRefused: whoever can reach the admin listener reads
// all of it.
func TestAdminListenerOnTheNetworkIsRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"unix:/run/sealdrop/ops.sock": "unix:/run/sealdrop/ops.sock", "127.0.0.1:9320": "127.0.0.1:9320", "[::1]:9320": "[::1]:9320", "127.8.9.10:1": "127.8.9.10:1",
		"[::ffff:127.0.0.1]:9320": "127.0.0.1:9320",
		":9320":                   "", "0.0.0.0:9320": "", "[::]:9320": "", "192.0.2.7:9320": "", "10.0.0.1:9320": "", "localhost:9320": "", "[::ffff:10.0.0.1]:9320": "",
		"128.0.0.1:9320": "", "unix:ops.sock": "", "unix:": "", "/run/ops.sock": "", "9320": "", "unix:/" + strings.Repeat("x", 107): "",
	} {
		got, err := parseOpsListen(text)
		if got != want || (err == nil) == (want == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	_, err := parseOpsListen(":9320")
	if h, ok := err.(interface{ Hint() string }); err == nil || !strings.Contains(err.Error(), "other machines") || !ok || !strings.Contains(h.Hint(), "unix:/") {
		t.Errorf("the refusal says %v", err)
	}
	ops := Ops{Listen: []string{"127.0.0.1:9320", "unix:/run/ops.sock"}}
	if a, s := ops.Addresses(), ops.Sockets(); len(a) != 1 || a[0] != "127.0.0.1:9320" || len(s) != 1 || s[0] != "/run/ops.sock" || !ops.Enabled() {
		t.Errorf("%v, %v", a, s)
	}
}
