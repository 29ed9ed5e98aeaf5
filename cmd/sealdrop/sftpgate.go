package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealdrop/sealdrop/server/access"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

// sftpGate puts the sFTP protocol's questions to the gate, and hands out
// folders.
type sftpGate struct {
	gate    *access.Gate
	store   *folder.Store
	drops   *drops
	keptFor func(retention time.Duration) time.Duration
}

var errNotWorthProving = errors.New("the key is of no use for this user")

// Offered implements [sftpd.Gate].
func (g *sftpGate) Offered(ctx context.Context, o sftpd.Offer) error {
	ok, err := g.gate.Offered(ctx, o.User, offeredKey(o))
	if err == nil && !ok {
		err = errNotWorthProving
	}
	return err
}

// Login implements [sftpd.Gate].
func (g *sftpGate) Login(ctx context.Context, a sftpd.Attempt, end func(reason string)) (sftpd.Session, error) {
	attempt := accessAttempt(a)
	attempt.Proved = &access.Key{Fingerprint: a.Fingerprint, Algorithm: a.Algorithm, Bits: a.Bits}
	s, d, err := g.gate.Login(ctx, attempt, end)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, &sftpd.Refusal{Reason: string(d.Reason), Banner: banner(d, attempt)}
	}
	if s.Client.Producer() {
		f := g.drops.folder(s)
		return &sftpSession{session: s, folder: f, close: f.Close}, nil
	}
	return &sftpSession{session: s, close: func() {}, folder: g.store.Folder(folder.Session{
		Client: s.Client.ID, Retention: g.keptFor(s.Client.Retention), Protocol: "sftp", Address: s.Address.String(), Fingerprint: s.Fingerprint,
		Evidence: "bytes sent and file closed by the client",
	})}, nil
}

// Refused implements [sftpd.Gate].
func (g *sftpGate) Refused(ctx context.Context, a sftpd.Attempt) {
	// The gate logs what it could not record.
	_, _ = g.gate.Refused(ctx, accessAttempt(a))
}

// banner is what a client that has proved its key is told. Who has proved
// nothing is told nothing.
func banner(d access.Decision, attempt access.Attempt) string {
	switch d.Reason {
	case access.AddressNotAllowed:
		if !d.Proved() {
			return ""
		}
		return fmt.Sprintf("Your key is right, but your address %s is not on the list of %s. Please ask the sender to add it.\n", attempt.Address.Unmap(), d.Client)
	case access.TooManySessions:
		return "Your key is right, but you have too many sessions open. Please close some.\n"
	case access.TooManyAttempts:
		return "Your address is locked out for a while after too many failed logins. Please try again later.\n"
	}
	return ""
}

func offeredKey(o sftpd.Offer) access.Key {
	return access.Key{Fingerprint: o.Fingerprint, Algorithm: o.Algorithm, Bits: o.Bits}
}

func accessAttempt(a sftpd.Attempt) access.Attempt {
	attempt := access.Attempt{
		Protocol: "sftp", Address: a.Address, User: a.User, Software: a.ClientVersion, Failure: failure(a.Cause), Detail: a.Detail,
	}
	for _, o := range a.Offered {
		attempt.Offered = append(attempt.Offered, offeredKey(o))
	}
	return attempt
}

// failure puts what the protocol found into the gate's words.
func failure(c sftpd.Cause) access.Reason {
	switch c {
	case "":
		return ""
	case sftpd.NoCommonAlgorithm:
		return access.NoCommonAlgorithm
	case sftpd.AlgorithmRefused:
		return access.AlgorithmRefused
	case sftpd.KeyTooWeak:
		return access.KeyTooWeak
	case sftpd.SignatureInvalid:
		return access.SignatureInvalid
	case sftpd.TimedOut:
		return access.TimedOut
	case sftpd.NotSSH:
		return access.WrongProtocol
	}
	return access.ClosedBeforeLogin
}

// sftpSession is an [sftpd.Session].
type sftpSession struct {
	session *access.Session
	folder  sftpd.Folder
	close   func() // what the folder has open
}

func (s *sftpSession) Folder() sftpd.Folder { return s.folder }
func (s *sftpSession) Client() string       { return s.session.Client.ID.String() }

func (s *sftpSession) Close() {
	s.close()
	s.session.Close()
}
