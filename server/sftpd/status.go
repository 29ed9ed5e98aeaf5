package sftpd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/pkg/sftp"

	"github.com/sealdrop/sealdrop/reports"
)

// status is an error as the client sees it: a code of the protocol and a text.
// It is the only kind of error, beside io.EOF, that handlers return.
type status struct {
	code error // one of pkg/sftp's ErrSSHFx values
	text string
}

func (s *status) Error() string { return s.text }
func (s *status) Unwrap() error { return s.code }

// statuses maps what a Folder may answer with. The first that fits is taken.
func statuses() []struct {
	err error
	status
} {
	failure := error(sftp.ErrSSHFxFailure)
	return []struct {
		err error
		status
	}{
		{fs.ErrNotExist, status{sftp.ErrSSHFxNoSuchFile, "no such file or folder"}},
		{fs.ErrExist, status{failure, "the name is taken"}},
		{reports.ErrOnHold, status{sftp.ErrSSHFxPermissionDenied, "the file is on hold and can't be changed"}},
		{fs.ErrPermission, status{sftp.ErrSSHFxPermissionDenied, "permission denied"}},
		{reports.ErrNotFolder, status{failure, "not a folder"}},
		{reports.ErrIsFolder, status{failure, "is a folder"}},
		{reports.ErrNotEmpty, status{failure, "the folder is not empty"}},
		{reports.ErrBusy, status{failure, "the name is being written by another session"}},
		{reports.ErrNotResumable, status{failure, reports.ErrNotResumable.Error()}},
		{reports.ErrIncomplete, status{failure, reports.ErrIncomplete.Error()}},
		{reports.ErrOrder, status{failure, reports.ErrOrder.Error()}},
		{reports.ErrTooMany, status{failure, reports.ErrTooMany.Error()}},
		{reports.ErrTooLarge, status{failure, reports.ErrTooLarge.Error()}},
		{reports.ErrNoSpace, status{failure, "no space left"}},
		{fs.ErrInvalid, status{failure, "invalid request"}},
		{fs.ErrClosed, status{failure, "the file is closed"}},
		{context.Canceled, status{sftp.ErrSSHFxConnectionLost, "the session is ending"}},
	}
}

// statusCode returns an answer's code (draft-ietf-secsh-filexfer-02, section 7) and
// text for what a handler has returned.
func statusCode(err error) (code uint32, text string) {
	const ok, eof, failure = 0, 1, 4
	switch {
	case err == nil:
		return ok, ""
	case err == io.EOF:
		return eof, err.Error()
	}
	s, known := errors.AsType[*status](err)
	if !known {
		return failure, err.Error()
	}
	switch s.code {
	case sftp.ErrSSHFxNoSuchFile:
		return 2, s.text
	case sftp.ErrSSHFxPermissionDenied:
		return 3, s.text
	case sftp.ErrSSHFxConnectionLost:
		return 7, s.text
	case sftp.ErrSSHFxOpUnsupported:
		return 8, s.text
	}
	return failure, err.Error()
}

// toStatus turns err into what the client may see. It reports whether err is an
// internal one, whose text belongs in the log and nowhere else.
func toStatus(err error) (out error, internal bool) {
	if err == nil || err == io.EOF {
		return err, false
	}
	if s, ok := errors.AsType[*status](err); ok {
		return s, false
	}
	if errors.Is(err, reports.ErrName) {
		// The text says what is wrong with the name that the client sent.
		text := err.Error()
		if i := strings.Index(text, reports.ErrName.Error()); i > 0 {
			text = text[i:]
		}
		return &status{sftp.ErrSSHFxFailure, text}, false
	}
	if over, ok := errors.AsType[*reports.QuotaError](err); ok {
		return &status{sftp.ErrSSHFxFailure, "the quota is used up: the folder has " + over.State() + ", and the file does not fit in"}, false
	}
	for _, s := range statuses() {
		if errors.Is(err, s.err) {
			return &s.status, false
		}
	}
	return &status{sftp.ErrSSHFxFailure, "internal error"}, true
}
