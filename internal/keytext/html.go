package keytext

import (
	"html"
	"regexp"
	"strings"
)

var (
	// tags matches the elements that mail programs and web pages put around
	// text, and only those: "<someone@example.com>" is part of many keys'
	// surroundings and is left alone.
	tags = regexp.MustCompile(`(?i)</?(html|head|body|meta|title|style|pre|code|tt|p|br|div|blockquote|` +
		`ul|ol|li|table|tbody|thead|tr|td|th|hr|h[1-6]|span|font|b|i|u|em|strong|a|wbr|o:p)(?:[\s/][^<>]*)?>`)

	// inline names the elements that do not end a line.
	inline = regexp.MustCompile(`(?i)^</?(?:code|tt|span|font|b|i|u|em|strong|a|wbr|o:p)\b`)

	// entities matches character references that are written in full.
	entities = regexp.MustCompile(`&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});`)
)

// stripHTML removes markup. Elements that end a line become a line end.
func stripHTML(text string) string {
	if strings.Contains(text, "<") {
		text = tags.ReplaceAllStringFunc(text, func(tag string) string {
			if inline.MatchString(tag) {
				return ""
			}
			return "\n"
		})
	}
	if !strings.Contains(text, "&") {
		return text
	}
	return entities.ReplaceAllStringFunc(text, func(entity string) string {
		decoded := html.UnescapeString(entity)
		switch {
		case decoded == "\r", decoded == "\n":
			return "\n"
		case decoded < " " && decoded != "\t", decoded == "\x7f":
			return entity // a control character is no part of a text
		}
		return decoded
	})
}
