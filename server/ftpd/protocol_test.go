package ftpd_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func noise(size int) []byte {
	content := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(content) // never fails
	return content
}

// ways are the ways to log in.
func ways(h *harness) map[string]func(user string) *client {
	return map[string]func(user string) *client{
		"plain": h.login,
		"tls":   h.loginTLS,
		"implicit": func(user string) *client {
			c := h.connect(h.implicit)
			c.secure()
			c.want(220, "")
			c.want(331, "USER "+user)
			c.want(230, "PASS "+password)
			return c
		},
	}
}

func TestTransfers(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"127.0.0.1", "::1"} {
		h := start(t, options{network: network})
		for way, login := range ways(h) {
			t.Run(way+" "+network, func(t *testing.T) {
				c := login("one")
				for _, size := range []int{0, 1, 300_000, 9 << 20} {
					name, content := fmt.Sprintf("%s %d.bin", way, size), noise(size)
					c.store("STOR "+name, content)
					h.holds("one", name, content)
					if got := c.retrieve("RETR " + name); !bytes.Equal(got, content) {
						t.Errorf("%d bytes came back as %d", size, len(got))
					}
					eventually(t, "collected", func() bool {
						r, err := h.lookup("one", name)
						return err == nil && r.State == "collected"
					})
				}
				c.want(221, "QUIT")
				c.closed()
			})
		}
	}
}

func TestResume(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	content := noise(32 << 20) // more than the sockets' buffers hold
	h.put("one", "a", content)
	for way, login := range ways(h) {
		t.Run(way, func(t *testing.T) {
			c := login("one")
			c.want(350, "REST 1000000")
			if got := c.retrieve("RETR a"); !bytes.Equal(got, content[1000000:]) {
				t.Errorf("the rest has %d bytes", len(got))
			}
			if got := c.retrieve("RETR a"); len(got) != len(content) {
				t.Errorf("REST is not over: %d bytes", len(got))
			}
			c.want(350, "REST 33554433")
			c.port()
			c.want(554, "RETR a")

			name := "b " + way
			conn := c.begin("STOR " + name)
			if _, err := conn.Write(content[:31<<20]); err != nil {
				t.Fatal(err)
			}
			c.send("ABOR")
			c.want(426, "")
			c.want(226, "")
			if _, err := h.get("one", name); err == nil {
				t.Error("half an upload is there")
			}
			c = login("one") // another session
			var kept int
			fmt.Sscanf(c.want(213, "SIZE "+name), "213 %d", &kept)
			if kept == 0 {
				t.Fatal("nothing was kept to be resumed")
			}
			c.want(350, fmt.Sprintf("REST %d", kept-1))
			c.store("STOR "+name, content[kept-1:])
			h.holds("one", name, content)

			c.store("APPE "+name, []byte("more"))
			h.holds("one", name, append(content[:len(content):len(content)], "more"...))
			c.want(350, "REST 33554433")
			c.store("STOR "+name, []byte("!")) // goes on from within
			h.holds("one", name, append(content[:len(content):len(content)], "m!"...))
		})
	}
}

func TestListings(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "Activity 2026.csv.pgp", []byte("12345"))
	h.put("one", "Zürich – Übersicht.pdf", []byte("123"))
	h.put("two", "not yours", nil)
	c := h.login("one")
	c.want(257, "MKD Archive")
	c.want(257, "MKD empty")
	h.put("one", "Archive/old [1].csv", []byte("1"))
	for _, test := range []struct{ line, want string }{
		{"NLST", "Activity 2026.csv.pgp\r\nArchive\r\nZürich – Übersicht.pdf\r\nempty\r\n"},
		{"NLST -CF", "Activity 2026.csv.pgp\r\nArchive\r\nZürich – Übersicht.pdf\r\nempty\r\n"},
		{"NLST -la /", "/Activity 2026.csv.pgp\r\n/Archive\r\n/Zürich – Übersicht.pdf\r\n/empty\r\n"},
		{"NLST *.csv*", "Activity 2026.csv.pgp\r\n"},
		{"NLST Arch*", "Archive\r\n"},
		{"NLST *.nothing", ""},
		{"NLST Archive", "Archive/old [1].csv\r\n"},
		{"NLST Archive/", "Archive/old [1].csv\r\n"},
		{"NLST Archive/o*", "Archive/old [1].csv\r\n"},
		{"NLST Archive/old [1].csv", "Archive/old [1].csv\r\n"},
		{"NLST empty", ""},
		{"LIST empty", ""},
		{"MLSD empty", ""},
	} {
		if got := string(c.retrieve(test.line)); got != test.want {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
	}
	for _, line := range []string{"LIST", "LIST -la", "LIST -a", "LIST /", "list -al ."} {
		got := string(c.retrieve(line))
		if n := strings.Count(got, "\r\n"); n != 4 || !strings.Contains(got, "-rw-r--r-- 1 ftp ftp            5 ") || !strings.Contains(got, "\r\ndrwxr-xr-x 2 ftp ftp            0 ") {
			t.Errorf("%s:\n%s", line, got)
		}
	}
	got := string(c.retrieve("MLSD"))
	if !strings.HasPrefix(got, "type=file;size=5;modify=20") || !strings.Contains(got, ";perm=adfrw; Activity 2026.csv.pgp\r\ntype=dir;modify=20") {
		t.Errorf("MLSD:\n%s", got)
	}
	c.want(200, "OPTS MLST type;size;")
	if got := string(c.retrieve("MLSD Archive")); got != "type=file;size=1; old [1].csv\r\n" {
		t.Errorf("MLSD with facts chosen: %q", got)
	}
	if got := c.want(250, "MLST Archive"); !strings.Contains(got, "\r\n type=dir; /Archive\r\n250 ") {
		t.Errorf("MLST: %q", got)
	}
	if got := c.want(213, "STAT Archive"); !strings.Contains(got, "\r\n-rw-r--r-- 1 ftp ftp            1 ") || strings.Contains(got, "%") {
		t.Errorf("STAT: %q", got)
	}
	c.want(213, "STAT empty")
	c.want(211, "STAT")
	for _, line := range []string{"LIST nowhere", "NLST nowhere/*", "MLSD nowhere"} {
		c.port()
		c.want(550, line)
	}
	c.want(550, "STAT nowhere")
	c.want(550, "MLST nowhere")
}

// TestCommands is a conversation: what is sent, and the code and a part of the
// text that must come back.
func TestCommands(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.put("one", "a", []byte("abc"))
	c := h.dial()
	for _, step := range []struct {
		send string
		code int
		want string
	}{
		{"PASS x", 503, "USER"}, // first
		{"LIST", 530, ""},
		{"PWD", 530, ""},
		{"feat", 211, " MLST type*;size*;modify*;perm*;\r\n"},
		{"FEAT", 211, " AUTH TLS\r\n PBSZ\r\n PROT\r\n"},
		{"opts utf8 on", 200, ""},
		{"OPTS UTF8", 200, ""},
		{"OPTS nonsense", 501, ""},
		{"SYST", 215, "UNIX Type: L8"},
		{"HELP", 214, " RETR\r\n"},
		{"HELP retr", 214, "RETR path"},
		{"CLNT test", 200, ""},
		{"PBSZ 0", 503, ""},
		{"PROT P", 503, ""},
		{"AUTH GSSAPI", 504, ""},
		{"USER", 501, ""},
		{"USER one", 331, ""},
		{"PASS " + password, 230, ""},
		{"USER two", 503, ""},
		{"AUTH TLS", 503, ""},
		{"PWD", 257, `"/" `},
		{"TYPE A", 200, ""},
		{"SIZE a", 213, "213 3\r\n"},
		{"TYPE I", 200, ""},
		{"type l 8", 200, ""},
		{"TYPE E", 504, ""},
		{"STRU F", 200, ""},
		{"stru f", 200, ""},
		{"STRU R", 504, ""},
		{"mode s", 200, ""},
		{"MODE Z", 504, ""},
		{"ALLO 100", 200, ""},
		{"ALLO 99999999999999999", 452, ""},
		{"ALLO x", 501, ""},
		{"AVBL", 213, ""},
		{`MKD say "hi"`, 257, `"/say ""hi""" `},
		{"MKD b", 257, `"/b" `},
		{"MKD b", 550, "taken"},
		{"XMKD b/c", 257, `"/b/c" `},
		{"CWD b/c", 250, `"/b/c"`},
		{"XCUP", 250, `"/b"`},
		{"CDUP", 250, `"/"`},
		{"CDUP", 250, `"/"`},
		{"CWD ../../..", 250, `"/"`},
		{"CWD a", 550, ""},
		{"CWD nowhere", 550, "no such"},
		{"MDTM a", 213, "213 20"},
		{"MDTM b", 213, "213 20"},
		{"MDTM nowhere", 550, ""},
		{"MFMT 20260102030405 a", 213, "Modify=20260102030405; a"},
		{"MDTM a", 213, "213 20260102030405\r\n"},
		{"MFMT 2026 a", 501, ""},
		{"SIZE b", 550, "is a folder"},
		{"RETR b", 425, "PASV"},
		{"DELE b", 550, "is a folder"},
		{"RMD a", 550, "not a folder"},
		{"RMD b", 550, "not empty"},
		{"RMD b/c", 250, ""},
		{"RNTO x", 503, "RNFR"},
		{"RNFR nowhere", 550, ""},
		{"RNFR a", 350, ""},
		{"RNTO b/a", 250, ""},
		{"RNFR b", 350, ""},
		{"RNTO B 2", 250, ""},
		{"SIZE B 2/a", 213, "3"},
		{"DELE B 2/a", 250, ""},
		{"DELE B 2/a", 550, ""},
		{`MKD back\slash`, 553, "not a valid name"},
		{"MKD " + strings.Repeat("x", 256), 553, "256 bytes"},
		{"SITE CHMOD 644 a", 200, ""},
		{"SITE EXEC ls", 504, ""},
		{"PORT 127,0,0,1,8,8", 502, "passive"},
		{"EPRT |1|127.0.0.1|2048|", 502, "passive"},
		{"EPSV 2", 522, "(1)"},
		{"EPSV 1", 229, ""},
		{"EPSV ALL", 200, ""},
		{"PASV", 503, ""},
		{"REST x", 501, ""},
		{"REST -1", 501, ""},
		{"REST 99999999999999999999", 501, ""},
		{"ABOR", 226, ""},
		{"NOSUCH", 500, ""},
		{"", 0, ""},
		{"RETR", 501, "RETR path"},
		{"NOOP", 200, ""},
		{"QUIT", 221, ""},
	} {
		if step.send == "" {
			continue
		}
		code, text := c.do(step.send)
		if code != step.code || !strings.Contains(text, step.want) {
			t.Errorf("%.60q: %q, want %d …%s…", step.send, text, step.code, step.want)
		}
	}
	c.closed()
}
