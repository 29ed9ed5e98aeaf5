// Package audit keeps the append-only, hash-chained record of what happened.
//
// A record is written by [Append] in the caller's own transaction, so that an
// event and its record exist both or neither. Each record's hash covers its
// fields and the hash before it; [Verify] walks the chain and names the first
// record that does not fit. Somebody who can write to the database could forge
// the whole chain anew, so [Verify] returns the newest sequence number and
// hash: noted elsewhere from time to time, they pin everything before them.
//
// Records hold names, ids, addresses and fingerprints. They never hold file
// content, passwords, or a byte of a private key.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// Event names what happened, as "subject.verb".
type Event string

// Entry is one thing to be recorded.
type Entry struct {
	Event Event
	// Actor is who did it: "operator:NAME", "client:ID", "api:NAME" or "gateway".
	Actor string
	// Client is the id of the client that it concerns, "" for none.
	Client string
	// Subject is the id of the report, key or address that it concerns.
	Subject string
	// Detail holds whatever else is needed to understand the record later.
	Detail map[string]string
}

// Record is an [Entry] as it stands in the chain.
type Record struct {
	Seq     int64             `json:"seq"`
	Time    time.Time         `json:"time"`
	Event   Event             `json:"event"`
	Actor   string            `json:"actor"`
	Client  string            `json:"client,omitempty"`
	Subject string            `json:"subject,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
	Hash    string            `json:"hash"`
}

// Append records e at the end of the chain, within tx.
func Append(tx *database.Tx, now time.Time, e Entry) error {
	rows, err := follow(tx, now, e)
	if err != nil {
		return err
	}
	if err := tx.InsertAudit(tx.Context(), query.InsertAuditParams(rows[0])); err != nil {
		return fmt.Errorf("recording %s: %w", e.Event, err)
	}
	return nil
}

// AppendAll records many entries, each as [Append] would. It is for what is done to many
// things at once, of which each has its record.
func AppendAll(tx *database.Tx, now time.Time, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	rows, err := follow(tx, now, entries...)
	if err != nil {
		return err
	}
	if err := tx.InsertAudits(rows); err != nil {
		return fmt.Errorf("recording %s and %d more: %w", entries[0].Event, len(entries)-1, err)
	}
	return nil
}

// follow returns the records that come next in the chain.
func follow(tx *database.Tx, now time.Time, entries ...Entry) ([]query.Audit, error) {
	last, err := tx.LastAudit(tx.Context())
	if err != nil && !errors.Is(err, database.ErrNotFound) {
		return nil, fmt.Errorf("reading the end of the audit chain: %w", err)
	}
	seq, hash := last.Seq, last.Hash
	rows := make([]query.Audit, 0, len(entries))
	for _, e := range entries {
		detail := "{}"
		if len(e.Detail) > 0 {
			text, err := json.Marshal(e.Detail) // map keys come out sorted
			if err != nil {
				return nil, fmt.Errorf("recording %s: %w", e.Event, err)
			}
			detail = string(text)
		}
		seq++
		row := query.Audit{
			Seq: seq, At: database.Micros(now), Event: string(e.Event), Actor: storable(e.Actor),
			ClientID: storable(e.Client), Subject: storable(e.Subject), Detail: detail,
		}
		hash = chain(hash, row)
		row.Hash = hash
		rows = append(rows, row)
	}
	return rows, nil
}

// storable shows what no database engine keeps as text, NUL and bytes that are
// not UTF-8, as in "\x00". A stranger's text must not keep its own record from
// being written.
func storable(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	var out []byte
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == 0 || r == utf8.RuneError && n == 1 {
			out = fmt.Appendf(out, `\x%02x`, s[i])
		} else {
			out = append(out, s[i:i+n]...)
		}
		i += n
	}
	return string(out)
}

// chain computes a record's hash: SHA-256 over the previous hash and the
// record's fields, each preceded by its length so that no two different
// records give the same bytes.
func chain(previous string, row query.Audit) string {
	h := sha256.New()
	var buf []byte
	number := func(n int64) { buf = binary.BigEndian.AppendUint64(buf, uint64(n)) }
	text := func(s string) {
		number(int64(len(s)))
		buf = append(buf, s...)
	}
	text(previous)
	number(row.Seq)
	number(row.At)
	for _, s := range []string{row.Event, row.Actor, row.ClientID, row.Subject, row.Detail} {
		text(s)
	}
	h.Write(buf)
	return hex.EncodeToString(h.Sum(nil))
}

// Head is the end of the chain.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// BrokenError names the first record that does not fit the chain.
type BrokenError struct {
	Seq    int64
	Reason string
}

func (e *BrokenError) Error() string {
	return fmt.Sprintf("audit record %d does not fit: %s", e.Seq, e.Reason)
}

// Hint says what an operator can do.
func (e *BrokenError) Hint() string {
	return "somebody or something changed the catalog behind the gateway; keep a copy of it, and compare with a backup from before"
}

// page is how many records are read at a time.
const page = 1000

// Verify walks the whole chain. It returns the end of it, or a [*BrokenError].
// expect, where it is not zero, is a head noted earlier, which the chain must
// still contain.
func Verify(ctx context.Context, q *query.Queries, expect Head) (Head, error) {
	var head Head
	after := int64(math.MinInt64) // a forged record may stand before the first
	for {
		rows, err := q.ListAudit(ctx, query.ListAuditParams{After: after, N: page})
		if err != nil {
			return head, fmt.Errorf("reading the audit: %w", err)
		}
		for _, row := range rows {
			if row.Seq <= head.Seq {
				return head, &BrokenError{Seq: row.Seq, Reason: "it stands before the beginning of the chain"}
			}
			if row.Seq != head.Seq+1 {
				return head, &BrokenError{Seq: head.Seq + 1, Reason: fmt.Sprintf("it is missing; the next one is %d", row.Seq)}
			}
			if row.Hash != chain(head.Hash, row) {
				return head, &BrokenError{Seq: row.Seq, Reason: "its content or the record before it was changed"}
			}
			head, after = Head{Seq: row.Seq, Hash: row.Hash}, row.Seq
			if expect.Seq == head.Seq && expect.Hash != head.Hash {
				return head, &BrokenError{Seq: row.Seq, Reason: "its hash is not the one noted earlier; the chain was rewritten"}
			}
		}
		if len(rows) < page {
			break
		}
	}
	if expect.Seq > head.Seq {
		return head, &BrokenError{Seq: head.Seq + 1, Reason: fmt.Sprintf("the chain ends at %d, and %d was noted earlier; records were cut off", head.Seq, expect.Seq)}
	}
	return head, nil
}

// Filter selects what [List] returns.
type Filter struct {
	// Client, where it is not "", selects the records that concern one client.
	Client string
	// Before selects records with a smaller sequence number; 0 for no limit.
	Before int64
	// Limit is the largest number of records returned.
	Limit int64
}

// List returns records, the newest first.
func List(ctx context.Context, q *query.Queries, f Filter) ([]Record, error) {
	if f.Before == 0 {
		f.Before = 1<<63 - 1
	}
	var rows []query.Audit
	var err error
	if f.Client == "" {
		rows, err = q.ListAuditBackwards(ctx, query.ListAuditBackwardsParams{Before: f.Before, N: f.Limit})
	} else {
		rows, err = q.ListClientAuditBackwards(ctx, query.ListClientAuditBackwardsParams{ClientID: f.Client, Before: f.Before, N: f.Limit})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	records := make([]Record, 0, len(rows))
	for _, row := range rows {
		r := Record{
			Seq: row.Seq, Time: database.Time(row.At), Event: Event(row.Event), Actor: row.Actor,
			Client: row.ClientID, Subject: row.Subject, Hash: row.Hash,
		}
		if err := json.Unmarshal([]byte(row.Detail), &r.Detail); err != nil {
			return nil, &BrokenError{Seq: row.Seq, Reason: "its detail is not JSON"}
		}
		records = append(records, r)
	}
	return records, nil
}

// DetailText renders a record's detail as "key=value" pairs in a fixed order.
func (r Record) DetailText() string {
	var out []byte
	for i, k := range slices.Sorted(maps.Keys(r.Detail)) {
		if i > 0 {
			out = append(out, ' ')
		}
		out = fmt.Appendf(out, "%s=%s", k, r.Detail[k])
	}
	return string(out)
}
