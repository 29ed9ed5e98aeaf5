package keytext_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/internal/keytext"
)

// body is base64 that looks like a key's: lines of 64 characters and a rest.
func body(columns int) string {
	raw := make([]byte, 300)
	for i := range raw {
		raw[i] = byte(i * 37)
	}
	text := base64.StdEncoding.EncodeToString(raw[:298])
	var b strings.Builder
	for len(text) > columns {
		b.WriteString(text[:columns] + "\n")
		text = text[columns:]
	}
	return b.String() + text + "\n"
}

// samples are key texts as the tools write them: Normalize gives them back.
func samples() map[string]string {
	return map[string]string{
		"pgp": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + body(64) + "=aB+9\n-----END PGP PUBLIC KEY BLOCK-----\n",
		"pgp with headers": "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: GnuPG v2.0.22 (MingW32)\n" +
			"Comment: Jane Doe <jane@example.com>\n\n" + body(64) + "=aB+9\n-----END PGP PUBLIC KEY BLOCK-----\n",
		"pem": "-----BEGIN PUBLIC KEY-----\n" + body(64) + "-----END PUBLIC KEY-----\n",
		"ssh2": "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"rsa-key-20260102\"\n" +
			body(64) + "---- END SSH2 PUBLIC KEY ----\n",
		"ssh2, 70 columns": "---- BEGIN SSH2 PUBLIC KEY ----\n" + body(70) + "---- END SSH2 PUBLIC KEY ----\n",
		"openssh":          "ssh-rsa " + strings.ReplaceAll(body(64), "\n", "") + " jane@example.com\n",
	}
}

func toUTF16(text string, bigEndian bool) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		if bigEndian {
			b.Write([]byte{byte(unit >> 8), byte(unit)})
		} else {
			b.Write([]byte{byte(unit), byte(unit >> 8)})
		}
	}
	return b.String()
}

func eachLine(text, before, after string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(before + strings.TrimSuffix(line, "\n") + after)
	}
	return b.String()
}

func TestNormalizeUndoesWhatMailDid(t *testing.T) {
	t.Parallel()
	mangle := map[string]func(string) string{
		"nothing":                func(s string) string { return s },
		"byte order mark":        func(s string) string { return "\ufeff" + s },
		"UTF-16 little endian":   func(s string) string { return "\xff\xfe" + toUTF16(s, false) },
		"UTF-16 big endian":      func(s string) string { return "\xfe\xff" + toUTF16(s, true) },
		"UTF-16LE without mark":  func(s string) string { return toUTF16(s, false) },
		"UTF-16BE without mark":  func(s string) string { return toUTF16(s, true) },
		"UTF-16, odd byte added": func(s string) string { return "\xff\xfe" + toUTF16(s, false) + "\n" },
		"CRLF":                   func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"lone CR":                func(s string) string { return strings.ReplaceAll(s, "\n", "\r") },
		"no last line end":       func(s string) string { return strings.TrimSuffix(s, "\n") },
		"DOS end of file":        func(s string) string { return s + "\x1a" },
		"blank lines around":     func(s string) string { return "\n \r\n\t\n" + s + "\n\n" },
		"indented":               func(s string) string { return eachLine(s, "    ", "  \n") },
		"indented by tabs":       func(s string) string { return eachLine(s, "\t", "\t\n") },
		"no-break spaces":        func(s string) string { return eachLine(s, "\u00a0", "\u00a0\n") },
		"quoted":                 func(s string) string { return eachLine(s, "> ", "\n") },
		"quoted twice":           func(s string) string { return eachLine(s, "> > ", "\n") },
		"quoted twice, tight":    func(s string) string { return eachLine(s, ">>", "\n") },
		"quoted, as entities":    func(s string) string { return eachLine(html.EscapeString(s), "&gt;&nbsp;", "\n") },
		"HTML br": func(s string) string {
			return "<html><body>" + eachLine(html.EscapeString(s), "", "<br>\n") + "</body></html>"
		},
		"HTML br, no line ends": func(s string) string { return eachLine(html.EscapeString(s), "", "<BR/>") },
		"HTML p":                func(s string) string { return eachLine(html.EscapeString(s), `<p class="MsoNormal">`, "</p>\r\n") },
		"HTML div and span": func(s string) string {
			return eachLine(html.EscapeString(s), `<div><span style="font-family:monospace">`, "</span></div>")
		},
		"HTML pre":      func(s string) string { return "<pre>" + html.EscapeString(s) + "</pre>" },
		"double spaced": func(s string) string { return strings.ReplaceAll(s, "\n", "\n\n") },
	}
	for sample, want := range samples() {
		for name, f := range mangle {
			t.Run(sample+"/"+name, func(t *testing.T) {
				t.Parallel()
				if diff := cmp.Diff(want, string(keytext.Normalize([]byte(f(want))))); diff != "" {
					t.Errorf("Normalize differs (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestNormalizeLaysOutBlocks(t *testing.T) {
	t.Parallel()
	s := samples()
	oneLine := func(text, separator string) string {
		return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), separator)
	}
	tests := map[string]struct{ in, want string }{
		"one line":               {oneLine(s["pgp"], " "), s["pgp"]},
		"one line, no blanks":    {oneLine(s["pgp"], ""), s["pgp"]},
		"one line, headers":      {oneLine(s["pgp with headers"], " "), s["pgp with headers"]},
		"one line, PEM":          {oneLine(s["pem"], ""), s["pem"]},
		"one line, SSH2":         {oneLine(s["ssh2"], " "), s["ssh2"]},
		"two keys on one line":   {oneLine(s["pem"]+s["pgp"], " "), s["pem"] + s["pgp"]},
		"missing blank line":     {strings.ReplaceAll(s["pgp with headers"], "\n\n", "\n"), s["pgp with headers"]},
		"text before on a line":  {"my key: " + s["pem"], "my key:\n" + s["pem"]},
		"text around":            {"Dear all,\n\n" + s["pgp"] + "Regards, J. <j@example.com>\n", "Dear all,\n\n" + s["pgp"] + "Regards, J. <j@example.com>\n"},
		"END joined to the body": {strings.ReplaceAll(s["pem"], "\n-----END", "-----END"), s["pem"]},
		"long dashes":            {strings.ReplaceAll(s["pgp"], "-----", "——-"), s["pgp"]},
		"dashes escaped":         {strings.ReplaceAll(s["pgp"], "-----B", "- -----B"), s["pgp"]},
		"hyphen missing":         {strings.Replace(s["pem"], "-----BEGIN", "----BEGIN", 1), s["pem"]},
		"zero-width space":       {strings.Replace(s["pem"], "\n", "\u200b\n", 2), s["pem"]},
		"mentions only": {
			"send all from -----BEGIN PGP PUBLIC KEY BLOCK----- to -----END PGP PUBLIC KEY BLOCK----- please\n" + s["pgp"],
			"send all from -----BEGIN PGP PUBLIC KEY BLOCK----- to -----END PGP PUBLIC KEY BLOCK----- please\n" + s["pgp"],
		},
		"no END is left alone":   {"-----BEGIN PUBLIC KEY-----\nAAAA BBBB\n\nCC\n", "-----BEGIN PUBLIC KEY-----\nAAAA BBBB\n\nCC\n"},
		"other END left alone":   {"-----BEGIN PUBLIC KEY-----\n\nAA\n-----END RSA PUBLIC KEY-----\n", "-----BEGIN PUBLIC KEY-----\n\nAA\n-----END RSA PUBLIC KEY-----\n"},
		"BEGIN twice":            {"-----BEGIN PUBLIC KEY-----\n" + s["pem"], "-----BEGIN PUBLIC KEY-----\n" + s["pem"]},
		"addresses are no tags":  {"<b@example.com> <jane@example.com>\n", "<b@example.com> <jane@example.com>\n"},
		"header is continued":    {"---- BEGIN SSH2 PUBLIC KEY ----\nComment: one\\\ntwo\n\nAAAA\n---- END SSH2 PUBLIC KEY ----", "---- BEGIN SSH2 PUBLIC KEY ----\nComment: one\\\ntwo\nAAAA\n---- END SSH2 PUBLIC KEY ----\n"},
		"single-byte encoding":   {"ssh-rsa AAAA J\xfcrgen\r\n", "ssh-rsa AAAA J\xfcrgen\n"},
		"UTF-8 stays":            {"ssh-rsa AAAA Jürgen\n", "ssh-rsa AAAA Jürgen\n"},
		"empty":                  {"", ""},
		"blank":                  {" \r\n\r\n", ""},
		"byte order mark alone":  {"\ufeff", ""},
		"control entity refused": {"a&#0;b &#65;\n", "a\ufffdb A\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, string(keytext.Normalize([]byte(test.in)))); diff != "" {
				t.Errorf("Normalize differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNormalizeLeavesBinaryUntouched(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"OpenPGP packet":           "\x99\x01\x0d\x04\x5f\x00\x00",
		"OpenPGP packet, no zero":  "\x98\x33\x04\x66\x11\x22\x33\x16 text that is ASCII\r\n",
		"new format, valid UTF-8":  "\xc6\x8d\x04abc\r\n",
		"no control characters":    "\x99\x80\x90 text \r\n",
		"DER":                      "\x30\x82\x01\x22\x30\x0d\x06\x09",
		"PDF with zeros":           "%PDF-1.7\r\n\x00\x01",
		"UTF-16 that is not text":  "\xff\xfe\x00\x00\x01\x00",
		"alternating zeros, short": "a\x00b\x00",
	} {
		if got := keytext.Normalize([]byte(data)); string(got) != data {
			t.Errorf("%s: Normalize(%q) = %q", name, data, got)
		}
	}
}

func TestNormalizeIsLinear(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{
		"<!--<br>", "<br ", "-----BEGIN A-----", "-----END A-----", "-----BEGIN A----- a: ", "-----BEGIN A\n", "-", "—", "&#1", "> ",
		"-----BEGIN A-----\n", "-----BEGIN A-----\n-----END B-----\n", "A", "A ", "BEGIN ", "- ", "\r", "\\\n", "<p>", "x:\n",
	} {
		data := []byte(strings.Repeat(unit, keytext.MaxSize/16/len(unit)))
		got := keytext.Normalize(data) // a step once for each part would be felt
		if len(got) > 3*len(data) {
			t.Errorf("%q repeated grows from %d to %d bytes", unit, len(data), len(got))
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, test := range []struct {
		name string
		size int64
		ok   bool
	}{{"empty", 0, true}, {"largest", keytext.MaxSize, true}, {"too-large", keytext.MaxSize + 1, false}, {"huge", 100 << 20, false}} {
		name := filepath.Join(dir, test.name)
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, test.size); err != nil {
			t.Fatal(err)
		}
		data, err := keytext.ReadFile(name)
		if test.ok {
			if err != nil || int64(len(data)) != test.size {
				t.Errorf("ReadFile of %d bytes = %d bytes, %v", test.size, len(data), err)
			}
			continue
		}
		want := name + " is larger than any key: 1 MiB at most"
		if err == nil || err.Error() != want || data != nil {
			t.Errorf("ReadFile of %d bytes: got error %v, want %q", test.size, err, want)
		}
		if tooLarge := new(keytext.TooLargeError); !errors.As(err, &tooLarge) || tooLarge.Hint() == "" {
			t.Errorf("ReadFile of %d bytes: got %T without a hint", test.size, err)
		}
	}
	if _, err := keytext.ReadFile(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("ReadFile of a directory: %v", err)
	}
	if _, err := keytext.ReadFile(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("ReadFile of a missing file: %v", err)
	}
	if _, err := keytext.Read(bytes.NewReader(make([]byte, keytext.MaxSize+1))); err == nil {
		t.Error("Read took more than MaxSize")
	}
	broken := errors.New("broken pipe")
	if _, err := keytext.Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Read of a broken reader: %v", err)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, text := range samples() {
		f.Add([]byte(text))
		f.Add([]byte("\xff\xfe" + toUTF16(text, false)))
		f.Add([]byte(eachLine(html.EscapeString(text), "<p>&gt; ", "</p>")))
		f.Add([]byte(strings.ReplaceAll(text, "\n", " ")))
	}
	f.Add([]byte("\x99\x01\x0d\x04"))
	f.Add([]byte("——-BEGIN A—-\n\\\n----END A----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		got := keytext.Normalize(data)
		if !bytes.Equal(before, data) {
			t.Fatal("Normalize changed its input")
		}
		if len(got) > 3*len(data)+64 {
			t.Fatalf("%d bytes became %d", len(data), len(got))
		}
		if bytes.ContainsRune(got, '\r') && !bytes.Equal(got, data) {
			t.Fatalf("a carriage return is left in %q", got)
		}
		if what, found := keytext.Private(data); found != (what != "") {
			t.Fatalf("Private = %q, %v", what, found)
		}
	})
}
