package guide

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// acme may do everything, so that all of the guide is shown.
func acme() Facts {
	return Facts{
		Host: "reports.example.com", SFTPPort: "32", Client: "acme", Name: "Acme Capital", Allowed: []string{"203.0.113.0/24", "2001:db8::/48"}, Days: 100,
		Gateway: "Acme's Bank", Contact: "+49 69 1234",
		HostKeys: []HostKey{{"ssh-ed25519", "SHA256:aaaa", "[reports.example.com]:32 ssh-ed25519 AAAA"}, {"ssh-rsa", "SHA256:bbbb", "[reports.example.com]:32 ssh-rsa BBBB"}},
		FTP:      FTP{Port: "21", ImplicitPort: "990", TLS: true, Plain: true, Passive: "30000-30199", Certificate: "AB:CD"},
		Signed:   true, SigningKey: "0123 4567", SigningKeyArmored: "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----",
	}
}

func write(t *testing.T, f Facts, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, f, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// skeleton is what must be the same in all languages: the sections, how many items
// and rows they have, the commands and what is set in code, the drawings' labels.
func skeleton(t *testing.T, language string, f Facts, s System) []string {
	t.Helper()
	text, err := markdown(f, Options{Language: language, System: s})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, b := range parse(text) {
		switch b.kind {
		case heading, subheading:
			list = append(list, "section "+b.id)
		case code:
			list = append(list, "code "+b.info+"\n"+b.text)
		case drawing:
			names := []string{}
			for name, text := range b.labels {
				if text == "" {
					t.Errorf("%s: the drawing %s has no %s", language, b.info, name)
				}
				names = append(names, name)
			}
			slices.Sort(names)
			list = append(list, "drawing "+b.info+" "+strings.Join(names, " "))
		case bullets, numbered:
			for _, item := range b.items {
				list = append(list, "item "+codes(item))
			}
		case table:
			for _, row := range b.rows {
				list = append(list, "row "+codes(strings.Join(row, " ")))
			}
		case note:
			list = append(list, "note")
		default:
			if c := codes(b.text); c != "" {
				list = append(list, "text "+c)
			}
		}
	}
	return list
}

// codes is what a line has in code, in no order: languages have their own.
func codes(line string) string {
	var list []string
	for _, s := range spans(line) {
		if s.code {
			list = append(list, s.text)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func variants() map[string]func(*Facts) {
	return map[string]func(*Facts){
		"everything":    func(*Facts) {},
		"no FTP":        func(f *Facts) { f.FTP = FTP{} },
		"FTP over TLS":  func(f *Facts) { f.FTP.Plain = false },
		"implicit only": func(f *Facts) { f.FTP.Plain, f.FTP.Port = false, "" },
		"any port":      func(f *Facts) { f.FTP.Passive = "" },
		"no TLS":        func(f *Facts) { f.FTP.TLS, f.FTP.ImplicitPort, f.FTP.Certificate = false, "", "" },
		"new client":    func(f *Facts) { f.Allowed, f.Name, f.Signed, f.Contact = nil, "", false, "" },
	}
}

func TestEveryLanguageSaysTheSame(t *testing.T) {
	t.Parallel()
	for name, change := range variants() {
		for _, s := range Systems() {
			f := acme()
			change(&f)
			want := skeleton(t, "en", f, s)
			for _, language := range Languages()[1:] {
				if diff := cmp.Diff(want, skeleton(t, language, f, s)); diff != "" {
					t.Errorf("%s, %s, %s: -en +%s\n%s", name, s, language, language, diff)
				}
			}
		}
	}
}

// What is left of another language, or of a template, shows in its words.
func TestEveryLanguageIsItsOwn(t *testing.T) {
	t.Parallel()
	english := regexp.MustCompile(`\b(the|your|with|and|you|from)\b`)
	for _, language := range Languages() {
		text := write(t, acme(), Options{Language: language, System: All, Format: Markdown})
		if strings.Contains(text, "{{") || strings.Contains(text, "<no value>") || strings.Contains(text, "%!") {
			t.Errorf("%s: a template shows through", language)
		}
		prose := regexp.MustCompile("(?s)```.*?```|`[^`]*`|“[^”]*”").ReplaceAllString(text, "")
		if found := english.FindAllString(prose, 5); language != "en" && found != nil {
			t.Errorf("%s: English words are left: %v", language, found)
		}
		if language == "ja" && !strings.ContainsFunc(prose, func(r rune) bool { return unicode.Is(unicode.Hiragana, r) }) {
			t.Error("ja: there is no Japanese in it")
		}
	}
}

// The sections that were promised, each in the guides that it concerns.
func TestWhatEachReaderGets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		system       System
		change       func(*Facts)
		with, spared string // ids
	}{
		{Windows, func(*Facts) {}, "ssh-key-windows pgp-key-windows filezilla winscp cyberduck explorer ftps decrypt-windows backup move problem-a problem-b problem-c", "ssh-key-shell openssh decrypt-linux decrypt-macos"},
		{MacOS, func(*Facts) {}, "ssh-key-shell pgp-key-macos filezilla cyberduck openssh decrypt-macos", "ssh-key-windows winscp explorer decrypt-linux"},
		{Linux, func(*Facts) {}, "ssh-key-shell pgp-key-linux filezilla openssh decrypt-linux backup move", "winscp cyberduck explorer decrypt-macos"},
		{Windows, func(f *Facts) { f.FTP.Plain = false }, "ftps", "explorer"},
		{Windows, func(f *Facts) { f.FTP = FTP{} }, "winscp", "explorer ftps"},
		{Windows, func(f *Facts) { f.FTP.TLS = false }, "explorer", "ftps"},
	} {
		f := acme()
		test.change(&f)
		text := write(t, f, Options{Language: "en", System: test.system, Format: HTML})
		for id := range strings.FieldsSeq(test.with) {
			if !strings.Contains(text, `id="`+id+`"`) {
				t.Errorf("%s: there is no section %s", test.system, id)
			}
		}
		for id := range strings.FieldsSeq(test.spared) {
			if strings.Contains(text, `id="`+id+`"`) {
				t.Errorf("%s: there is a section %s", test.system, id)
			}
		}
	}
}

// A reader is told of no other system than the one asked for.
func TestGuideForOneSystemNamesNoOther(t *testing.T) {
	t.Parallel()
	for system, others := range map[System]string{
		Windows: `macOS|Linux|ssh-keygen|Finder|~/`, MacOS: `Windows|Linux|PuTTY|\.ppk|Kleopatra|Explorer`, Linux: `Windows|macOS|PuTTY|\.ppk|Kleopatra|Finder|Cmd\+`,
	} {
		for _, language := range Languages() {
			text := write(t, acme(), Options{Language: language, System: system, Format: HTML})
			if found := regexp.MustCompile(others).FindAllString(text, -1); found != nil {
				t.Errorf("%s, %s: there is word of %v", system, language, found)
			}
		}
	}
}

// Whoever reads Markdown sees no drawing, so the words must have all ports.
func TestFirewallPortsAreInTheWords(t *testing.T) {
	t.Parallel()
	for _, language := range Languages() {
		text := write(t, acme(), Options{Language: language, System: All, Format: Markdown})
		_, section, _ := strings.Cut(text, `<a id="firewall"></a>`)
		section, _, _ = strings.Cut(section, "<a id=")
		for _, port := range []string{"`32`", "`21`", "`990`", "`30000-30199`"} {
			if !strings.Contains(section, port) {
				t.Errorf("%s: there is no word of port %s", language, port)
			}
		}
	}
}

func TestWhomToAsk(t *testing.T) {
	t.Parallel()
	f := acme()
	f.Gateway, f.Contact = "A|B & <i>Co</i>", "reports_desk@example.com"
	if text := write(t, f, Options{Language: "en", System: All, Format: HTML}); !strings.Contains(text, "<td>A|B &amp; &lt;i&gt;Co&lt;/i&gt;, reports_desk@example.com</td>") {
		t.Errorf("it is not said whom to ask:\n%.2000s", text)
	}
	f.Gateway, f.Contact = "", ""
	if text := write(t, f, Options{Language: "en", System: All, Format: HTML}); strings.Contains(text, "Whom you can ask") {
		t.Error("there is nobody to ask, and a place for it")
	}
}

func TestHTMLIsWellFormedAndStandsAlone(t *testing.T) {
	t.Parallel()
	for _, language := range Languages() {
		text := write(t, acme(), Options{Language: language, System: All, Format: HTML})
		d := xml.NewDecoder(strings.NewReader(strings.NewReplacer("<!DOCTYPE html>", "", `<meta charset="utf-8">`, "", `<meta name="viewport" content="width=device-width">`, "").Replace(text)))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", language, err)
			}
		}
		if strings.Count(text, "<svg") != 4 || strings.Count(text, "<title id=") != 4 {
			t.Errorf("%s: %d drawings, %d of them in words", language, strings.Count(text, "<svg"), strings.Count(text, "<title id="))
		}
		for _, fetched := range []string{"<script", "<link", "src=", "@import", "url("} {
			if strings.Contains(text, fetched) {
				t.Errorf("%s: the page has %q", language, fetched)
			}
		}
	}
}

func TestAttackNameOfClientIsNoMarkup(t *testing.T) {
	t.Parallel()
	f := acme()
	f.Name = "<script>alert(1)</script>\n# **Evil** `x` {{.Host}} \u202e[a](b)"
	for _, format := range []Format{HTML, Markdown} {
		text := write(t, f, Options{Language: "en", System: All, Format: format})
		if strings.Contains(text, "<script") && !strings.Contains(text, `\<script`) || strings.Contains(text, "\n# **Evil") || strings.Contains(text, "<strong>Evil") || strings.Contains(text, "\u202e") {
			t.Errorf("%s: the name is taken for markup:\n%.300s", format, text)
		}
	}
	if text := write(t, f, Options{Language: "en", System: All, Format: HTML}); !strings.Contains(text, "&lt;script&gt;alert(1)&lt;/script&gt; # **Evil** `x` {{.Host}} [a](b)") {
		t.Errorf("the name is not shown as it is:\n%.600s", text)
	}
}

// pdfText is what somebody who copies from a PDF gets, page by page.
func pdfText(t *testing.T, f Facts, o Options) (pages []string, complaints string) {
	t.Helper()
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("there is no pdftotext")
	}
	// The names of the characters in the Japanese font's encoding.
	if _, err := os.Stat("/usr/share/poppler/cMap/Adobe-Japan1"); err != nil {
		t.Skip("there is no poppler-data")
	}
	path := filepath.Join(t.TempDir(), "guide.pdf")
	if err := os.WriteFile(path, []byte(write(t, f, o)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("pdftotext", "-layout", path, "-")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\f"), "\f"), stderr.String()
}

func TestPDFIsReadable(t *testing.T) {
	t.Parallel()
	f := acme()
	f.Name = "Žižka & 東京証券"
	for _, language := range Languages() {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			pages, complaints := pdfText(t, f, Options{Language: language, System: All, Format: PDF})
			text := strings.Join(pages, "\n")
			want := []string{"reports.example.com", "30000-30199", "SHA256:aaaa", "東京証券", "ssh-keygen -t rsa -b 4096 -C acme -f ~/.ssh/acme_rsa"}
			want = append(want, map[string]string{"en": "Common issues", "de": "Häufige Probleme", "ja": "よくある問題", "pt-BR": "Problemas comuns"}[language])
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%q is not in the PDF", w)
				}
			}
			if strings.Count(complaints, "rror") > strings.Count(complaints, "UniJIS")+strings.Count(complaints, "Adobe-Japan1") {
				t.Errorf("pdftotext complains: %s", complaints)
			}
		})
	}
}

// keysOfUsualSize are a gateway's of which the lines are as long as they really are.
func keysOfUsualSize(f *Facts) {
	f.HostKeys = []HostKey{
		{"ssh-ed25519", "SHA256:aaaa", "[reports.example.com]:32 ssh-ed25519 " + strings.Repeat("AbC+", 17)},
		{"ssh-rsa", "SHA256:bbbb", "[reports.example.com]:32 ssh-rsa " + strings.Repeat("AbC/", 136)},
	}
	f.SigningKeyArmored = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n" + strings.Repeat(strings.Repeat("AbC/", 16)+"\n", 12) + "AbC=\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----"
}

// solid is a text as it is pasted: what a program that copies does to spaces and empty
// lines is no part of it.
func solid(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// A known_hosts line was set on two lines of a PDF, and the end of its page between
// others; the empty line of an armored key is lost by whoever copies it.
func TestBugCommandsCopiedFromPDFAreBroken(t *testing.T) {
	t.Parallel()
	for _, language := range Languages() {
		for name, change := range map[string]func(*Facts){
			"usual": func(*Facts) {},
			"long name": func(f *Facts) {
				f.HostKeys[0].KnownHosts = "[" + strings.Repeat("reports.", 8) + f.HostKeys[0].KnownHosts[1:]
			},
			"RSA only": func(f *Facts) { f.HostKeys = f.HostKeys[1:] },
		} {
			t.Run(language+"/"+name, func(t *testing.T) {
				t.Parallel()
				f := acme()
				keysOfUsualSize(&f)
				change(&f)
				o := Options{Language: language, System: All, Format: PDF}
				text, err := markdown(f, o)
				if err != nil {
					t.Fatal(err)
				}
				pages, _ := pdfText(t, f, o)
				for i := range pages {
					pages[i] = strings.ReplaceAll(solid(pages[i]), "\\\n", "") // as the shell does
				}
				for _, b := range parse(text) {
					if b.kind == code && !slices.ContainsFunc(pages, func(page string) bool { return strings.Contains(page, solid(b.text)) }) {
						t.Errorf("no page has these commands:\n%s", b.text)
					}
				}
			})
		}
	}
}

// What it is the heading of was on the next page.
func TestBugHeadingAtTheFootOfAPage(t *testing.T) {
	t.Parallel()
	for _, language := range Languages() {
		for _, system := range Systems() {
			t.Run(language+"/"+string(system), func(t *testing.T) {
				t.Parallel()
				f := acme()
				keysOfUsualSize(&f)
				o := Options{Language: language, System: system, Format: PDF}
				text, err := markdown(f, o)
				if err != nil {
					t.Fatal(err)
				}
				headings := map[string]bool{}
				for _, b := range parse(text) {
					if b.kind == heading || b.kind == subheading {
						headings[unescape(b.text)] = true
					}
				}
				pages, _ := pdfText(t, f, o)
				for i, page := range pages {
					lines := strings.Split(solid(page), "\n")
					if number := strconv.Itoa(i+1) + "/" + strconv.Itoa(len(pages)); len(lines) < 5 && i+1 < len(pages) || strings.ReplaceAll(lines[len(lines)-1], " ", "") != number {
						t.Fatalf("page %d is almost empty, or has no number:\n%s", i+1, page)
					}
					if last := lines[len(lines)-2]; headings[last] {
						t.Errorf("page %d ends with the heading %q", i+1, last)
					}
				}
			})
		}
	}
}

func TestLongTableHasItsHeadOnEachPage(t *testing.T) {
	t.Parallel()
	rows := [][]string{{"Head", "Value"}}
	for range 80 {
		rows = append(rows, []string{"a", "b"})
	}
	p := &pages{y: pageTop}
	p.table(rows)
	p.end()
	for i, page := range p.done {
		if !bytes.Contains(page, []byte(encode([]rune("Head"), true))) {
			t.Errorf("page %d has no head", i+1)
		}
	}
	if len(p.done) < 2 {
		t.Error("the table is on one page")
	}
}

func TestSameFactsMakeTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, format := range Formats() {
		o := Options{Language: "ja", System: All, Format: format}
		first, second := write(t, acme(), o), write(t, acme(), o)
		if first != second {
			t.Errorf("%s differs", format)
		}
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	join := func(lines [][]span) []string {
		var list []string
		for _, l := range lines {
			var b strings.Builder
			for _, s := range l {
				b.WriteString(s.text)
			}
			list = append(list, b.String())
		}
		return list
	}
	for _, test := range []struct {
		text  string
		limit float64
		want  []string
	}{
		{"one two three", 50, []string{"one two ", "three"}},
		{"鍵を作成します。", 30, []string{"鍵を作", "成しま", "す。"}},
		{"あいう。え", 30, []string{"あい", "う。え"}},
		{"abcdefghijklmnop", 30, []string{"abcde", "fghijkl", "mnop"}},
		{"", 30, []string{""}},
	} {
		if diff := cmp.Diff(test.want, join(wrap([]span{{text: test.text}}, 10, test.limit, plain))); diff != "" {
			t.Errorf("%q: -want +got\n%s", test.text, diff)
		}
	}
}

func TestOptionsThatThereAreNot(t *testing.T) {
	t.Parallel()
	good := Options{Language: "en", System: All, Format: HTML}
	for _, change := range []func(*Options){
		func(o *Options) { o.Language = "../en" }, func(o *Options) { o.System = "beos" }, func(o *Options) { o.Format = "doc" },
	} {
		o := good
		change(&o)
		if err := Write(io.Discard, acme(), o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
