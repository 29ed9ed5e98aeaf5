// Package explorer speaks FTP as Windows Explorer does (its library is WinINet),
// command by command, so that tests and the demonstration can show without
// Windows what a client sees there. Start with [Client]; its methods are what a
// person does in a window.
//
// What sets Explorer apart from other programs, all of which is replayed:
//
//   - It knows no TLS and no active mode. Over IPv4 it asks for PASV, over IPv6
//     for EPSV.
//   - It first tries `USER anonymous` with `PASS IEUser@`, is refused, and connects
//     again with what its user typed.
//   - It sends `opts utf8 on`. Without a 200 it would fall back on the code page of
//     the computer; that is an error here.
//   - A window has one control connection. Each file that is opened or stored is a
//     new control connection, and a new login.
//   - It reads listings in the form of `ls -l` and of MS-DOS, and takes an empty
//     line in one for a fault: an empty folder must be listed as nothing at all.
//
// The package is a client for a server that is known. It refuses nothing that
// Explorer would take, keeps a listing in memory, and follows the address in a
// reply to PASV wherever it leads, as Explorer does.
package explorer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"
)

// Client is somebody with Explorer at one server. The zero value lacks an address
// and credentials only. It is for one goroutine. Names are paths in the server's
// folder; those that do not begin with a slash mean the same as if they did.
type Client struct {
	Address  string // host:port
	User     string
	Password string
	// Older has it say what Explorer said before Windows 10, too: syst, site help,
	// and noop when a window is used again.
	Older bool
	// Log gets a transcript: "> " before commands, "< " before replies, "# " before
	// what else happens. The password is not in it. nil: there is none.
	Log io.Writer

	probed bool
	window *control // nil until there is one
}

// Entry is a file or folder as Explorer shows it.
type Entry struct {
	Name   string
	Folder bool
	Size   int64 // in bytes; of a folder it means nothing
	// Modified is as exact as the listing: to the minute, or to the day. Explorer
	// takes it for local time; here it is UTC.
	Modified time.Time
}

// ErrNotListed is returned for a name that its folder's listing lacks.
var ErrNotListed = errors.New("the listing does not show it")

// List shows a folder.
func (c *Client) List(ctx context.Context, dir string) ([]Entry, error) {
	dir = path.Clean("/" + dir)
	w, err := c.enter(ctx, dir)
	if err != nil {
		return nil, err
	}
	if _, err := w.do("TYPE A", 200); err != nil {
		return nil, err
	}
	var listing []byte
	err = w.transfer(ctx, "LIST", func(data io.ReadWriter) (err error) {
		listing, err = io.ReadAll(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	entries, err := parse(string(listing), time.Now())
	if err != nil {
		return nil, fmt.Errorf("reading the listing of %s: %w", dir, err)
	}
	return entries, nil
}

// Open fetches a file and writes it to a place of the caller's.
func (c *Client) Open(ctx context.Context, name string, to io.Writer) error {
	return c.alone(ctx, name, func(w *control, base string) error {
		if err := w.offer(ctx); err != nil {
			return err
		}
		size, err := w.size(base)
		if err != nil {
			return err
		}
		var got int64
		err = w.transfer(ctx, "RETR "+base, func(data io.ReadWriter) (err error) {
			got, err = io.Copy(to, data)
			return err
		})
		if err == nil && got != size {
			err = fmt.Errorf("%s has %d bytes and %d came", name, size, got)
		}
		return err
	})
}

// Upload stores a file, over one that may be there: Explorer's user has agreed to
// that.
func (c *Client) Upload(ctx context.Context, name string, from io.Reader) error {
	return c.alone(ctx, name, func(w *control, base string) error {
		return w.transfer(ctx, "STOR "+base, func(data io.ReadWriter) error {
			_, err := io.Copy(data, from)
			return err
		})
	})
}

// newFolder is what Explorer calls a new folder until its user has typed a name.
const newFolder = "New folder"

// NewFolder makes a folder as Explorer does: under a name of its own first, which
// is then changed.
func (c *Client) NewFolder(ctx context.Context, name string) error {
	name = path.Clean("/" + name)
	w, err := c.enter(ctx, path.Dir(name))
	if err != nil {
		return err
	}
	if _, err := w.do("MKD "+newFolder, 257); err != nil || path.Base(name) == newFolder {
		return err
	}
	return c.Rename(ctx, path.Join(path.Dir(name), newFolder), path.Base(name))
}

// Rename gives a file or folder another name in the same folder.
func (c *Client) Rename(ctx context.Context, name, base string) error {
	name = path.Clean("/" + name)
	w, err := c.enter(ctx, path.Dir(name))
	if err != nil {
		return err
	}
	if _, err := w.do("RNFR "+path.Base(name), 350); err != nil {
		return err
	}
	_, err = w.do("RNTO "+base, 250)
	return err
}

// Delete removes a file, or a folder with all that is in it, which Explorer
// removes one by one.
func (c *Client) Delete(ctx context.Context, name string) error {
	name = path.Clean("/" + name)
	entries, err := c.List(ctx, path.Dir(name))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name == path.Base(name) {
			return c.remove(ctx, path.Dir(name), e)
		}
	}
	return fmt.Errorf("%s: %w", name, ErrNotListed)
}

func (c *Client) remove(ctx context.Context, dir string, e Entry) error {
	verb := "DELE "
	if e.Folder {
		verb = "RMD "
		inside := path.Join(dir, e.Name)
		entries, err := c.List(ctx, inside)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := c.remove(ctx, inside, e); err != nil {
				return err
			}
		}
	}
	w, err := c.enter(ctx, dir)
	if err != nil {
		return err
	}
	_, err = w.do(verb+e.Name, 250)
	return err
}

// Close closes the window.
func (c *Client) Close() error {
	w := c.window
	c.window = nil
	if w == nil {
		return nil
	}
	return w.close()
}

// enter returns the window's connection, in a folder.
func (c *Client) enter(ctx context.Context, dir string) (*control, error) {
	switch {
	case c.window == nil:
		w, err := c.connect(ctx)
		if err != nil {
			return nil, err
		}
		c.window = w
	case c.Older:
		if _, err := c.window.do("noop", 200); err != nil {
			return nil, err
		}
	}
	return c.window, c.window.changeTo(dir)
}

// alone does something with a file over a connection of its own, in the file's
// folder.
func (c *Client) alone(ctx context.Context, name string, do func(w *control, base string) error) (err error) {
	name = path.Clean("/" + name)
	w, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.changeTo(path.Dir(name)); err != nil {
		return err
	}
	if _, err := w.do("TYPE I", 200); err != nil {
		return err
	}
	return do(w, path.Base(name))
}

// connect logs in, after the try without credentials if there was none.
func (c *Client) connect(ctx context.Context) (*control, error) {
	if !c.probed {
		if err := c.probe(ctx); err != nil {
			return nil, err
		}
		c.probed = true
	}
	w, err := dial(ctx, c.Address, c.Log)
	if err != nil {
		return nil, err
	}
	if err := c.login(w); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// probe is the login that Explorer tries before it asks for a password.
func (c *Client) probe(ctx context.Context) error {
	w, err := dial(ctx, c.Address, c.Log)
	if err != nil {
		return err
	}
	_, err = w.do("USER anonymous", 331)
	if err == nil {
		_, err = w.do("PASS IEUser@", 530)
	}
	if refused := new(ReplyError); errors.As(err, &refused) && refused.Code != 230 {
		err = nil // earlier than expected, or in other words
	}
	return errors.Join(err, w.close())
}

func (c *Client) login(w *control) error {
	if _, err := w.do("USER "+c.User, 331); err != nil {
		return err
	}
	if _, err := w.secret("PASS ", c.Password, 230); err != nil {
		return err
	}
	if _, err := w.do("opts utf8 on", 200); err != nil {
		return err
	}
	if c.Older {
		if _, err := w.do("syst", 215); err != nil {
			return err
		}
		if _, err := w.do("site help", 214); err != nil {
			return err
		}
	}
	_, err := w.do("PWD", 257)
	return err
}
