package ftpd_test

import (
	"bytes"
	"testing"

	"github.com/sealdrop/sealdrop/reports"
)

func TestQuotaOverFTP(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"clear", "TLS"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{})
			h.store.Catalog = h.store.Catalog.WithQuota(reports.Quota{Bytes: 100_000})
			h.put("one", "a", make([]byte, 30_000))
			c := h.login("one")
			if mode == "TLS" {
				c = h.loginTLS("one")
			}
			if text := c.want(213, "AVBL"); text != "213 70000\r\n" {
				t.Errorf("AVBL: %q", text)
			}
			c.want(200, "ALLO 70000")
			c.want(552, "ALLO 70001")

			data := c.begin("STOR b")
			_, _ = data.Write(make([]byte, 8<<20)) // the server hangs up in the middle of it
			_ = data.Close()
			if text := c.want(552, ""); text != "552 The quota is used up; the file does not fit in.\r\n" {
				t.Errorf("STOR: %q", text)
			}
			h.gone("one", "b")
			c.want(550, "SIZE b")

			content := bytes.Repeat([]byte("x"), 70_000)
			c.store("STOR b", content)
			h.holds("one", "b", content)
			c.store("STOR a", make([]byte, 30_000)) // an overwrite counts by the difference
			c.want(552, "ALLO 1")
		})
	}
}
