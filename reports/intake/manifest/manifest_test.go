package manifest_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/manifest"
)

// folder makes a folder with the files a.csv and b.csv.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"a.csv", "b.csv"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func known(id reports.ClientID) error {
	if id.String() != "acme" && id.String() != "globex" {
		return fmt.Errorf("%w: %s", reports.ErrUnknownClient, id)
	}
	return nil
}

func read(t *testing.T, dir, text string) ([]manifest.Line, error) {
	t.Helper()
	return manifest.Read(strings.NewReader(text), manifest.Options{Dir: dir, Client: known})
}

// brief shows lines without their folder.
func brief(lines []manifest.Line) []string {
	list := []string{}
	for _, l := range lines {
		date, sum := "", ""
		if !l.Date.IsZero() {
			date = l.Date.Format(" 2006-01-02T15:04:05Z")
		}
		if l.SHA256 != "" {
			sum = " " + l.SHA256[:4]
		}
		list = append(list, fmt.Sprintf("%d %s %s %s %d%s%s", l.Number, l.Client, filepath.Base(l.File), l.Name, l.Size, date, sum))
	}
	return list
}

func TestReadTakesEveryForm(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("AB", 32)
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"least":      {"client,file\nacme,a.csv\n", []string{"2 acme a.csv a.csv 8"}},
		"no newline": {"client,file\nacme,a.csv", []string{"2 acme a.csv a.csv 8"}},
		"all": {
			"client,file,name,date,sha256\nacme,a.csv,x.csv,2026-11-20," + sum + "\nglobex,b.csv,,2026-11-20T18:30:00+01:00,\n",
			[]string{"2 acme a.csv x.csv 8 2026-11-20T00:00:00Z abab", "3 globex b.csv b.csv 8 2026-11-20T17:30:00Z"},
		},
		"a spreadsheet's": {"\ufeffFile;Client\r\n\"a.csv\"; acme \r\n", []string{"2 acme a.csv a.csv 8"}},
		"a quoted line break moves the numbers": {
			"client,file,name\nacme,a.csv,\"x\"\n\nglobex,b.csv,y\n", []string{"2 acme a.csv x 8", "4 globex b.csv y 8"},
		},
		"json": {
			"{\"client\":\"acme\",\"file\":\"a.csv\"}\n\n{\"file\":\"b.csv\",\"client\":\"globex\",\"name\":\"y\",\"date\":null}\n",
			[]string{"1 acme a.csv a.csv 8", "3 globex b.csv y 8"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, err := read(t, folder(t), test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, brief(lines)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadTellsAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	_, err := read(t, dir, `client,file,name,date,sha256
acme,a.csv,,,
nobody,a.csv,,,
ACME,a.csv,,,
acme,gone.csv,,,
acme,.,x,,
acme,a.csv,../x,yesterday,abc
acme,b.csv,a.csv,,
,,,,
acme,b.csv
acme,b.csv,old,1969-12-31,
`)
	var faults *manifest.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("the error is %v", err)
	}
	want := strings.ReplaceAll(`line 3: client: unknown client: nobody
line 4: client: not a client id: 
line 5: file: DIR/gone.csv: no such file or directory
line 6: file: DIR: not a regular file
line 7: name: not a valid name: 
line 7: date: "yesterday" is not a date such as 2026-11-20 or 2026-11-20T17:30:00Z
line 7: sha256: "abc" is not a SHA-256: 64 hexadecimal digits, as sha256sum prints them
line 8: name: "a.csv" goes to client acme on line 2 already
line 9: client: is missing
line 9: file: is missing
line 10: has 2 fields where the header has 5
line 11: date: "1969-12-31" is not between 1970 and 2106`, "DIR", dir)
	got, wanted := strings.Split(faults.Error(), "\n"), strings.Split(want, "\n")
	if len(got) != len(wanted) {
		t.Fatalf("got %s", faults)
	}
	for i := range got {
		if !strings.HasPrefix(got[i], wanted[i]) {
			t.Errorf("got  %s\nwant %s", got[i], wanted[i])
		}
	}
	if !strings.Contains(faults.Hint(), "nothing was delivered") || !strings.Contains(faults.Hint(), "client list") {
		t.Errorf("the hint is %q", faults.Hint())
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"empty":                             {"", "the manifest lists no report"},
		"blank":                             {" \n\n", "the manifest lists no report"},
		"header only":                       {"client,file\n", "the manifest lists no report"},
		"no header":                         {"acme,a.csv\n", `there is no column "acme"`},
		"a megabyte for a header":           {strings.Repeat("a", 1<<20), `there is no column "` + strings.Repeat("a", 40) + `"`},
		"column-that-is-there-twice":        {"client,file,client\nacme,a.csv,globex\n", "twice"},
		"column missing":                    {"client,name\n", `"file" is missing`},
		"quote that is not closed":          {"client,file\nacme,\"a.csv\n", "line 2"},
		"json-key-that-is-there-twice":      {`{"client":"acme","client":"globex","file":"a.csv"}`, `"client" is there twice`},
		"json-key-in-another-case":          {`{"client":"acme","Client":"globex","file":"a.csv"}`, `no field "Client"`},
		"two json objects on a line":        {`{"client":"acme","file":"a.csv"}{}`, "more than one"},
		"json value of another kind":        {`{"client":["acme"],"file":"a.csv"}`, "no text"},
		"json that is cut off":              {`{"client":"acme"`, "not a JSON object"},
		"csv after json":                    {"{\"client\":\"acme\",\"file\":\"a.csv\"}\nacme,b.csv\n", "line 2: is not a JSON object"},
		"json line of a megabyte":           {`{"client":"` + strings.Repeat("a", 1<<20) + `"}`, "line 1 is longer than 64 KiB"},
		"file name with a zero byte":        {"client,file\nacme,a\x00.csv\n", "not the name of a file"},
		"the same name to one client":       {"client,file\nacme,a.csv\nacme,./a.csv\n", "on line 2 already"},
		"the same name in another spelling": {"client,file,name\nacme,a.csv,\u00e9\nacme,b.csv,e\u0301\n", "on line 2 already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := read(t, folder(t), test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestManifestWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	_, err := manifest.Read(io.MultiReader(strings.NewReader("client,file\nacme,\""), endless{}), manifest.Options{Client: known})
	if err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("the error is %v", err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReadTellsWhenClientsCantBeLookedUp(t *testing.T) {
	t.Parallel()
	broken := errors.New("the catalog is away")
	_, err := manifest.Read(strings.NewReader("client,file\nacme,a.csv\n"), manifest.Options{
		Dir: folder(t), Client: func(reports.ClientID) error { return broken },
	})
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
}

func TestManyFaultsAreCounted(t *testing.T) {
	t.Parallel()
	_, err := read(t, folder(t), "client,file\n"+strings.Repeat("nobody,a.csv\n", 1000))
	var faults *manifest.Faults
	if !errors.As(err, &faults) || faults.Count() != 1000 || !strings.HasSuffix(err.Error(), "and 950 more") {
		t.Errorf("the error is %.500v", err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const of = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" // hello world
	if got, err := io.ReadAll(manifest.Verify(strings.NewReader("hello world"), of)); err != nil || string(got) != "hello world" {
		t.Errorf("%q, %v", got, err)
	}
	var mismatch *manifest.MismatchError
	if _, err := io.ReadAll(manifest.Verify(strings.NewReader("hello worlds"), of)); !errors.As(err, &mismatch) {
		t.Errorf("the error is %v", err)
	}
	if _, err := io.ReadAll(manifest.Verify(strings.NewReader("anything"), "")); err != nil {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"client,file\nacme,a.csv\n", "\ufeffclient;file\r\nacme;\"a.csv\"\r\n", `{"client":"acme","file":"a.csv","date":"2026-11-20"}`,
		"client,file,name,date,sha256\nacme,a.csv,x,2026-11-20," + strings.Repeat("0f", 32) + "\n", "client,file\nacme,\"", "{}", "\n{\n",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), nil, 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, err := manifest.Read(strings.NewReader(text), manifest.Options{Dir: dir, Client: known})
		if (err == nil) == (len(lines) == 0) {
			t.Fatalf("%d lines, %v", len(lines), err)
		}
		goesTo := map[string]bool{}
		for _, l := range lines {
			if known(l.Client) != nil || l.Name.IsRoot() || len(l.Name.Segments()) != 1 || l.File == "" {
				t.Errorf("%+v", l)
			}
			at := l.Client.String() + "/" + l.Name.String()
			if goesTo[at] {
				t.Errorf("%s twice", at)
			}
			goesTo[at] = true
		}
	})
}
