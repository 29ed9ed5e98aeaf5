package status

import (
	"fmt"
	"math"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

func (j *judge) queue() {
	type pile struct {
		n      int64
		oldest time.Time
	}
	waiting := make(map[string]pile)
	var folders []string
	for _, q := range j.s.Queue {
		file := q.Client + "/" + q.File
		if q.Rejected {
			client, fix := q.Client, "sealdrop spool retry "+shellArg(file)
			if client == "_" { // put back to where it lay, it would be rejected again
				client, fix = "", "mv "+shellArg(q.Folder+"/rejected/"+file)+" "+shellArg(q.Folder)+"/CLIENT/"
			}
			reason := q.Reason
			if reason == "" {
				reason = "no reason is noted"
			}
			if q.Hint != "" {
				reason += "; " + q.Hint
			}
			j.add(j.from(Item{
				Level: Red, Kind: KindRejected, Client: client, What: fmt.Sprintf("%s was not taken in: %s", q.File, reason),
				Fix: fix, Advice: q.Hint,
			}, q.Since))
			continue
		}
		p, known := waiting[q.Folder]
		if !known {
			folders = append(folders, q.Folder)
			p.oldest = q.Since
		}
		p.n++
		if q.Since.Before(p.oldest) {
			p.oldest = q.Since
		}
		waiting[q.Folder] = p
	}
	for _, folder := range folders {
		p := waiting[folder]
		i := Item{
			Level: Yellow, Kind: KindWaiting, Client: j.s.Client, Count: p.n, Fix: "sealdrop spool list",
			What: fmt.Sprintf("%s in %s, the oldest for %s", verb(p.n, "file waits", "files wait"), folder, lasting(j.s.Now.Sub(p.oldest))),
		}
		switch age := j.s.Now.Sub(p.oldest); {
		case age < waitYellow:
			continue
		case age >= waitRed:
			i.Level = Red
		}
		if j.s.Running.Known && !j.s.Running.Running {
			i.Fix, i.Advice = j.s.Running.start(), "a running gateway takes them in"
		}
		j.add(j.from(i, p.oldest))
	}
}

func (j *judge) mail() {
	m := j.s.Mail
	if m.Failed > 0 {
		why := ""
		if m.LastError != "" {
			why = ", the last for " + m.LastFor + ": " + m.LastError
		}
		j.add(j.from(Item{
			Level: Red, Kind: KindMail, Client: j.s.Client, Count: m.Failed, What: plural(m.Failed, "notification") + " given up" + why,
			Fix: "sealdrop notify retry --dead", Advice: "correct the address, or the mail server, before",
		}, m.FailedSince))
	}
	if m.Waiting > 0 && j.s.Now.Sub(m.Oldest) >= mailYellow {
		j.add(j.from(Item{
			Level: Yellow, Kind: KindMail, Client: j.s.Client, Count: m.Waiting,
			What: fmt.Sprintf("%s to be sent, the oldest for %s", verb(m.Waiting, "notification waits", "notifications wait"), lasting(j.s.Now.Sub(m.Oldest))),
			Fix:  "sealdrop notify list --state pending",
		}, m.Oldest))
	}
}

// system judges the gateway as a whole.
func (j *judge) system() {
	s := j.s
	out := &System{
		AuditLast: s.Audit.Last, Verified: s.Audit.Verified, VerifiedAt: optional(s.Audit.VerifiedAt), BackupAt: optional(s.Backup.At),
		DiskFree: s.Disk.Free, DiskTotal: s.Disk.Total, Bans: len(s.Bans), Strangers: s.Strangers,
	}
	j.out.System = out
	if s.Running.Known {
		out.Running, out.PID = &s.Running.Running, s.Running.PID
		if !s.Running.Running {
			i := Item{Level: Red, Kind: KindGateway, What: "no gateway serves this data folder: clients can't fetch anything", Fix: s.Running.start()}
			if s.Running.Start == "" {
				i.Advice = "or start it as this machine starts its services"
			}
			j.add(i)
		}
	}
	for _, q := range s.Queue {
		if q.Rejected {
			out.Rejected++
			continue
		}
		out.Waiting++
		if out.Oldest == nil || q.Since.Before(*out.Oldest) {
			out.Oldest = optional(q.Since)
		}
	}
	out.MailWaiting, out.MailFailed = s.Mail.Pending, s.Mail.Failed
	j.disk(out)
	j.audit()
	j.backup()
}

func (j *judge) disk(out *System) {
	d := j.s.Disk
	if d.Total == 0 {
		return // a fault says why
	}
	over := max(d.Over, day)
	perDay := float64(d.In)/over.Hours()*24 - float64(d.Out)/DiskAhead.Hours()*24
	out.DiskGrowth = int64(perDay)
	i := Item{Kind: KindDisk, Fix: "df -h " + shellArg(d.Path), Advice: "make the disk larger, or keep reports for less long (retention.after)"}
	if d.Free <= d.Reserve {
		none := int64(0)
		out.DiskDays = &none
		i.Level, i.What = Red, fmt.Sprintf("the disk is full but for its reserve: %s free; nothing new is taken in", reports.SizeText(int64(d.Free)))
		j.add(i)
		return
	}
	if perDay < 1 {
		return
	}
	days := int64(math.Min(float64(d.Free-d.Reserve)/perDay, 36500))
	out.DiskDays = &days
	i.What = fmt.Sprintf("at the rate of the last two weeks the disk is full in %s; %s free", plural(days, "day"), reports.SizeText(int64(d.Free)))
	switch {
	case days < diskRed:
		i.Level = Red
	case days < diskYellow:
		i.Level = Yellow
	default:
		return
	}
	j.add(i)
}

func (j *judge) audit() {
	a := j.s.Audit
	i := Item{Kind: KindAudit, Level: Yellow, Fix: "sealdrop audit verify"}
	switch {
	case a.Broken > 0:
		i.Level, i.What = Red, fmt.Sprintf("the audit does not fit from record %d on: somebody changed it, or the disk did", a.Broken)
		i.Advice = "keep a copy of the catalog, and compare with a backup"
		j.add(i)
	case a.Last == 0 || j.s.Now.Sub(laterOf(a.VerifiedAt, a.Began)) <= j.s.Limits.AuditAge:
	case a.VerifiedAt.IsZero():
		i.What = fmt.Sprintf("none of the %d records of the audit was ever verified", a.Last)
		j.add(j.from(i, a.Began))
	default:
		i.What = fmt.Sprintf("the audit was verified to record %d of %d, %s ago", a.Verified, a.Last, lasting(j.s.Now.Sub(a.VerifiedAt)))
		j.add(j.from(i, a.VerifiedAt))
	}
}

func (j *judge) backup() {
	b := j.s.Backup
	i := Item{Kind: KindBackup, Level: Red, Fix: "sealdrop backup " + shellArg(b.Folder)}
	switch {
	case b.At.IsZero():
		i.What, i.Fix, i.Advice = "there is no backup", "sealdrop backup DIR", "DIR belongs on another disk; run it each night"
		j.add(i)
	case j.s.Now.Sub(b.At) > j.s.Limits.BackupAge:
		i.What = fmt.Sprintf("the last backup is %s old", lasting(j.s.Now.Sub(b.At)))
		j.add(j.from(i, b.At))
	}
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}

func laterOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
