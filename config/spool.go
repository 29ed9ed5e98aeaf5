package config

// Spool is the section spool. It is off if it has no folders.
type Spool struct {
	Folders []string
	After   string // "remove" or "move"
	Settle  Duration
	Rescan  Duration
	Workers int
	MinFree Size // never [Unlimited]
}

func spoolSettings() []field[Config] {
	return []field[Config]{{
		key: "spool.folders", kind: "list of paths",
		doc:   "Folders in which batch jobs drop reports, as FOLDER/CLIENT/FILE. A file is taken when it was renamed into its place, when FILE.done lies beside it, or when nobody writes to it any more. Names that begin with a dot or end in .part, .partial, .filepart or .tmp are passed over. What can't be delivered is moved to FOLDER/rejected; see `sealdrop spool`. Empty: no such folder.",
		value: many(func(c *Config) *[]string { return &c.Spool.Folders }, parsePath),
	}, {
		key: "spool.after", kind: "word", def: "remove",
		doc:   "What becomes of a file once its report is safe: remove, or move to FOLDER/done/CLIENT. What is moved stays there, readable, until somebody removes it.",
		value: one(func(c *Config) *string { return &c.Spool.After }, parseAfter),
	}, {
		key: "spool.settle", kind: "duration", def: "2s", rare: true,
		doc:   "How long a file that was neither renamed nor marked must not have changed.",
		value: one(func(c *Config) *Duration { return &c.Spool.Settle }, parsePeriod),
	}, {
		key: "spool.rescan", kind: "duration", def: "1m", rare: true,
		doc:   "Time between two scans of the whole folder, for what the kernel does not tell of, as on a network file system.",
		value: one(func(c *Config) *Duration { return &c.Spool.Rescan }, parsePeriod),
	}, {
		key: "spool.workers", kind: "number", def: "2", rare: true,
		doc:   "Clients whose files are taken in at one time. One client's are taken one after the other.",
		value: one(func(c *Config) *int { return &c.Spool.Workers }, parseCount),
	}, {
		key: "spool.min_free", kind: "size", def: "1GiB",
		doc:   "Free space on the disk of the data folder below which intake pauses. Serving goes on, and so does intake when there is room again.",
		value: one(func(c *Config) *Size { return &c.Spool.MinFree }, parseSomeSize),
	}}
}

func parseAfter(text string) (string, error) {
	if text == "remove" || text == "move" {
		return text, nil
	}
	return "", bad(text, "is nothing that can be done with a file", "write remove or move")
}

func parseSomeSize(text string) (Size, error) {
	n, err := ParseSize(text)
	if err != nil || n == Unlimited {
		return 0, bad(text, "is not a size", "write a whole number with its unit, such as 500MiB or 10GiB")
	}
	return n, nil
}
