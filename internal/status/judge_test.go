package status_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/internal/status"
)

const day = 24 * time.Hour

// monday is 07:00 in Berlin, on a Monday.
func monday() time.Time { return time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC) }

// calm is a gateway where all is well.
func calm() status.Snapshot {
	now := monday()
	return status.Snapshot{
		Now: now, Zone: time.UTC, Limits: limits(), LastLogins: map[string]time.Time{},
		Running: status.Running{Known: true, Running: true, PID: 812},
		Disk:    status.Disk{Path: "/data", Total: 1 << 40, Free: 1 << 39, Reserve: 1 << 28, Over: 14 * day},
		Audit:   status.Audit{Last: 100, Began: now.Add(-90 * day), Verified: 90, VerifiedAt: now.Add(-5 * time.Hour)},
		Backup:  status.Backup{At: now.Add(-5 * time.Hour), Folder: "/mnt/backup"},
	}
}

// summary is an item as the tables write it.
func summary(i status.Item) string {
	return strings.Join([]string{string(i.Level), string(i.Kind), i.Client, i.What, "$ " + i.Fix}, " | ")
}

func TestJudge(t *testing.T) {
	t.Parallel()
	now := monday()
	berlin := expectation(t, "Activity_*.csv", "06:30", "mon-fri", "Europe/Berlin")
	expected := func(arrivals ...time.Time) func(*status.Snapshot) {
		return func(s *status.Snapshot) {
			x := status.Expected{Client: "acme", Expectation: berlin}
			for _, at := range arrivals {
				x.Arrivals = append(x.Arrivals, status.Arrival{Name: "Activity_1.csv.pgp", At: at})
			}
			s.Expected = []status.Expected{x}
		}
	}
	key := func(kind, id string, ends time.Duration) status.Credential {
		return status.Credential{Kind: status.KindKey, Client: "acme", Type: kind, ID: id, Fingerprint: "0123456789ABCDEF0123456789ABCDEF01234567", Ends: now.Add(ends)}
	}
	refused := func(reason, address string, ago time.Duration, times int64) status.Refusal {
		return status.Refusal{At: now.Add(-ago), Client: "acme", Reason: reason, Address: address, Protocol: "sftp", Times: times}
	}
	delays := func(list ...time.Duration) (out []time.Duration) {
		for range 3 {
			out = append(out, list...)
		}
		return out
	}
	for about, test := range map[string]struct {
		change func(*status.Snapshot)
		want   string // summaries, one a line
	}{
		"all is well": {func(*status.Snapshot) {}, ""},
		"missing": {
			expected(),
			"red | missing | acme | Activity_*.csv was due at 06:30 CET and has not come | $ sealdrop deliver --client acme Activity_*.csv",
		},
		"met":                      {expected(now.Add(-5 * time.Hour)), ""},
		"met late, after its time": {expected(now.Add(-10 * time.Minute)), ""},
		"met by one that was replaced and delivered again": {expected(now.Add(-time.Minute), now.Add(-5*time.Hour)), ""},
		"Friday's does not count for Monday": {
			expected(now.Add(-3 * day)),
			"red | missing | acme | Activity_*.csv was due at 06:30 CET and has not come | $ sealdrop deliver --client acme Activity_*.csv",
		},
		"Friday's is still missing on Sunday": {
			func(s *status.Snapshot) { expected()(s); s.Now = now.Add(-day) },
			"red | missing | acme | Activity_*.csv was due at 06:30 CET on Fri 20 Nov and has not come | $ sealdrop deliver --client acme Activity_*.csv",
		},
		"the client is younger than the time": {
			func(s *status.Snapshot) { expected()(s); s.Expected[0].Young = now.Add(-time.Minute) }, "",
		},
		"a report of another name": {
			func(s *status.Snapshot) {
				expected(now.Add(-time.Hour))(s)
				s.Expected[0].Arrivals[0].Name = "Balance.csv.pgp"
			},
			"red | missing | acme | Activity_*.csv was due at 06:30 CET and has not come | $ sealdrop deliver --client acme Activity_*.csv",
		},
		"held": {
			func(s *status.Snapshot) {
				s.Held = []status.Held{{Client: "acme", Count: 12, Oldest: now.Add(-3 * day), Why: status.Why{Reason: "it has no PGP key", Fix: "sealdrop key import --client acme FILE"}}}
			},
			"red | held | acme | 12 reports held: it has no PGP key | $ sealdrop key import --client acme FILE",
		},
		"uncollected within the client's habit": {
			func(s *status.Snapshot) {
				s.Uncollected = []status.Uncollected{{Client: "acme", Count: 1, Oldest: now.Add(-3 * day), Delays: delays(day, 4*day)}}
			}, "",
		},
		"uncollected beyond the client's habit": {
			func(s *status.Snapshot) {
				s.Uncollected = []status.Uncollected{{Client: "acme", Count: 2, Oldest: now.Add(-3 * day), Delays: delays(time.Hour, 2*time.Hour)}}
			},
			"yellow | uncollected | acme | 2 reports uncollected, the oldest for 3 days; it usually takes up to 2 hours | $ sealdrop attempts --client acme",
		},
		"uncollected for less than a day, by a client that is quick": {
			func(s *status.Snapshot) {
				s.Uncollected = []status.Uncollected{{Client: "acme", Count: 2, Oldest: now.Add(-23 * time.Hour), Delays: delays(time.Minute, time.Minute)}}
			}, "",
		},
		"uncollected by a client without a history, for two days": {
			func(s *status.Snapshot) {
				s.Uncollected = []status.Uncollected{{Client: "acme", Count: 2, Oldest: now.Add(-2 * day), Delays: []time.Duration{1, 1, 1, 1}}}
			}, "",
		},
		"uncollected by a client without a history, for four days": {
			func(s *status.Snapshot) {
				s.Uncollected = []status.Uncollected{{Client: "acme", Count: 1, Oldest: now.Add(-4 * day)}}
			},
			"yellow | uncollected | acme | 1 report uncollected, the oldest for 4 days; its habit is not known yet | $ sealdrop attempts --client acme",
		},
		"purged soon": {
			func(s *status.Snapshot) {
				s.Uncollected = []status.Uncollected{
					{Client: "acme", Count: 9, Oldest: now.Add(-93 * day), Purging: 3, PurgedAt: now.Add(7 * day)},
					{Client: "beta", Count: 1, Oldest: now.Add(-90 * day), Purging: 1, PurgedAt: now.Add(10 * day)},
				}
			},
			"red | purging | acme | 3 reports uncollected, purged from 30 Nov 2026 | $ sealdrop attempts --client acme\n" +
				"yellow | purging | beta | 1 report uncollected, purged on 3 Dec 2026 | $ sealdrop attempts --client beta",
		},
		"refused": {
			func(s *status.Snapshot) {
				s.Refusals = []status.Refusal{
					refused("address-not-allowed", "203.0.113.9", time.Hour, 40), refused("address-not-allowed", "203.0.113.9", 2*time.Hour, 1),
					refused("key-unknown", "203.0.113.9", 3*time.Hour, 1), refused("tls-required", "203.0.113.8", time.Hour, 2),
				}
				s.Refusals[3].Protocol = "ftp"
			},
			"yellow | refused | acme | refused once from 203.0.113.9: key unknown | $ sealdrop key import --client acme FILE\n" +
				"yellow | refused | acme | refused 41 times from 203.0.113.9: address not allowed | $ sealdrop client allow acme 203.0.113.9\n" +
				"yellow | refused | acme | refused twice from 203.0.113.8: tls required | $ sealdrop why --client acme --from 203.0.113.8 --protocol ftp",
		},
		"refused with another client's key, which no import mends": {
			func(s *status.Snapshot) {
				s.Refusals = []status.Refusal{refused("key-unknown", "203.0.113.9", time.Hour, 1)}
				s.Refusals[0].Owner = "beta"
			},
			"yellow | refused | acme | refused once from 203.0.113.9: the key is beta's | $ sealdrop attempts --client acme",
		},
		"refused, and then it got in": {
			func(s *status.Snapshot) {
				s.Refusals = []status.Refusal{refused("key-unknown", "203.0.113.9", time.Hour, 1)}
				s.LastLogins["acme"] = now.Add(-time.Minute)
			}, "",
		},
		"keys that end": {
			func(s *status.Snapshot) {
				s.Credentials = []status.Credential{key("pgp", "a", -day), key("ssh", "b", 20*day)}
			},
			"red | key | acme | its only PGP key (89ABCDEF01234567) expired on 22 Nov 2026 | $ sealdrop key import --client acme FILE\n" +
				"yellow | key | acme | its only SSH key (89ABCDEF01234567) expires on 13 Dec 2026 | $ sealdrop key import --client acme FILE",
		},
		"two keys of a kind: the longer counts": {
			func(s *status.Snapshot) {
				s.Credentials = []status.Credential{key("pgp", "a", 3*day), key("pgp", "b", 50*day)}
			},
			"notice | key | acme | its only PGP key (89ABCDEF01234567) expires on 12 Jan 2027 | $ sealdrop key import --client acme FILE",
		},
		"the edges of 7, 30 and 60 days": {
			func(s *status.Snapshot) {
				for i, left := range []time.Duration{7 * day, 7*day + 1, 30 * day, 30*day + 1, 60 * day, 60*day + 1} {
					s.Credentials = append(s.Credentials, status.Credential{Kind: status.KindPassword, Client: string(rune('a' + i)), Ends: now.Add(left)})
				}
			},
			"red | password | a | its password expires on 30 Nov 2026 | $ sealdrop password set --client a --generate\n" +
				"yellow | password | b | its password expires on 30 Nov 2026 | $ sealdrop password set --client b --generate\n" +
				"yellow | password | c | its password expires on 23 Dec 2026 | $ sealdrop password set --client c --generate\n" +
				"notice | password | d | its password expires on 23 Dec 2026 | $ sealdrop password set --client d --generate\n" +
				"notice | password | e | its password expires on 22 Jan 2027 | $ sealdrop password set --client e --generate",
		},
		"an approval": {
			func(s *status.Snapshot) {
				s.Approvals = []status.Approval{{Client: "acme", Type: "ssh", ID: "kid", Fingerprint: "SHA256:abcdefghijkl", Since: now.Add(-day)}}
			},
			"yellow | approval | acme | its SSH key (SHA256:abcdefgh…) waits for a second operator's approval | $ sealdrop key approve kid",
		},
		"the spool": {
			func(s *status.Snapshot) {
				s.Queue = []status.Queued{
					{Folder: "/spool", Client: "acme", File: "fresh.csv", Since: now.Add(-time.Minute)},
					{Folder: "/spool", Client: "acme", File: "old.csv", Since: now.Add(-2 * time.Hour)},
					{Folder: "/slow", Client: "acme", File: "a.csv", Since: now.Add(-11 * time.Minute)},
					{Folder: "/spool", Client: "nobody", File: "it's.csv", Since: now.Add(-time.Hour), Rejected: true, Reason: "unknown client"},
				}
			},
			"red | rejected | nobody | it's.csv was not taken in: unknown client | $ sealdrop spool retry 'nobody/it'\\''s.csv'\n" +
				"red | waiting |  | 2 files wait in /spool, the oldest for 2 hours | $ sealdrop spool list\n" +
				"yellow | waiting |  | 1 file waits in /slow, the oldest for 11 minutes | $ sealdrop spool list",
		},
		"what lies beside the clients' folders is moved, not put back": {
			func(s *status.Snapshot) {
				s.Queue = []status.Queued{
					{Folder: "/a spool", Client: "_", File: "stray.csv", Since: now.Add(-time.Hour), Rejected: true, Reason: "beside the folders"},
				}
			},
			"red | rejected |  | stray.csv was not taken in: beside the folders | $ mv '/a spool/rejected/_/stray.csv' '/a spool'/CLIENT/",
		},
		"mail": {
			func(s *status.Snapshot) {
				s.Mail = status.Mail{Failed: 2, FailedSince: now.Add(-day), LastError: "550 no such user", LastFor: "beta", Waiting: 1, Oldest: now.Add(-2 * time.Hour)}
			},
			"red | mail |  | 2 notifications given up, the last for beta: 550 no such user | $ sealdrop notify retry --dead\n" +
				"yellow | mail |  | 1 notification waits to be sent, the oldest for 2 hours | $ sealdrop notify list --state pending",
		},
		"the disk fills up": {
			func(s *status.Snapshot) { s.Disk.Free, s.Disk.In = 10<<30, 14*(2<<30) },
			"red | disk |  | at the rate of the last two weeks the disk is full in 4 days; 10.0 GiB free | $ df -h /data",
		},
		"as much is purged as comes": {
			func(s *status.Snapshot) { s.Disk.Free, s.Disk.In, s.Disk.Out = 10<<30, 14*(2<<30), 14*(2<<30) }, "",
		},
		"the disk is at its reserve": {
			func(s *status.Snapshot) { s.Disk.Free = 1 << 20 },
			"red | disk |  | the disk is full but for its reserve: 1.0 MiB free; nothing new is taken in | $ df -h /data",
		},
		"a gateway of a day is measured by that day": {
			func(s *status.Snapshot) { s.Disk.Free, s.Disk.In, s.Disk.Over = 30<<30, 2<<30, time.Hour },
			"yellow | disk |  | at the rate of the last two weeks the disk is full in 14 days; 30.0 GiB free | $ df -h /data",
		},
		"audit": {
			func(s *status.Snapshot) { s.Audit.VerifiedAt = now.Add(-8 * day) },
			"yellow | audit |  | the audit was verified to record 90 of 100, 8 days ago | $ sealdrop audit verify",
		},
		"audit that was changed": {
			func(s *status.Snapshot) { s.Audit.Broken = 17 },
			"red | audit |  | the audit does not fit from record 17 on: somebody changed it, or the disk did | $ sealdrop audit verify",
		},
		"audit that began a moment ago": {
			func(s *status.Snapshot) { s.Audit = status.Audit{Last: 3, Began: now.Add(-time.Hour)} }, "",
		},
		"no backup": {
			func(s *status.Snapshot) { s.Backup = status.Backup{} },
			"red | backup |  | there is no backup | $ sealdrop backup DIR",
		},
		"an old backup": {
			func(s *status.Snapshot) { s.Backup.At = now.Add(-49 * time.Hour) },
			"red | backup |  | the last backup is 2 days old | $ sealdrop backup /mnt/backup",
		},
		"nothing runs": {
			func(s *status.Snapshot) { s.Running = status.Running{Known: true} },
			"red | gateway |  | no gateway serves this data folder: clients can't fetch anything | $ sealdrop serve",
		},
		"the service does not run": {
			func(s *status.Snapshot) {
				s.Running = status.Running{Known: true, Start: "systemctl start sealdrop"}
				s.Queue = []status.Queued{{Folder: "/spool", Client: "acme", File: "a.csv", Since: now.Add(-20 * time.Minute)}}
			},
			"red | gateway |  | no gateway serves this data folder: clients can't fetch anything | $ systemctl start sealdrop\n" +
				"yellow | waiting |  | 1 file waits in /spool, the oldest for 20 minutes | $ systemctl start sealdrop",
		},
		"a message that is not late": {
			func(s *status.Snapshot) { s.Mail.Pending = 1 }, "",
		},
		"bans": {
			func(s *status.Snapshot) {
				s.Bans = []status.Ban{
					{Name: "198.51.100.1", Until: now.Add(time.Minute)},
					{Name: "203.0.113.9", Client: "acme", Until: now.Add(time.Minute)},
					{Name: "client:beta", Client: "beta", Until: now.Add(2 * time.Minute)},
				}
			},
			"yellow | ban | acme | is locked out from 203.0.113.9 after failed logins | $ sealdrop ban lift 203.0.113.9\n" +
				"yellow | ban | beta | its password is locked out after wrong ones from its own addresses | $ sealdrop ban lift client:beta",
		},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			s := calm()
			test.change(&s)
			out := status.Judge(s)
			var got []string
			for _, i := range out.Items {
				got = append(got, summary(i))
			}
			if text := strings.Join(got, "\n"); text != test.want {
				t.Errorf("got\n%s\nwant\n%s", text, test.want)
			}
			if out.Red+out.Yellow+out.Notices != len(out.Items) {
				t.Errorf("%d red, %d yellow, %d notices of %d", out.Red, out.Yellow, out.Notices, len(out.Items))
			}
		})
	}
}

// TestDayOfChangingClocks: the headline's day is the zone's, of 23 or 25 hours, and
// what is due on it is counted once.
func TestDayOfChangingClocks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		now, zone, since, date string
		expected               int64
	}{
		{"2026-10-25T12:00:00Z", "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25", 3},
		{"2026-03-29T12:00:00Z", "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29", 3},
		{"2028-02-29T12:00:00Z", "America/New_York", "2028-02-29T05:00:00Z", "2028-02-29", 3},
		{"2026-11-22T22:59:00Z", "Europe/Berlin", "2026-11-21T23:00:00Z", "2026-11-22", 3},
		{"2026-11-22T23:00:00Z", "Europe/Berlin", "2026-11-22T23:00:00Z", "2026-11-23", 4},
	} {
		s := calm()
		s.Zone = expectation(t, "x", "00:00", "daily", test.zone).Zone
		at, err := time.Parse(time.RFC3339, test.now)
		check(t, err)
		s.Now = at
		for _, by := range []string{"00:00", "02:30", "23:59"} {
			s.Expected = append(s.Expected, status.Expected{Client: "acme", Expectation: expectation(t, "x", by, "daily", test.zone)})
		}
		s.Expected = append(s.Expected, status.Expected{Client: "acme", Expectation: expectation(t, "x", "06:30", "mon", test.zone)})
		out := status.Judge(s)
		if d := out.Day; d.Since.Format(time.RFC3339) != test.since || d.Date != test.date || d.Expected != test.expected {
			t.Errorf("%s in %s: %+v", test.now, test.zone, d)
		}
	}
}

// TestOneClientOnly: of one client, nothing is said of the gateway.
func TestOneClientOnly(t *testing.T) {
	t.Parallel()
	s := calm()
	s.Client, s.Backup, s.Running = "acme", status.Backup{}, status.Running{Known: true}
	if out := status.Judge(s); out.System != nil || len(out.Items) > 0 {
		t.Errorf("%+v", out)
	}
}

// TestManyItemsAreCounted: a producer that is down does not fill the screen.
func TestManyItemsAreCounted(t *testing.T) {
	t.Parallel()
	s := calm()
	e := expectation(t, "x", "06:30", "daily", "Europe/Berlin")
	for range 500 {
		s.Expected = append(s.Expected, status.Expected{Client: "acme", Expectation: e})
	}
	out := status.Judge(s)
	if len(out.Items) != status.MaxItems || out.More[status.KindMissing] != 400 || out.Red != 500 || out.Day.Overdue != 500 {
		t.Errorf("%d items, more %v, %d red, %+v", len(out.Items), out.More, out.Red, out.Day)
	}
}
