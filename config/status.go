package config

import (
	"time"

	"github.com/sealdrop/sealdrop/reports/expect"
)

// Status is the section status. Every duration is at least a second.
type Status struct {
	// Timezone is where the operators' day begins and ends; never nil.
	Timezone         *time.Location
	BackupAge        Duration
	AuditAge         Duration
	UncollectedAfter Duration
}

func statusSettings() []field[Config] {
	period := func(at func(*Status) *Duration) accessor[Config] {
		return one(func(c *Config) *Duration { return at(&c.Status) }, parsePeriod)
	}
	return []field[Config]{{
		key: "status.timezone", kind: "text", def: "local",
		doc:   "The timezone in which a day begins and ends, and in which times are shown, by its name in the IANA database, such as Europe/Berlin; local is the machine's. Expectations (`expects`) that name none use it, too.",
		value: accessor[Config]{set: setTimezone, show: func(c *Config) any { return zoneName(c.Status.Timezone) }},
	}, {
		key: "status.backup_age", kind: "duration", def: "2d",
		doc:   "How old the last backup may be; an older one is red.",
		value: period(func(s *Status) *Duration { return &s.BackupAge }),
	}, {
		key: "status.audit_age", kind: "duration", def: "7d",
		doc:   "How long ago the audit may have been verified; longer is yellow.",
		value: period(func(s *Status) *Duration { return &s.AuditAge }),
	}, {
		key: "status.uncollected_after", kind: "duration", def: "3d",
		doc:   "When a report counts as uncollected for a client of which too little is known. A client that has collected five or more is measured by its own habit: by what nine of ten of its last reports took, and a day at least.",
		value: period(func(s *Status) *Duration { return &s.UncollectedAfter }),
	}}
}

const localZone = "local"

func setTimezone(c *Config, texts []string, fail func(int, error)) {
	if texts[0] == localZone {
		c.Status.Timezone = time.Local
		return
	}
	zone, err := expect.ParseZone(texts[0])
	if err != nil {
		fail(0, err)
		return
	}
	c.Status.Timezone = zone
}

func zoneName(zone *time.Location) string {
	if zone == nil || zone == time.Local {
		return localZone
	}
	return zone.String()
}
