package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/status"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/spool"
)

// collector gathers the overview of this gateway.
func (g *gateway) collector() *status.Collector {
	cfg := g.config.Status
	c := &status.Collector{
		Queries: g.db.Read(), Now: now, Zone: cfg.Timezone,
		Limits: status.Limits{BackupAge: cfg.BackupAge.Std(), AuditAge: cfg.AuditAge.Std(), UncollectedAfter: cfg.UncollectedAfter.Std()},
		Why:    g.whyHeld, Spool: g.queued, Disk: g.disk, Standing: g.standing,
		Running: func() status.Running {
			r := lockHolder(filepath.Join(g.config.Data, lockName))
			if start := startCommand("/", g.config.File); start != serveCommand {
				r.Start = start
			}
			return r
		},
	}
	for _, client := range g.config.Clients {
		for _, e := range client.Expects {
			c.Wanted = append(c.Wanted, status.Wanted{Client: client.ID.String(), Expectation: e})
		}
	}
	return c
}

// whyHeld says why a client's reports are held, by the best of its PGP keys.
func (g *gateway) whyHeld(ctx context.Context, client string) (status.Why, error) {
	why := status.Why{
		Reason: "it has no PGP key", Fix: fmt.Sprintf("sealdrop key import --client %s FILE", client), Advice: "have the client send its public PGP key",
	}
	id, err := reports.ParseClientID(client)
	if err != nil {
		return why, err
	}
	_, err = g.register.Recipients(ctx, id)
	switch {
	case err == nil:
		return status.Why{
			Reason: "it has a usable key by now", Fix: fmt.Sprintf("sealdrop report list --client %s --held", client),
			Advice: "a running gateway releases them by itself", Usable: true,
		}, nil
	case !errors.Is(err, keys.ErrNoRecipient):
		return why, err
	}
	list, err := g.register.Keys(ctx, id)
	if err != nil {
		return why, err
	}
	for _, k := range list { // the last one imported says the most
		if k.Kind == keys.PGP {
			why = heldByKey(why, k, now())
		}
	}
	return why, nil
}

func heldByKey(why status.Why, k keys.Key, at time.Time) status.Why {
	name := k.Fingerprint[max(len(k.Fingerprint)-16, 0):]
	switch state := k.State(at); {
	case state == keys.Pending:
		why.Reason, why.Fix, why.Advice = fmt.Sprintf("its PGP key %s waits for a second operator's approval", name), "sealdrop key approve "+k.ID, ""
	case !k.Expires.IsZero() && !k.Expires.After(at):
		why.Reason = fmt.Sprintf("its PGP key %s expired on %s", name, k.Expires.Format("2 Jan 2006"))
		why.Advice = "have the client extend its key or make a new one, and send the public half"
	case k.Usable(at):
		why.Reason = fmt.Sprintf("its PGP key %s can't be sealed for", name)
		why.Fix, why.Advice = "sealdrop key show "+k.ID, "have the client send another public PGP key"
	default:
		why.Reason = fmt.Sprintf("its PGP key %s is %s", name, state)
	}
	return why
}

// queued lists what lies in the spool folders.
func (g *gateway) queued() (list []status.Queued, faults []status.Fault) {
	for _, folder := range g.spoolFolders() {
		items, err := spool.List(folder)
		if err != nil {
			faults = append(faults, status.Fault{
				Kind: status.KindSpool, What: "the spool folder can't be read: " + err.Error(), Fix: "ls -ld " + folder,
			})
			continue
		}
		for _, i := range items {
			q := status.Queued{Folder: folder, Client: i.Client, File: i.Name, Since: i.Modified, Rejected: i.Rejected, Reason: i.Reason, Hint: i.Hint}
			if i.Rejected && !i.At.IsZero() {
				q.Since = i.At
			}
			list = append(list, q)
		}
	}
	return list, faults
}

func (g *gateway) disk() (status.Disk, error) {
	total, free, err := g.blobs.Space()
	d := status.Disk{Path: g.config.Data, Total: total, Free: free, Reserve: g.blobs.Reserve(total)}
	if len(g.config.Spool.Folders) > 0 {
		d.Reserve = max(d.Reserve, uint64(g.config.Spool.MinFree))
	}
	return d, err
}

// standing tells of a purge that waits for an operator's word.
func (g *gateway) standing(ctx context.Context) []status.Fault {
	err := g.sweeper.Check(ctx, now())
	if err == nil {
		return nil
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return []status.Fault{{Kind: status.KindSweep, What: text, Fix: "sealdrop retention plan"}}
}

// lockHolder finds out who has a file locked, from what the kernel tells of all
// locks: to try the lock would keep a gateway from starting in that moment.
func lockHolder(path string) status.Running {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return status.Running{Known: true} // it never ran
	}
	if err != nil {
		return status.Running{}
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.Open("/proc/locks")
	if err != nil || !ok {
		return status.Running{}
	}
	defer locks.Close() // only read from
	inode := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// "1: FLOCK  ADVISORY  WRITE 712 fe:00:1310 0 EOF"
		fields := strings.Fields(lines.Text())
		if len(fields) > 5 && fields[1] == "FLOCK" && fields[5] == inode {
			pid, _ := strconv.Atoi(fields[4]) // 0 for one in another container
			return status.Running{Known: true, Running: true, PID: max(pid, 0)}
		}
	}
	return status.Running{Known: true}
}
