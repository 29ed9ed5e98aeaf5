package reports

import (
	"errors"
	"fmt"
)

// ErrQuota is the error of what would take a client beyond its quota. Those that
// come are a [*QuotaError].
var ErrQuota = errors.New("over quota")

// Quota is how much a client may have: what is held, published or collected of
// its reports and uploads. What was removed doesn't count, though it can be
// restored: who makes room has room.
type Quota struct {
	Bytes int64 // 0: nothing is said; [NoQuota]: no limit
	Files int64 // the same
}

// NoQuota stands for no limit in a [Quota].
const NoQuota = -1

// Or returns q, with that of other where q says nothing (0).
func (q Quota) Or(other Quota) Quota {
	if q.Bytes == 0 {
		q.Bytes = other.Bytes
	}
	if q.Files == 0 {
		q.Files = other.Files
	}
	return q
}

// unlimited is what is left of a limit that there is not.
const unlimited = 1<<63 - 1

// Left returns how much may come in beside what is used. It is 0 where a quota
// was lowered below the use.
func (q Quota) Left(used Usage) Usage {
	left := func(limit, used int64) int64 {
		if limit <= 0 {
			return unlimited
		}
		return max(limit-used, 0)
	}
	return Usage{Files: left(q.Files, used.Files), Bytes: left(q.Bytes, used.Bytes)}
}

// Check returns a [*QuotaError] if a change to what a client has is beyond its
// quota. A change that makes it no more is never: a quota that was lowered
// refuses what is new, and nothing else.
func (q Quota) Check(client ClientID, before, after Usage) error {
	e := &QuotaError{Client: client, Used: before, Quota: q}
	if after.Files > before.Files && q.Files > 0 && after.Files > q.Files {
		e.Files = true
		return e
	}
	if after.Bytes > before.Bytes && q.Bytes > 0 && after.Bytes > q.Bytes {
		e.New = after.Bytes - before.Bytes
		return e
	}
	return nil
}

// Usage is how much there is: of files, and of bytes in all of them.
type Usage struct{ Files, Bytes int64 }

// QuotaError says by how much something is beyond a client's quota. It is an
// [ErrQuota].
type QuotaError struct {
	Client ClientID
	Used   Usage // without what was refused
	Quota  Quota
	// Files: it is the number of files that is beyond the quota, not their bytes.
	Files bool
	// New is by how many bytes there would have been more, 0 where that was not
	// known yet: then what came was more than there was room for.
	New int64
}

func (e *QuotaError) Error() string {
	text := fmt.Sprintf("client %s has %s", e.Client, e.State())
	switch {
	case e.Files:
		return text + "; this is one more"
	case e.New > 0:
		return text + "; this is " + formatSize(e.New) + " more"
	}
	return text + "; this does not fit in"
}

// State says how much of the quota is used, in words that the client itself may
// see: "9.8 GiB of 10 GiB".
func (e *QuotaError) State() string {
	if e.Files {
		return fmt.Sprintf("%d of %d files", e.Used.Files, e.Quota.Files)
	}
	return formatSize(e.Used.Bytes) + " of " + formatSize(e.Quota.Bytes)
}

// Is makes the error an [ErrQuota].
func (e *QuotaError) Is(target error) bool { return target == ErrQuota }

// Hint says what an operator can do.
func (e *QuotaError) Hint() string {
	return e.raise() + ", let the client remove what it has fetched, or use `deliver --over-quota`"
}

// UploadHint says what an operator can do where it was the client's own upload that
// was refused.
func (e *QuotaError) UploadHint() string {
	return e.raise() + ", or have the client remove what it has fetched"
}

func (e *QuotaError) raise() string {
	flag := "--quota SIZE"
	if e.Files {
		flag = "--quota-files N"
	}
	return fmt.Sprintf("raise it with `sealdrop client set %s %s`", e.Client, flag)
}

// formatSize prints a number of bytes for people. It rounds down, so that what
// is below a limit does not look as if it had reached it.
func formatSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	unit, exp := int64(1024), 0
	for n/unit >= 1024 && exp < 4 {
		unit *= 1024
		exp++
	}
	whole, tenth := n/unit, n%unit*10/unit
	if tenth == 0 {
		return fmt.Sprintf("%d %ciB", whole, "KMGTP"[exp])
	}
	return fmt.Sprintf("%d.%d %ciB", whole, tenth, "KMGTP"[exp])
}
