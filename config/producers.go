package config

import (
	"fmt"
	"slices"

	"github.com/sealdrop/sealdrop/reports"
)

// EveryClient stands in a producer's delivers_to for all clients.
const EveryClient = "all"

func parseReach(text string) (string, error) {
	if text == EveryClient {
		return text, nil
	}
	if _, err := reports.ParseClientID(text); err != nil {
		return "", bad(text, "is no client", "write ids of clients, or all")
	}
	return text, nil
}

// Producer reports whether the file declares c as one.
func (c Client) Producer() bool { return len(c.DeliversTo) > 0 }

// producer finds what is wrong with a producer that the lines declare.
func (cr *clientReader) producer(d *document, c Client, lines map[string]int) (good bool) {
	key := fmt.Sprintf("clients[%s].", c.ID)
	fault := func(field, message, hint string) {
		good = false
		cr.report.fault(Fault{File: d.file, Line: lines[field], Key: key + field, Message: message, Hint: hint})
	}
	good = true
	if _, declared := c.Declared["delivers_to"]; !declared {
		return good
	}
	switch {
	case len(c.DeliversTo) == 0:
		fault("delivers_to", "is empty", "name the clients that it hands in reports for, or leave the key out")
	case len(c.DeliversTo) > 1 && slices.Contains(c.DeliversTo, EveryClient):
		fault("delivers_to", "has all beside single clients", "write [all], or the clients only")
	case !slices.Contains(c.DeliversTo, EveryClient) && slices.Contains(c.DeliversTo, c.ID.String()):
		fault("delivers_to", "names itself", "a producer gets no reports")
	}
	for _, field := range cr.known {
		if _, declared := c.Declared[field]; declared && !slices.Contains([]string{"id", "name", "allow", "disabled", "delivers_to"}, field) {
			fault(field, "is nothing that a producer has", "leave it out, or delivers_to")
		}
	}
	return good
}
