// Package reports holds the words of the domain: which client, which name in
// its folder, which report, in which state. It does no I/O and imports none of
// the project's other packages, so that every package may speak in its terms.
//
// The types [ClientID] and [Name] are parsed, not validated: their non-zero
// values come only from [ParseClientID], [ParseName] and [ParseSegment]. A path
// that a client sends becomes a Name at the protocol's edge and is from there
// on only ever a key into the catalog; no part of it reaches the operating
// system.
//
// The errors in this package are the ones that cross package borders. They are
// compared with [errors.Is]; protocols map them to status codes in one place.
package reports
