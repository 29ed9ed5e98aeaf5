package status

import "time"

// Level is how much something needs a person.
type Level string

// The levels.
const (
	Red    Level = "red"    // now
	Yellow Level = "yellow" // soon
	Notice Level = "notice" // to be known
)

// Kind is what an item is about.
type Kind string

// The kinds, in the order in which those of one level are shown.
const (
	KindGateway     Kind = "gateway"
	KindDisk        Kind = "disk"
	KindAudit       Kind = "audit"
	KindSpool       Kind = "spool"
	KindSweep       Kind = "sweep"
	KindMissing     Kind = "missing"
	KindHeld        Kind = "held"
	KindRejected    Kind = "rejected"
	KindWaiting     Kind = "waiting"
	KindPurging     Kind = "purging"
	KindKey         Kind = "key"
	KindPassword    Kind = "password"
	KindToken       Kind = "token"
	KindApproval    Kind = "approval"
	KindRefused     Kind = "refused"
	KindBan         Kind = "ban"
	KindUncollected Kind = "uncollected"
	KindMail        Kind = "mail"
	KindBackup      Kind = "backup"
)

// kinds are all kinds in their order.
func kinds() []Kind {
	return []Kind{
		KindGateway, KindDisk, KindAudit, KindSpool, KindSweep, KindMissing, KindHeld, KindRejected, KindWaiting, KindPurging,
		KindKey, KindPassword, KindToken, KindApproval, KindRefused, KindBan, KindUncollected, KindMail, KindBackup,
	}
}

// MaxItems is how many items of one kind are listed at most.
const MaxItems = 100

// Item is one thing that needs a person, or should be known. The names of its
// fields in JSON do not change.
type Item struct {
	Level  Level  `json:"level"`
	Kind   Kind   `json:"kind"`
	Client string `json:"client,omitempty"`
	// What says what is wrong, in a line without the client's name.
	What string `json:"what"`
	// Count is how many reports, attempts or messages it is about, 0 where that
	// means nothing.
	Count int64 `json:"count,omitempty"`
	// Since is when it began, Until when it ends or something happens.
	Since *time.Time `json:"since,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	// Age is the seconds since Since.
	Age int64 `json:"age_seconds,omitempty"`
	// Fix is the command that mends it, or shows more where no command can mend it.
	Fix string `json:"fix"`
	// Advice is what to do beside that, "" if nothing.
	Advice string `json:"advice,omitempty"`
}

// Day is the headline: what was to happen and happened since the day began.
type Day struct {
	Date     string    `json:"date"` // 2026-11-23
	Timezone string    `json:"timezone"`
	Since    time.Time `json:"since"`
	// Expected are the reports that are due on this day, Met those of them that came.
	Expected int64 `json:"expected"`
	Met      int64 `json:"met"`
	// Received are all reports that came, Sealed those of them that are sealed for
	// their client (the others are held), Published what became visible to a client
	// and Collected what was fetched whole, whenever it came.
	Received  int64 `json:"received"`
	Sealed    int64 `json:"sealed"`
	Published int64 `json:"published"`
	Collected int64 `json:"collected"`
	// Overdue are the expectations whose last time has passed without a report.
	Overdue int64 `json:"overdue"`
}

// Status is the overview. The names of its fields in JSON do not change.
type Status struct {
	At     time.Time `json:"at"`
	Client string    `json:"client,omitempty"` // the only one that it is about
	Day    Day       `json:"day"`
	// Red, Yellow and Notices count the items of each level, listed or not.
	Red     int    `json:"red"`
	Yellow  int    `json:"yellow"`
	Notices int    `json:"notices"`
	Items   []Item `json:"items"`
	// More counts what is not listed, by kind.
	More map[Kind]int `json:"more,omitempty"`
	// System is the gateway as a whole; missing where it is about one client.
	System *System `json:"system,omitempty"`
}

// System is the state of the gateway as a whole.
type System struct {
	Running     *bool      `json:"running,omitempty"` // missing: not known
	PID         int        `json:"pid,omitempty"`
	Waiting     int        `json:"spool_waiting"`
	Rejected    int        `json:"spool_rejected"`
	Oldest      *time.Time `json:"spool_oldest,omitempty"`
	MailWaiting int64      `json:"mail_waiting"`
	MailFailed  int64      `json:"mail_failed"`
	DiskFree    uint64     `json:"disk_free"` // bytes
	DiskTotal   uint64     `json:"disk_total"`
	DiskGrowth  int64      `json:"disk_growth_per_day"` // bytes; negative: it empties
	DiskDays    *int64     `json:"disk_days,omitempty"` // missing: it does not fill up
	AuditLast   int64      `json:"audit_records"`
	Verified    int64      `json:"audit_verified"`
	VerifiedAt  *time.Time `json:"audit_verified_at,omitempty"`
	BackupAt    *time.Time `json:"backup_at,omitempty"`
	Bans        int        `json:"bans"`
	Strangers   Strangers  `json:"strangers"`
}
