// Package message puts what the gateway tells its clients and operators into words:
// in English, German, Japanese and Brazilian Portuguese, with the plural forms, the
// dates and the numbers of each.
//
// # Where to start
//
//	texts, err := message.New(nil)
//	text, err := texts.Render(message.Message{
//		Kind: message.ReportReady, Client: "acme", Gateway: "Example reports", Count: 3,
//	}, "de", "en")
//
// A [Message] says what happened, and a [Text] is a subject, a body and one short
// line of it. With two languages the body has the whole text twice, in the first
// language and then in the second; subject and short line are in the first.
//
// # Texts of one's own
//
// The texts are in files named for their language, such as de.yaml; the built-in ones
// are in the folder languages. [New] takes a folder of such files, and each text in it
// replaces the built-in one of that name, all others stay. A file for a language that
// is not built in adds the language, and must then have every text.
//
// A text may have the placeholders that the built-in texts of that name may have, and
// {{if .Name}} … {{else}} … {{end}} around them; nothing else of Go's templates. It
// has every plural form of its language, or none if it counts nothing.
//
// # What it promises
//
//   - All faults in a folder of texts are reported at once, with file, line and name;
//     what New accepts can be rendered.
//   - A name, label or address that a stranger chose stays within its line: control
//     characters, line ends and marks that turn the writing direction become spaces.
//   - No file name, nor anything of a report's content, is said unless
//     [Message.Names] holds it. A subject and a short line never hold a name.
package message
