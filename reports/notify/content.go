package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/sealdrop/sealdrop/internal/outbox"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
	"github.com/sealdrop/sealdrop/reports/notify/message"
)

// The most that one message lists. What goes beyond is counted.
const (
	maxItems = 50
	maxNames = 50
)

// Kinds of items and messages that no client chooses.
const (
	kindTest      contact.Kind = "test"
	kindParcel    contact.Kind = "report.parcel" // one report that is itself sent
	kindOperators contact.Kind = "digest.operator"
	kindDead      contact.Kind = "message.dead" // an item in a message to operators
)

// content is what a message tells, as it is stored and as a webhook is sent it.
type content struct {
	Client string `json:"client,omitempty"`
	Items  []item `json:"items"`
	// More is how many items there were beyond [maxItems].
	More int `json:"more,omitempty"`
}

// item is one thing of it.
type item struct {
	Kind   contact.Kind `json:"type"`
	Client string       `json:"client,omitempty"`
	Count  int          `json:"count,omitempty"`
	Bytes  int64        `json:"bytes,omitempty"`
	// Reports are ids, and Names are there only if the client wants them.
	Reports     []string  `json:"reports,omitempty"`
	Names       []string  `json:"names,omitempty"`
	Until       time.Time `json:"until,omitzero"`
	Credential  string    `json:"credential,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	Label       string    `json:"label,omitempty"`
	Change      string    `json:"change,omitempty"`
	Network     string    `json:"network,omitempty"`
	Reason      string    `json:"reason,omitempty"`
}

// itemOf makes an item of an event. names says whether the names of reports may
// be told.
func itemOf(e outbox.Event, names bool) item {
	d := e.Detail
	count, err := strconv.Atoi(d[outbox.Count])
	if err != nil {
		count = 1
	}
	bytes, _ := strconv.ParseInt(d[outbox.Bytes], 10, 64) // 0 where there is none
	until, _ := time.Parse(time.RFC3339, d[outbox.Until]) // the same
	i := item{
		Kind: e.Kind, Client: e.Client, Count: count, Bytes: bytes, Until: until,
		Credential: d[outbox.Credential], Fingerprint: d[outbox.Fingerprint], Label: d[outbox.Label],
		Change: d[outbox.Change], Network: d[outbox.Network], Reason: d[outbox.Reason],
	}
	switch e.Kind {
	case outbox.ReportReady, outbox.ReportHeld:
		i.Reports = []string{e.Subject}
		if names && d[outbox.Name] != "" {
			i.Names = []string{d[outbox.Name]}
		}
	}
	return i
}

// merges reports whether two items can be told as one.
func (i item) merges(other item) bool {
	if i.Kind != other.Kind || i.Client != other.Client || i.Reason != other.Reason {
		return false
	}
	switch i.Kind {
	case outbox.ReportReady, outbox.ReportHeld, outbox.ReportUncollected, outbox.AccessRefused, kindDead:
		return true
	}
	return false
}

// add adds an item, or counts it in with one that it can be told with.
func (c *content) add(n item) {
	for k := range c.Items {
		i := &c.Items[k]
		if !i.merges(n) {
			continue
		}
		i.Count += n.Count
		i.Bytes += n.Bytes
		i.Reports = capped(append(i.Reports, n.Reports...))
		i.Names = capped(append(i.Names, n.Names...))
		if i.Until.IsZero() || !n.Until.IsZero() && n.Until.Before(i.Until) {
			i.Until = n.Until
		}
		return
	}
	if len(c.Items) >= maxItems {
		c.More += n.Count
		return
	}
	c.Items = append(c.Items, n)
}

func capped(list []string) []string { return list[:min(len(list), maxNames)] }

func (c content) text() (string, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("writing a message's content: %w", err)
	}
	return string(text), nil
}

func parseContent(text string) (c content, err error) {
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, fmt.Errorf("reading a message's content: %w", err)
	}
	return c, nil
}

// setting is what goes around a message's items.
type setting struct {
	gateway, host, contact string
	clientName             string
	zone                   *time.Location
	now                    time.Time
}

// message puts c into the terms of package message.
func (c content) message(kind contact.Kind, s setting) message.Message {
	m := message.Message{Kind: message.Kind(kind), Client: c.Client, ClientName: s.clientName, Gateway: s.gateway, Host: s.host, Contact: s.contact}
	var items []message.Message
	for _, i := range c.Items {
		items = append(items, i.message(m, s))
	}
	switch {
	case kind == kindOperators:
		m.Items = items
	case len(items) == 1:
		m = items[0]
		m.ClientName = s.clientName
	case len(items) > 1:
		m.Kind, m.Items = message.Digest, items
	}
	return m
}

func (i item) message(around message.Message, s setting) message.Message {
	m := around
	m.Kind, m.Client, m.Count, m.Bytes, m.Names = message.Kind(i.Kind), cmp.Or(i.Client, around.Client), i.Count, i.Bytes, i.Names
	m.ClientName = ""
	m.Reason, m.Change, m.Network = i.Reason, message.Change(i.Change), i.Network
	if i.Change == "password-expired" || i.Change == "password-removed" {
		m.Kind = message.KeyExpiring // which says so, for a password as for a key
	}
	m.Credential = message.Credential{Kind: message.CredentialKind(i.Credential), Fingerprint: i.Fingerprint, Label: i.Label}
	if !i.Until.IsZero() {
		m.Until = i.Until.In(s.zone)
		m.Days = int(math.Ceil(i.Until.Sub(s.now).Hours() / 24))
	}
	return m
}
