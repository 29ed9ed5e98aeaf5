package config

// Keys is the section keys.
type Keys struct {
	// SSHMaxAge is how long an SSH key is good from its import on; 0: no limit.
	SSHMaxAge Duration
	Approval  string // "off" or "two-person"
}

// TwoPerson reports whether imported keys wait for another operator's approval.
func (k Keys) TwoPerson() bool { return k.Approval == "two-person" }

func keysSettings() []field[Config] {
	return []field[Config]{{
		key: "keys.ssh_max_age", kind: "duration", def: "0",
		doc:   "How long an SSH key is good, counted from its import, such as 365d; 0: as long as it is not retired. It is noted with each key when that is imported: a change holds for keys that are imported from then on, and for the others only once `sealdrop key policy --apply` was run, which shows first whom it would lock out. Importing a key again gives it no more time.",
		value: one(func(c *Config) *Duration { return &c.Keys.SSHMaxAge }, parseMaxAge),
	}, {
		key: "keys.approval", kind: "word", def: "off",
		doc:   "two-person: a key that one operator imports does nothing until another has approved it with `sealdrop key approve`; off: it counts at once.",
		value: one(func(c *Config) *string { return &c.Keys.Approval }, parseApproval),
	}}
}

func parseMaxAge(text string) (Duration, error) {
	if text == "0" || text == "off" {
		return 0, nil
	}
	d, err := ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d != 0 && d < Duration(day) {
		return 0, bad(text, "is too short", "one day (1d) is the least, 365d is usual; 0 sets no limit")
	}
	return d, nil
}

func parseApproval(text string) (string, error) {
	if text == "off" || text == "two-person" {
		return text, nil
	}
	return "", bad(text, "is no rule of approval", "write off or two-person")
}
