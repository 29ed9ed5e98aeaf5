// Package status finds out how the gateway does and what needs a person: the
// operators' overview. [Collector.Snapshot] gathers what is known at one moment,
// [Judge] says what it means. Judging is a pure function of the snapshot, so that
// every rule has a test without a clock or a database.
//
// # What it promises
//
// Everything that is wrong is an [Item] with the one command that mends it, red
// before yellow, and what only has to be known is a [Notice]. It reads and changes
// nothing, asks the catalog a fixed number of questions that its indexes answer,
// whatever the number of reports, and lists at most [MaxItems] of a kind; the rest
// is counted in Status.More.
//
// # The rules
//
//	missing      red: what a producer owed has not come by its time (package expect)
//	held         red: reports wait for a key of their client
//	purging      uncollected, purged within 14 days and with more than half of its time
//	             gone: red within 7 days, yellow before
//	uncollected  yellow: older than nine of ten of the client's last 30 collected reports
//	             were when it fetched them, and than a day; of a client that has
//	             collected fewer than five, older than UncollectedAfter
//	refused      yellow: a client was refused since yesterday's beginning, and has not
//	             got in since
//	key, password, token
//	             ends in 7 days or has ended: red; in 30: yellow; in 60: notice. A key is
//	             passed over while its client has another of its kind for longer
//	approval     yellow: an imported key waits for a second operator
//	rejected     red: a file of a spool folder that could not be taken in
//	waiting      a file waits in a spool folder for 10 minutes: yellow; an hour: red
//	mail         red: notifications that were given up; yellow: some wait for an hour
//	disk         red: at the reserve, or full within 7 days; yellow: within 30
//	audit        red: a record was changed; yellow: not verified for AuditAge
//	backup       red: none within BackupAge
//	gateway      red: no gateway serves the data folder
//	sweep        red: the purge is refused until somebody confirms it
//	ban          yellow: a client's password, or an address of a client, is locked out
//	spool        red: a spool folder can't be read
package status
