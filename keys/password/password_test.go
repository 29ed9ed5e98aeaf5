package password_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/sealdrop/sealdrop/keys/password"
)

// cheap begins a hash under the least parameters.
const cheap = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$"

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, want string
	}{
		{"good", "correct horse battery", ""},
		{"the least", "abcdefghijkl", ""},
		{"the least, of wide letters", strings.Repeat("ü", 12), ""},
		{"the most", strings.Repeat("世", 128), ""},
		{"empty", "", "is empty"},
		{"short", "abcdefghijk", "11 characters, and 12 is the least"},
		{"short, though of many bytes", strings.Repeat("世", 11), "11 characters"},
		{"long", strings.Repeat("x", 129), "129 characters, and 128 is the most"},
		{"the client's id", "acme-holding-1", "the client's own id"},
		{"the client's id in capitals", "ACME-Holding-1", "the client's own id"},
		{"no UTF-8", "abcdefghijkl\xff", "not UTF-8"},
		{"a new line injects a command", "abcdefghijkl\r\nDELE x", "does not print"},
		{"NUL", "abcdefghijkl\x00m", "does not print"},
		{"tab", "abcdef\tghijkl", "does not print"},
		{"next line", "abcdefghijkl\u0085m", "does not print"},
		{"line separator", "abcdefghijkl\u2028m", "does not print"},
		{"zero-width", "abcdefghijkl\u200bm", "does not print"},
		{"text direction", "abcdefghijkl\u202em", "does not print"},
		{"blank at the end", "abcdefghijkl ", "blank"},
		{"blank before", " abcdefghijkl", "blank"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := password.Check(test.text, "acme-holding-1")
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var policy *password.PolicyError
			if !errors.As(err, &policy) || !strings.Contains(err.Error(), test.want) || policy.Hint() == "" {
				t.Fatalf("error is %v, want one with %q and a hint", err, test.want)
			}
			if test.text != "" && strings.Contains(err.Error()+policy.Hint(), test.text) {
				t.Errorf("the error %q shows the password", err)
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^([a-hjkmnp-z2-9]{5}-){3}[a-hjkmnp-z2-9]{5}$`)
	seen, used := map[string]bool{}, map[rune]int{}
	for range 2000 {
		text := password.Generate()
		if !form.MatchString(text) || seen[text] {
			t.Fatalf("generated %q", text)
		}
		if err := password.Check(text, "acme"); err != nil {
			t.Fatal(err)
		}
		seen[text] = true
		for _, r := range text {
			used[r]++
		}
	}
	delete(used, '-')
	// 40,000 characters out of 31: each comes 1,290 times, give or take 35.
	for r, n := range used {
		if len(used) != 31 || n < 1000 || n > 1600 {
			t.Errorf("%q comes %d times, of %d characters", r, n, len(used))
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	const text = "correct horse battery"
	h := password.New(text)
	encoded := h.Encode()
	if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("it is %s", encoded)
	}
	again, err := password.Parse(encoded)
	if err != nil || again != h {
		t.Fatalf("read again: %v", err)
	}
	for guess, want := range map[string]bool{text: true, text + "x": false, "": false, strings.ToUpper(text): false} {
		if got := again.Matches(guess); got != want {
			t.Errorf("%q matches: %v", guess, got)
		}
	}
	if password.New(text) == h {
		t.Error("two hashes of one password are the same")
	}
	if (password.Hash{}).Matches("") || password.Decoy().Matches("") {
		t.Error("an empty guess matches")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if shown := fmt.Sprintf(verb, h); strings.Contains(shown, "$") || !strings.Contains(shown, "argon2id") {
			t.Errorf("%s shows %s", verb, shown)
		}
		if shown := fmt.Sprintf(verb, struct{ H password.Hash }{h}); strings.Contains(shown, "$") || !strings.Contains(shown, "argon2id") {
			t.Errorf("%s shows %s", verb, shown)
		}
	}
}

// TestHashOfAnotherImplementation is a vector of the reference implementation's own
// tests (test.c of phc-winner-argon2).
func TestHashOfAnotherImplementation(t *testing.T) {
	t.Parallel()
	h, err := password.Parse("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil || !h.Matches("password") || h.Matches("Password") {
		t.Errorf("it does not match, %v", err)
	}
}

// TestGuessThatOnlyBeginsLikeThePassword: what is cut off a huge guess must not
// make it right.
func TestGuessThatOnlyBeginsLikeThePassword(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("世", 128) + strings.Repeat("x", 128)
	h := password.New(text)
	if !h.Matches(text) || h.Matches(text+"x") || h.Matches(text+strings.Repeat("x", 1<<20)) {
		t.Error("a guess was cut and then matched")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const salt, key = "c29tZXNhbHQ", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	good := func(m, t, p string) string {
		return "$argon2id$v=19$m=" + m + ",t=" + t + ",p=" + p + "$" + salt + "$" + key
	}
	if _, err := password.Parse(good("19456", "2", "1")); err != nil {
		t.Fatal(err)
	}
	if _, err := password.Parse(good("262144", "16", "16")); err != nil {
		t.Error("the most is refused:", err)
	}
	for name, text := range map[string]string{
		"empty":             "",
		"no hash":           "correct horse battery",
		"bcrypt":            "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"argon2i":           strings.Replace(good("19456", "2", "1"), "argon2id", "argon2i", 1),
		"old version":       strings.Replace(good("19456", "2", "1"), "v=19", "v=16", 1),
		"no version":        strings.Replace(good("19456", "2", "1"), "$v=19", "", 1),
		"one part more":     good("19456", "2", "1") + "$",
		"text before":       "x" + good("19456", "2", "1"),
		"4 GiB":             good("4194304", "2", "1"),
		"4 TiB":             good("4294967295", "2", "1"),
		"overflow":          good("42949672960", "2", "1"),
		"no memory":         good("0", "2", "1"),
		"too little memory": good("15", "2", "2"),
		"no pass":           good("19456", "0", "1"),
		"a day of passes":   good("19456", "4294967295", "1"),
		"no thread":         good("19456", "2", "0"),
		"256 threads":       good("19456", "2", "256"), // 0 as a byte, on which argon2 panics
		"negative":          good("-19456", "2", "1"),
		"plus":              good("+19456", "2", "1"),
		"leading zero":      good("019456", "2", "1"),
		"other order":       strings.Replace(good("19456", "2", "1"), "m=19456,t=2", "t=2,m=19456", 1),
		"one more":          strings.Replace(good("19456", "2", "1"), "p=1", "p=1,data=x", 1),
		"short salt":        strings.Replace(good("19456", "2", "1"), salt, "c29t", 1),
		"long salt":         strings.Replace(good("19456", "2", "1"), salt, strings.Repeat("AAAA", 30), 1),
		"no key":            strings.Replace(good("19456", "2", "1"), key, "", 1),
		"short key":         strings.Replace(good("19456", "2", "1"), key, "AAAA", 1),
		"long key":          strings.Replace(good("19456", "2", "1"), key, strings.Repeat("AAAA", 1000), 1),
		"padded":            good("19456", "2", "1") + "=",
		"line break":        good("19456", "2", "1") + "\n",
		"loose last bits":   strings.Replace(good("19456", "2", "1"), salt, "c29tZXNhbHR", 1),
		"cut off":           cheap,
	} {
		if h, err := password.Parse(text); !errors.Is(err, password.ErrHash) || h != (password.Hash{}) {
			t.Errorf("%s: %v", name, err)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error %q shows the hash", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "$", "$$$$$", cheap, cheap + "AAAAAAAAAAAAAAAAAAAAAA", password.Decoy().Encode(),
		"$argon2id$v=19$m=262144,t=16,p=16$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1,p=256$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=8,t=1,p=1$c29t\nZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := password.Parse(text)
		if err != nil {
			if h != (password.Hash{}) || !errors.Is(err, password.ErrHash) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if h.Encode() != text {
			t.Fatalf("%q is written %q", text, h.Encode())
		}
		if strings.Contains(text, "$m=8,t=1,") { // what costs little is tried
			h.Matches("guess")
		}
	})
}

func BenchmarkMatches(b *testing.B) {
	h := password.New("correct horse battery")
	b.ReportAllocs()
	for b.Loop() {
		h.Matches("wrong horse battery")
	}
}
