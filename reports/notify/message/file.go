package message

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

// file is a file of texts, or what such files come to when one replaces the other.
type file struct {
	path  string
	tag   language.Tag
	texts map[string]text
}

// text is one text with its plural forms: "other" alone if it counts nothing.
type text struct {
	path   string
	line   int
	plural bool // written with forms
	forms  map[string]string
}

// readFile reads a file. What is wrong with its structure is left out and reported.
func readFile(path string, tag language.Tag, data []byte) (file, Faults) {
	f := file{path: path, tag: tag, texts: map[string]text{}}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return f, Faults{{File: path, Message: strings.TrimPrefix(err.Error(), "yaml: ")}}
	}
	if len(root.Content) == 0 {
		return f, nil
	}
	top := root.Content[0]
	if top.Kind != yaml.MappingNode {
		return f, Faults{{File: path, Line: top.Line, Message: "is not a list of NAME: TEXT"}}
	}
	var faults Faults
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		fault := Fault{File: path, Line: key.Line, ID: key.Value}
		if _, found := f.texts[key.Value]; found {
			fault.Message = "is there twice"
			faults = append(faults, fault)
			continue
		}
		t, message := readText(value)
		if message != "" {
			fault.Message = message
			faults = append(faults, fault)
		}
		t.path, t.line = path, key.Line
		f.texts[key.Value] = t
	}
	return f, faults
}

func readText(value *yaml.Node) (t text, fault string) {
	switch value.Kind {
	case yaml.ScalarNode:
		return text{forms: map[string]string{"other": strings.TrimSpace(value.Value)}}, ""
	case yaml.MappingNode:
		t = text{plural: true, forms: map[string]string{}}
		for i := 0; i+1 < len(value.Content); i += 2 {
			form, content := value.Content[i].Value, value.Content[i+1]
			switch {
			case !slices.Contains(forms(), form):
				fault = fmt.Sprintf("%q is no plural form; they are %s", form, strings.Join(forms(), ", "))
			case content.Kind != yaml.ScalarNode:
				fault = fmt.Sprintf("the plural form %q is not a text", form)
			default:
				t.forms[form] = strings.TrimSpace(content.Value)
			}
		}
		return t, fault
	}
	return text{}, "is neither a text nor a list of plural forms"
}

// forms are the plural forms that the languages of the world have between them.
func forms() []string { return []string{"zero", "one", "two", "few", "many", "other"} }

// replacedBy returns f with the texts of own in place of its own.
func (f file) replacedBy(own file) file {
	texts := maps.Clone(f.texts)
	maps.Copy(texts, own.texts)
	return file{path: own.path, tag: f.tag, texts: texts}
}

// messages returns the texts as the library wants them.
func (f file) messages() []*i18n.Message {
	var list []*i18n.Message
	for id, t := range f.texts {
		list = append(list, &i18n.Message{
			ID: id, Zero: t.forms["zero"], One: t.forms["one"], Two: t.forms["two"],
			Few: t.forms["few"], Many: t.forms["many"], Other: t.forms["other"],
		})
	}
	return list
}

// check compares the texts with what there is to be.
func (f file) check(all map[string]spec) Faults {
	needed := pluralForms(f.tag)
	var faults Faults
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if _, found := f.texts[id]; !found {
			faults = append(faults, Fault{File: f.path, ID: id, Message: "is missing"})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(f.texts)) {
		t := f.texts[id]
		fault := Fault{File: t.path, Line: t.line, ID: id}
		s, known := all[id]
		if !known {
			fault.Message = "there is no text of this name"
			faults = append(faults, fault)
			continue
		}
		for _, message := range t.check(s, needed) {
			fault.Message = message
			faults = append(faults, fault)
		}
	}
	return faults
}

// check returns what is wrong with a text.
func (t text) check(s spec, needed []string) []string {
	var faults []string
	if t.forms == nil {
		return nil // its structure was, and that is known
	}
	if !s.plural {
		if t.plural {
			return []string{"counts nothing and so has no plural forms; write a text alone"}
		}
		needed = []string{"other"}
	}
	for _, form := range needed {
		switch {
		case t.forms[form] == "" && t.plural:
			faults = append(faults, fmt.Sprintf("the plural form %q is missing", form))
		case t.forms[form] == "" && form != "other":
			faults = append(faults, fmt.Sprintf("counts something, so it needs the plural forms %s", strings.Join(needed, ", ")))
		case t.forms[form] == "":
			faults = append(faults, "is empty")
		}
	}
	for _, form := range slices.Sorted(maps.Keys(t.forms)) {
		if !slices.Contains(needed, form) {
			faults = append(faults, fmt.Sprintf("the language has no plural form %q", form))
		}
		used, fault := placeholders(t.forms[form])
		if fault != "" {
			faults = append(faults, fault)
		}
		for _, name := range used {
			if !slices.Contains(s.fields, name) {
				faults = append(faults, unknownPlaceholder(name, s.fields))
			}
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults)
}

func unknownPlaceholder(name string, known []string) string {
	if len(known) == 0 {
		return fmt.Sprintf("there is nothing to put in for {{.%s}}: this text has no placeholders", name)
	}
	return fmt.Sprintf("there is nothing to put in for {{.%s}}; placeholders of this text are %s", name, strings.Join(known, ", "))
}

// pluralForms returns the plural forms of a language, by asking the library's own
// rules about numbers that tell all forms of all languages apart.
func pluralForms(tag language.Tag) []string {
	bundle := i18n.NewBundle(tag)
	if err := bundle.AddMessages(tag, &i18n.Message{
		ID: "form", Zero: "zero", One: "one", Two: "two", Few: "few", Many: "many", Other: "other",
	}); err != nil {
		return []string{"other"} // New reports it
	}
	localizer := i18n.NewLocalizer(bundle, tag.String())
	found := map[string]bool{"other": true}
	ask := func(n int) {
		if form, err := localizer.Localize(&i18n.LocalizeConfig{MessageID: "form", PluralCount: n}); err == nil {
			found[form] = true
		}
	}
	for n := range 200 {
		ask(n)
	}
	ask(1_000_000)
	var list []string
	for _, form := range forms() {
		if found[form] {
			list = append(list, form)
		}
	}
	return list
}

// placeholders returns the placeholders in a text, or what is wrong with it. Nothing
// but placeholders and conditions on them is allowed: a text is words, not a program.
func placeholders(content string) (used []string, fault string) {
	trees, err := parse.Parse("text", content, "", "", nil)
	if err != nil {
		_, message, _ := strings.Cut(err.Error(), "text:1: ")
		if message == "" {
			message = err.Error()
		}
		return nil, "is not written as a text with placeholders: " + message
	}
	if len(trees) == 0 || trees["text"] == nil {
		return nil, ""
	}
	names := map[string]bool{}
	if len(trees) > 1 || !walk(trees["text"].Root, names) {
		return nil, "only {{.Name}} and {{if .Name}} … {{else}} … {{end}} can be used"
	}
	return slices.Sorted(maps.Keys(names)), ""
}

// walk collects the placeholders below a list; false if something else is there.
func walk(list *parse.ListNode, names map[string]bool) bool {
	if list == nil {
		return true
	}
	for _, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			if !field(node.Pipe, names) {
				return false
			}
		case *parse.IfNode:
			if !field(node.Pipe, names) || !walk(node.List, names) || !walk(node.ElseList, names) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// field takes {{.Name}} apart; false if the pipe is anything else.
func field(pipe *parse.PipeNode, names map[string]bool) bool {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	node, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(node.Ident) != 1 {
		return false
	}
	names[node.Ident[0]] = true
	return true
}
