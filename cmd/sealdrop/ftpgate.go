package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/server/access"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/ftpd"
)

// ftpGate puts FTP's questions to the gate, and hands out folders.
type ftpGate struct {
	gate    *access.Gate
	store   *folder.Store
	keptFor func(retention time.Duration) time.Duration
	admit   func(netip.Addr) bool
	plain   bool // FTP in the clear is possible at all
}

// Ask implements [ftpd.Gate].
func (g *ftpGate) Ask(ctx context.Context, a ftpd.Attempt) error {
	d, err := g.gate.AskPassword(ctx, ftpAttempt(a))
	if err != nil || d.Allowed() {
		return err
	}
	return ftpRefusal(d)
}

// Login implements [ftpd.Gate].
func (g *ftpGate) Login(ctx context.Context, a ftpd.Attempt, password string, end func(reason string)) (ftpd.Session, error) {
	attempt := ftpAttempt(a)
	attempt.Password = &password
	s, d, err := g.gate.Login(ctx, attempt, end)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, ftpRefusal(d)
	}
	return &ftpSession{gate: g.gate, session: s, plain: g.plain && s.Client.FTP == keys.FTPPlain, folder: g.store.Folder(folder.Session{
		Client: s.Client.ID, Retention: g.keptFor(s.Client.Retention), Protocol: "ftp", Address: s.Address.String(), Fingerprint: s.Fingerprint,
		Evidence: "226, and every byte acknowledged by the client's system",
	})}, nil
}

// Refused implements [ftpd.Gate].
func (g *ftpGate) Refused(ctx context.Context, a ftpd.Attempt) {
	// The gate logs what it could not record.
	_, _ = g.gate.Refused(ctx, ftpAttempt(a))
}

// Admits implements [ftpd.Gate].
func (g *ftpGate) Admits(addr netip.Addr) bool { return g.admit(addr) }

// ftpRefusal is what a client is told. Who has not proved its password is told
// nothing.
func ftpRefusal(d access.Decision) *ftpd.Refusal {
	r := &ftpd.Refusal{Reason: string(d.Reason)}
	switch d.Reason {
	case access.PasswordExpired:
		r.Text = "Your password has expired; please ask the sender for a new one."
	case access.TooManySessions:
		r.Text = "You have too many sessions open; please close some."
	}
	return r
}

func ftpAttempt(a ftpd.Attempt) access.Attempt {
	attempt := access.Attempt{Protocol: "ftp", Address: a.Address, User: a.User, Software: a.Software, TLS: a.TLS, Detail: a.Detail}
	switch a.Cause {
	case ftpd.ClosedBeforeLogin:
		attempt.Failure = access.ClosedBeforeLogin
	case ftpd.TimedOut:
		attempt.Failure = access.TimedOut
	case ftpd.TLSFailed:
		attempt.Failure = access.TLSFailed
	case ftpd.NotTLS:
		attempt.Failure = access.WrongProtocol
	}
	return attempt
}

// ftpSession is an [ftpd.Session].
type ftpSession struct {
	gate    *access.Gate
	session *access.Session
	folder  *folder.FS
	plain   bool
}

func (s *ftpSession) Folder() ftpd.Folder { return s.folder }
func (s *ftpSession) Client() string      { return s.session.Client.ID.String() }
func (s *ftpSession) Plain() bool         { return s.plain }
func (s *ftpSession) Close()              { s.session.Close() }

func (s *ftpSession) Unreachable(announced netip.AddrPort) {
	s.gate.Unreachable(context.Background(), s.session, announced)
}

func (s *ftpSession) DataRefused(why ftpd.DataFault) {
	reason := access.DataTLSFailed
	switch why {
	case ftpd.NotResumed:
		reason = access.DataNotResumed
	case ftpd.InTheClear:
		reason = access.DataInTheClear
	}
	s.gate.DataRefused(context.Background(), s.session, reason)
}
func (s *ftpSession) Reached() { s.gate.Reached(context.Background(), s.session) }
