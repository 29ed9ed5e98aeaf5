package fsck

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
)

// Copies has copies of blobs: internal/backup has one that is a folder of backups.
type Copies interface {
	// Blob hands a file's content, as it was stored, to put, and returns where it is from. The
	// content ends with an error if it turns out to be something else.
	Blob(file reports.Report, put func(content io.Reader) error) (from string, err error)
}

// repair mends what a finding says, if that was asked for and is possible, and completes the
// finding. What was repaired once and is not as it should be is not repaired again. An
// error means that the check can't go on.
func (r *run) repair(ctx context.Context, file reports.Report, f *Finding, before bool) error {
	if r.options.Copies == nil || f.Kind != Missing && f.Kind != Truncated && f.Kind != Damaged {
		return nil
	}
	if before {
		f.Unrepaired, f.Mend = "it was just put in place, and is damaged again", "look into the kernel's log (dmesg): the disk may be failing"
		return nil
	}
	from, err := r.options.Copies.Blob(file, func(content io.Reader) error {
		return r.Blobs.Repair(file.Blob, &untilDone{ctx, content})
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		f.Unrepaired, f.Mend = err.Error(), "have the client upload it again, or name another backup"
		if file.Kind == reports.KindReport {
			f.Mend = fmt.Sprintf("name another backup, or deliver it again: sealdrop deliver --client %s --again --replace FILE", file.Client)
		}
		var hinted interface{ Hint() string }
		if errors.As(err, &hinted) { // a full disk
			f.Mend = hinted.Hint()
		}
		return nil
	}
	err = r.DB.Write(ctx, func(tx *database.Tx) error {
		return audit.Append(tx, r.Now(), audit.Entry{
			Event: "report.repaired", Actor: r.options.Actor, Client: file.Client.String(), Subject: file.ID,
			Detail: map[string]string{"name": file.Name.String(), "found": string(f.Kind), "blob": file.Blob, "sha256": file.SHA256, "backup": from},
		})
	})
	if err != nil {
		return fmt.Errorf("report %s was repaired from %s, but that could not be recorded: %w", file.ID, from, err)
	}
	r.done.Repaired++
	f.Repaired, f.Mend = true, "none needed: it was brought back from "+from
	return nil
}
