package contact

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Preferences are what one client has chosen. The zero value tells nobody.
type Preferences struct {
	Contacts []Contact `json:"contacts,omitempty"`
	// Language and Second are what messages are written in: tags such as "de" and
	// "pt-BR". "" is English.
	Language string   `json:"language,omitempty"`
	Second   string   `json:"second_language,omitempty"`
	Digest   Schedule `json:"digest,omitzero"`
	Timezone Zone     `json:"timezone,omitzero"`
	// ShowNames lets the names of reports into messages.
	ShowNames bool `json:"show_names,omitempty"`
	// Delivery says whether the sealed reports themselves are sent by email.
	Delivery Delivery `json:"email_delivery,omitempty"`
}

// Delivery says whether sealed reports are sent by email, and in which form.
type Delivery string

// The forms. "" is [DeliveryOff].
const (
	DeliveryOff        Delivery = "off"
	DeliveryAttachment Delivery = "attachment"
	DeliveryPGPMIME    Delivery = "pgp-mime"
)

// ParseDelivery reads a form.
func ParseDelivery(s string) (Delivery, error) {
	switch d := Delivery(s); d {
	case DeliveryAttachment, DeliveryPGPMIME:
		return d, nil
	case DeliveryOff, "":
		return "", nil
	}
	return "", &ParseError{Message: fmt.Sprintf("%.80q is no way to deliver by email", s), Advice: "write off, attachment or pgp-mime"}
}

// ParseLanguage reads a language tag, BCP 47 in its short form. Whether there are
// texts in it is not known here.
func ParseLanguage(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	for i, part := range strings.Split(s, "-") {
		if len(part) < 2 || len(part) > 8 || strings.Trim(part, letters+digits) != "" || i > 2 || i == 0 && len(part) > 3 {
			return "", &ParseError{Message: fmt.Sprintf("%.80q is no language", s), Advice: "write its tag, as in en, de, ja or pt-BR"}
		}
	}
	return s, nil
}

// maxContacts bounds how many one client may have.
const maxContacts = 20

// Check finds what is wrong between values that are each good.
func (p Preferences) Check() error {
	if len(p.Contacts) > maxContacts {
		return &ParseError{Message: fmt.Sprintf("there are %d contacts, %d at most", len(p.Contacts), maxContacts), Advice: "have the client forward its messages to more people"}
	}
	seen := map[string]bool{}
	for _, c := range p.Contacts {
		if seen[c.Key()] {
			return &ParseError{Message: c.Key() + " is named twice", Advice: "keep one of the two"}
		}
		seen[c.Key()] = true
	}
	return nil
}

// IsZero reports whether nothing was chosen.
func (p Preferences) IsZero() bool { return p.Text() == "" }

// Has reports whether any contact is reached by a channel.
func (p Preferences) Has(channel Channel) bool {
	return slices.ContainsFunc(p.Contacts, func(c Contact) bool { return c.channel == channel })
}

// Text returns p as it is stored: JSON, "" for the zero value.
func (p Preferences) Text() string {
	text, err := json.Marshal(p)
	if err != nil { // there is nothing in it that could not be written
		return fmt.Sprintf("{%v}", err)
	}
	if string(text) == "{}" {
		return ""
	}
	return string(text)
}

// ParsePreferences reads what [Preferences.Text] returned.
func ParsePreferences(text string) (p Preferences, err error) {
	if text == "" {
		return p, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return Preferences{}, fmt.Errorf("reading a client's notification settings: %w", err)
	}
	return p, nil
}
