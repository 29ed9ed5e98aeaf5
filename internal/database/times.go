package database

import "time"

// Micros is a time as the catalog stores it: UTC microseconds since 1970, 0 for
// the zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the inverse of [Micros].
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// AccessMark is the name of the mark that counts the changes to what decides a
// login: clients, their networks and keys. A running gateway that sees it move
// looks at its sessions and its address table again.
const AccessMark = "access"

// Names of the marks by which one command tells another what was done.
const (
	BackupMark      = "backup.last"        // when the last backup was complete
	BackupAuditMark = "backup.audit_seq"   // the number of its audit record
	VerifiedMark    = "audit.verified_seq" // up to which record the audit was verified
	VerifiedAtMark  = "audit.verified_at"  // and when
	BrokenMark      = "audit.broken_seq"   // the first record that did not fit then, 0 if all did
)
