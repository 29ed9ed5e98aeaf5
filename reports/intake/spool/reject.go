package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
)

const (
	// reasonSuffix is what the name of a reason adds to its file's.
	reasonSuffix = ".reason"
	// maxReason bounds what is read of a reason, in bytes.
	maxReason = 16 << 10
)

// The audit's events.
const (
	eventRejected audit.Event = "spool.rejected"
	eventRetried  audit.Event = "spool.retried"
)

// reject moves an entry to rejected, beside the reason. It is recorded first: a
// crash between leads to a second record, never to none.
func (l *look) reject(ctx context.Context, dir *folder, e entry, why rejection) error {
	now := l.Now()
	err := l.DB.Write(ctx, func(tx *database.Tx) error {
		return audit.Append(tx, now, audit.Entry{
			Event: eventRejected, Actor: "spool:" + l.Folder, Client: l.client, Subject: strconv.QuoteToGraphic(e.name),
			Detail: map[string]string{"reason": why.why, "owner": fmt.Sprint("uid:", e.owner)},
		})
	})
	if err != nil {
		return &trouble{fmt.Errorf("recording a rejected file: %w", err), hintOf(err)}
	}
	outer, err := l.root.make(rejectedFolder)
	if err != nil {
		return err
	}
	defer outer.Close()
	to, err := outer.make(cmp.Or(l.client, nobodyFolder))
	if err != nil {
		return err
	}
	defer to.Close()
	as, err := moveWithReason(dir, e.name, to, reason{rejection: why, when: now, name: e.name, owner: e.owner, stray: l.client == nobody})
	if gone(err) {
		return nil // somebody else was quicker
	}
	if err != nil {
		return fmt.Errorf("a file can't be moved to rejected: %w", err)
	}
	l.Log.Warn("rejected", "event", "spool.rejected", "client", l.client, "name", e.name, "reason", why.why, "hint", why.hint, "as", to.path(as))
	if l.client == nobody {
		return nil
	}
	return dropMarker(dir, e.name)
}

// moveWithReason moves an entry to a name there that neither a file nor a reason
// has yet. The reason comes first, and takes the name: a crash can leave one
// without its file, which [List] passes over, and no file without its reason.
func moveWithReason(from *folder, name string, to *folder, why reason) (as string, err error) {
	for k := 1; k <= maxNumber; k++ {
		as = numbered(name, k, maxName-len(reasonSuffix))
		err = to.create(as+reasonSuffix, why.text())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if err = from.move(name, to, as); err == nil {
			return as, nil
		}
		if dropErr := to.remove(as + reasonSuffix); !errors.Is(err, fs.ErrExist) {
			return "", errors.Join(err, dropErr)
		}
	}
	return "", err
}

// reason is what a reason file says.
type reason struct {
	rejection
	when  time.Time
	name  string // the file's, when it was handed in
	owner uint32
	stray bool // it lay where nothing is taken from, so that to put it back is no use
}

// text is for people, and [parseReason] reads it.
func (r reason) text() []byte {
	line := func(key, value string) string {
		return key + ": " + strings.Join(strings.Fields(value), " ") + "\n"
	}
	do := r.hint
	if !r.stray {
		do += "; then `sealdrop spool retry`"
	}
	return []byte(line("why", r.why) + line("do", do) +
		"when: " + r.when.UTC().Format(time.RFC3339) + "\n" +
		"name: " + strconv.QuoteToGraphic(r.name) + "\n" +
		fmt.Sprintf("owner: uid %d\n", r.owner))
}

// parseReason reads a reason as far as it can be read. Whoever may write to the
// folder can have written it.
func parseReason(text string) reason {
	var r reason
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "why":
			r.why = value
		case "do":
			r.hint = value
		case "when":
			r.when, _ = time.Parse(time.RFC3339, value) // zero if it is none
		case "name":
			name, err := strconv.Unquote(value)
			if err == nil && name != "" && name != "." && name != ".." && len(name) <= maxName && !strings.ContainsAny(name, "/\x00") {
				r.name = name
			}
		}
	}
	return r
}

// readReason reads the reason of a rejected file; what is not there is empty.
func readReason(dir *folder, name string) (reason, bool) {
	f, err := dir.file(name + reasonSuffix)
	if err != nil {
		return reason{}, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxReason))
	if err != nil {
		return reason{}, false
	}
	return parseReason(string(text)), true
}
