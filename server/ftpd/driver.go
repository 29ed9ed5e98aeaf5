package ftpd

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"time"

	ftpserver "github.com/fclairamb/ftpserverlib"
	"github.com/spf13/afero"

	"github.com/sealdrop/sealdrop/reports"
)

// driver is a session as the library sees it: the main driver of its one
// connection, and the file system of its one client.
type driver struct{ s *session }

var (
	errNotServed = fs.ErrPermission

	_ ftpserver.MainDriver                        = (*driver)(nil)
	_ ftpserver.MainDriverExtensionPassiveWrapper = (*driver)(nil)
	_ ftpserver.ClientDriver                      = (*driver)(nil)
	_ ftpserver.ClientDriverExtensionRemoveDir    = (*driver)(nil)
	_ ftpserver.ClientDriverExtentionFileTransfer = (*driver)(nil)
)

// GetSettings implements [ftpserver.MainDriver].
func (d *driver) GetSettings() (*ftpserver.Settings, error) {
	return &ftpserver.Settings{
		Listener:               &single{s: d.s},
		Banner:                 "Sealdrop",
		DefaultTransferType:    ftpserver.TransferTypeBinary,
		DisableASCIIConversion: true,
		DisableSite:            true,
		DisableActiveMode:      true,
		// The session and its data listener have limits of their own; these must
		// only be longer.
		IdleTimeout:       int((24 * time.Hour).Seconds()),
		ConnectionTimeout: int(time.Hour.Seconds()),
		// What the data listener accepts is the client's own.
		PasvConnectionsCheck: ftpserver.IPMatchDisabled,
	}, nil
}

// ClientConnected implements [ftpserver.MainDriver].
func (d *driver) ClientConnected(cc ftpserver.ClientContext) (string, error) {
	d.s.lib = cc
	return "Sealdrop is ready.", nil
}

// ClientDisconnected implements [ftpserver.MainDriver].
func (d *driver) ClientDisconnected(ftpserver.ClientContext) { close(d.s.over) }

// AuthUser implements [ftpserver.MainDriver]. It is called when the gate has
// decided already.
func (d *driver) AuthUser(_ ftpserver.ClientContext, user, _ string) (ftpserver.ClientDriver, error) {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.client == nil || d.s.client.Client() != user {
		return nil, errors.New("nobody has logged in")
	}
	return d, nil
}

// GetTLSConfig implements [ftpserver.MainDriver]. TLS is the session's own; the
// library never hears of it.
func (d *driver) GetTLSConfig() (*tls.Config, error) {
	return nil, errors.New("TLS is none of the library's business")
}

// WrapPassiveListener implements [ftpserver.MainDriverExtensionPassiveWrapper]: a
// passive port takes the place of the socket that the library opened.
func (d *driver) WrapPassiveListener(parked net.Listener) (net.Listener, error) {
	l, err := d.s.announce(parked)
	if err != nil {
		_ = parked.Close() // the library forgets it
		d.s.fault(d.s.request(), err)
		return nil, err
	}
	return l, nil
}

// Name implements [afero.Fs].
func (d *driver) Name() string { return "folder" }

// info looks a place up.
func (d *driver) info(place string) (os.FileInfo, error) {
	name, err := reports.ParseName(place)
	if err != nil {
		return nil, err
	}
	e, err := d.s.folder().Stat(d.s.ctx, name)
	if err != nil {
		return nil, err
	}
	return e.Info(), nil
}

// Stat implements [afero.Fs].
func (d *driver) Stat(place string) (os.FileInfo, error) {
	info, err := d.info(place)
	return info, d.s.fault(d.s.request(), err)
}

// Mkdir implements [afero.Fs].
func (d *driver) Mkdir(place string, _ os.FileMode) error {
	return d.on(place, func(name reports.Name) error { return d.s.folder().Mkdir(d.s.ctx, name) })
}

// Remove implements [afero.Fs].
func (d *driver) Remove(place string) error {
	return d.on(place, func(name reports.Name) error { return d.s.folder().Remove(d.s.ctx, name) })
}

// RemoveDir implements [ftpserver.ClientDriverExtensionRemoveDir].
func (d *driver) RemoveDir(place string) error {
	return d.on(place, func(name reports.Name) error { return d.s.folder().RemoveFolder(d.s.ctx, name) })
}

// Rename implements [afero.Fs]. As with other servers, a file of the new name is
// replaced; an operator can restore it.
func (d *driver) Rename(from, to string) error {
	return d.on(from, func(old reports.Name) error {
		name, err := reports.ParseName(to)
		if err != nil {
			return err
		}
		return d.s.folder().Rename(d.s.ctx, old, name, true)
	})
}

func (d *driver) on(place string, act func(reports.Name) error) error {
	name, err := reports.ParseName(place)
	if err == nil {
		err = act(name)
	}
	return d.s.fault(d.s.request(), err)
}

// What the library has no command for that reaches it.

// Create implements [afero.Fs]. Transfers go through [driver.GetHandle].
func (d *driver) Create(string) (afero.File, error) { return nil, errNotServed }

// Open implements [afero.Fs].
func (d *driver) Open(string) (afero.File, error) { return nil, errNotServed }

// OpenFile implements [afero.Fs].
func (d *driver) OpenFile(string, int, os.FileMode) (afero.File, error) { return nil, errNotServed }

// MkdirAll implements [afero.Fs].
func (d *driver) MkdirAll(string, os.FileMode) error { return errNotServed }

// RemoveAll implements [afero.Fs].
func (d *driver) RemoveAll(string) error { return errNotServed }

// Chmod implements [afero.Fs].
func (d *driver) Chmod(string, os.FileMode) error { return errNotServed }

// Chown implements [afero.Fs].
func (d *driver) Chown(string, int, int) error { return errNotServed }

// Chtimes implements [afero.Fs]; MFMT is the session's own.
func (d *driver) Chtimes(string, time.Time, time.Time) error { return errNotServed }

// request is the one that the library carries out now.
func (s *session) request() *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.transfer != nil {
		return s.transfer
	}
	return s.current
}

// fault keeps the first error of a request for its reply, and returns it.
func (s *session) fault(r *request, err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r != nil && r.err == nil {
		r.err = err
	}
	return err
}
