// Package contact says who is told of what, by which way, when and in which
// language. It does no I/O.
//
// A [Contact] is parsed from one line, "email:ops@acme.example" or
// "webhook:https://acme.example/hook report.ready,key.expiring", and
// [Preferences] are all that one client has chosen. What can't be parsed is
// refused with a hint; what was parsed can be put into a header, a URL or a log
// as it is.
//
// Contacts are set by operators. Nothing that a client sends, uploads or is
// named becomes one, so that no client decides whom the gateway calls.
package contact
