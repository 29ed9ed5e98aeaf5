package config

import (
	"strings"
	"testing"
)

func TestAPIListen(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		":8443": ":8443", "127.0.0.1:8443": "127.0.0.1:8443", "unix:/run/sealdrop/api.sock": "unix:/run/sealdrop/api.sock", "unix:/run//x/../api.sock": "unix:/run/api.sock",
		"unix:": "", "unix:api.sock": "", "unix:/" + strings.Repeat("x", 107): "", "unix:/a\nb": "", "gateway.example.com:8443": "", "/run/api.sock": "", "http://127.0.0.1": "",
	} {
		got, err := parseAPIListen(text)
		if got != want || (err == nil) == (want == "") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	api := API{Listen: []string{":8443", "unix:/run/api.sock"}}
	if a, s := api.Addresses(), api.Sockets(); len(a) != 1 || a[0] != ":8443" || len(s) != 1 || s[0] != "/run/api.sock" {
		t.Errorf("%v, %v", a, s)
	}
}
