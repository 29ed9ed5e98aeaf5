package status

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// The states of messages that matter here: not sent yet, and given up.
const (
	pending = "pending"
	dead    = "dead"
)

func (g *gathering) mail(ctx context.Context) error {
	m := &g.out.Mail
	err := g.countMail(ctx, m)
	if err != nil {
		return fmt.Errorf("counting notifications: %w", err)
	}
	if m.Failed > 0 {
		last, err := g.Queries.LastMessage(ctx, query.LastMessageParams{State: dead, ClientID: g.out.Client})
		if err != nil {
			return fmt.Errorf("finding out why notifications failed: %w", err)
		}
		if len(last) > 0 {
			m.LastError, m.LastFor = last[0].LastError, cmp.Or(last[0].ClientID, "the operators")
		}
	}
	return nil
}

func (g *gathering) countMail(ctx context.Context, m *Mail) error {
	if g.out.Client == "" {
		failed, err := g.Queries.CountMessages(ctx, dead)
		if err != nil {
			return err
		}
		m.Failed, m.FailedSince = failed.N, database.Time(failed.Oldest)
		all, err := g.Queries.CountMessages(ctx, pending)
		if err != nil {
			return err
		}
		m.Pending = all.N
		late, err := g.Queries.CountLateMessages(ctx, database.Micros(g.out.Now))
		m.Waiting, m.Oldest = late.N, database.Time(late.Oldest)
		return err
	}
	failed, err := g.Queries.CountClientMessages(ctx, query.CountClientMessagesParams{ClientID: g.out.Client, State: dead})
	m.Failed, m.FailedSince = failed.N, database.Time(failed.Oldest)
	return err
}

// queue lists the spool folders' files, of the client that is asked about.
func (g *gathering) queue() {
	queued, faults := g.Spool()
	for _, q := range queued {
		if g.about(q.Client) {
			g.out.Queue = append(g.out.Queue, q)
		}
	}
	if g.out.Client == "" {
		g.out.Faults = append(g.out.Faults, faults...)
	}
}

// mark returns a mark, 0 if it was never set.
func (g *gathering) mark(ctx context.Context, name string) (int64, error) {
	n, err := g.Queries.GetMark(ctx, name)
	if errors.Is(err, database.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the mark %s: %w", name, err)
	}
	return n, nil
}

func (g *gathering) audit(ctx context.Context) error {
	last, err := g.Queries.LastAudit(ctx)
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return fmt.Errorf("reading the end of the audit: %w", err)
	}
	g.out.Audit.Last = last.Seq
	first, err := g.Queries.ListAudit(ctx, query.ListAuditParams{N: 1})
	if err != nil {
		return fmt.Errorf("reading the beginning of the audit: %w", err)
	}
	if len(first) > 0 {
		g.out.Audit.Began = database.Time(first[0].At)
	}
	var at int64
	for name, to := range map[string]*int64{database.VerifiedMark: &g.out.Audit.Verified, database.VerifiedAtMark: &at, database.BrokenMark: &g.out.Audit.Broken} {
		if *to, err = g.mark(ctx, name); err != nil {
			return err
		}
	}
	g.out.Audit.VerifiedAt = database.Time(at)
	return nil
}

func (g *gathering) backup(ctx context.Context) error {
	at, err := g.mark(ctx, database.BackupMark)
	if err != nil || at == 0 {
		return err
	}
	g.out.Backup = Backup{At: database.Time(at), Folder: "DIR"}
	seq, err := g.mark(ctx, database.BackupAuditMark)
	if err != nil {
		return err
	}
	record, err := g.Queries.GetAudit(ctx, seq)
	if errors.Is(err, database.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading where the last backup is: %w", err)
	}
	var detail map[string]string
	if json.Unmarshal([]byte(record.Detail), &detail) == nil && detail["backup"] != "" {
		g.out.Backup.Folder = filepath.Dir(detail["backup"])
	}
	return nil
}

func (g *gathering) disk(ctx context.Context) error {
	d, err := g.Disk()
	if err != nil {
		g.out.Faults = append(g.out.Faults, Fault{KindDisk, "the disk can't be looked at: " + err.Error(), "df -h"})
		return nil
	}
	d.Over = DiskAhead
	if began := g.out.Audit.Began; !began.IsZero() {
		d.Over = min(d.Over, g.out.Now.Sub(began))
	}
	if d.In, err = g.Queries.SumPublished(ctx, database.Micros(g.out.Now.Add(-DiskAhead))); err != nil {
		return fmt.Errorf("adding up what was published: %w", err)
	}
	if d.Out, err = g.Queries.SumDue(ctx, database.Micros(g.out.Now.Add(DiskAhead))); err != nil {
		return fmt.Errorf("adding up what is purged: %w", err)
	}
	g.out.Disk = d
	return nil
}
