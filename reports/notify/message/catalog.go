package message

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

//go:embed languages/*.yaml
var builtin embed.FS

// fallback is the language of those who have chosen none that there is.
const fallback = "en"

// Catalog has the texts of all messages in all languages. It never changes, and any
// number of goroutines may use it.
type Catalog struct {
	bundle    *i18n.Bundle
	languages []string // sorted
	matcher   language.Matcher
	specs     map[string]spec
}

// New reads the texts. Those in the files of overrides, which may be nil, replace the
// built-in ones name by name. The error is a [Faults] if there is something wrong with
// the texts.
func New(overrides fs.FS) (*Catalog, error) {
	languages, err := fs.Sub(builtin, "languages")
	if err != nil {
		return nil, fmt.Errorf("opening the built-in texts: %w", err)
	}
	texts, faults := read(languages)
	if overrides != nil {
		own, more := read(overrides)
		faults = append(faults, more...)
		for name, file := range own {
			if base, found := texts[name]; found {
				file = base.replacedBy(file)
			}
			texts[name] = file
		}
	}
	c := &Catalog{bundle: i18n.NewBundle(language.English), languages: slices.Sorted(maps.Keys(texts)), specs: specs()}
	tags := make([]language.Tag, 0, len(c.languages))
	for _, name := range c.languages {
		tags = append(tags, texts[name].tag)
		faults = append(faults, texts[name].check(c.specs)...)
		if err := c.bundle.AddMessages(texts[name].tag, texts[name].messages()...); err != nil {
			faults = append(faults, Fault{File: texts[name].path, Message: "no plural rules are known for the language " + name})
		}
	}
	c.matcher = language.NewMatcher(tags)
	if len(faults) > 0 {
		faults.sort()
		return nil, faults
	}
	return c, nil
}

// Languages lists the languages that there are texts in, as BCP 47 tags: "pt-BR".
func (c *Catalog) Languages() []string { return slices.Clone(c.languages) }

// Speaks reports whether there are texts in a language, or in one so near to it that
// whoever reads it reads them: "pt" and "pt-BR", "de-AT" and "de".
func (c *Catalog) Speaks(language string) bool {
	_, found := c.nearest(language)
	return found
}

func (c *Catalog) nearest(name string) (nearest string, found bool) {
	tag, err := language.Parse(name)
	if err != nil {
		return "", false
	}
	// The matcher also pairs languages that few read as their first, as Esperanto, with
	// the one that most of them read; that is not near.
	match, i, confidence := c.matcher.Match(tag)
	wanted, _ := tag.Base()
	got, _ := match.Base()
	return c.languages[i], confidence >= language.High && wanted == got
}

// choose returns the languages that there are texts in for those asked for, each once;
// English if there are none.
func (c *Catalog) choose(languages []string) []string {
	var chosen []string
	for _, l := range languages {
		if name, found := c.nearest(l); found && !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	if len(chosen) == 0 {
		return []string{fallback}
	}
	return chosen
}

// read reads the files of a folder, by language.
func read(folder fs.FS) (map[string]file, Faults) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, Faults{{File: ".", Message: fmt.Sprintf("can't be read: %v", err)}}
	}
	files := map[string]file{}
	var faults Faults
	for _, entry := range entries {
		name, yaml := strings.CutSuffix(entry.Name(), ".yaml")
		if !yaml {
			if ext := path.Ext(entry.Name()); ext == ".yml" || ext == ".json" || ext == ".toml" {
				faults = append(faults, Fault{File: entry.Name(), Message: "is not read: a file of texts is named LANGUAGE.yaml"})
			}
			continue
		}
		tag, err := language.Parse(name)
		if err != nil || tag.String() != name {
			faults = append(faults, Fault{File: entry.Name(), Message: "is not named for a language, as de.yaml and pt-BR.yaml are"})
			continue
		}
		data, err := fs.ReadFile(folder, entry.Name())
		if err != nil {
			faults = append(faults, Fault{File: entry.Name(), Message: fmt.Sprintf("can't be read: %v", err)})
			continue
		}
		f, more := readFile(entry.Name(), tag, data)
		files[name] = f
		faults = append(faults, more...)
	}
	return files, faults
}
