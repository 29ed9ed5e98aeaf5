package drop

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/server/folder"
)

const (
	// maxUploads is how many files of a session may be on their way, or wait for
	// their final names.
	maxUploads = 64
	// maxDelivered is of how many reports a session remembers the length and time.
	maxDelivered = 1000
)

// Publisher takes reports; *[publish.Publisher] is one.
type Publisher interface {
	Publish(ctx context.Context, d publish.Delivery, r io.Reader) (publish.Outcome, error)
}

// Config is what a [Folder] needs.
type Config struct {
	Publisher Publisher
	// Clients returns whom the producer may deliver to, in the order of ids, from
	// behind after and at most limit of them.
	Clients func(ctx context.Context, after string, limit int) ([]reports.ClientID, error)
	// Approve returns nil if the producer may deliver to a client now.
	// fs.ErrNotExist: it may not, and is told what it is told of clients that there
	// are not.
	Approve func(ctx context.Context, client reports.ClientID) error
	// Usage is what the producer is told of the space there is.
	Usage func(ctx context.Context) (folder.Usage, error)
	// Actor is who hands in, for the record.
	Actor string
	Now   func() time.Time
}

// Folder is one session's folders. It is safe for concurrent use.
type Folder struct {
	Config
	ctx    context.Context // ends with the session
	cancel context.CancelFunc
	began  time.Time
	ahead  allowance

	sealing sync.WaitGroup // one for each of the files that were begun

	mu        sync.Mutex
	uploads   map[reports.Name]*upload // on their way or staged
	delivered map[reports.Name]folder.Entry
	order     []reports.Name // of delivered, the oldest first
}

// New returns the folders of a session, which the caller must close.
func New(c Config) *Folder {
	ctx, cancel := context.WithCancel(context.Background())
	return &Folder{
		Config: c, ctx: ctx, cancel: cancel, began: c.Now(),
		uploads: map[reports.Name]*upload{}, delivered: map[reports.Name]folder.Entry{},
	}
}

// Close gives up what was not delivered, and returns when nothing is left of it.
func (f *Folder) Close() {
	f.cancel()
	f.mu.Lock()
	left := make([]*upload, 0, len(f.uploads))
	for _, u := range f.uploads {
		left = append(left, u)
	}
	f.mu.Unlock()
	for _, u := range left {
		u.abort(context.Canceled)
	}
	f.sealing.Wait()
}

// Staged reports whether a name is one that a file has only while it is being
// written, by the conventions of the programs that do so.
func Staged(base string) bool {
	base = strings.ToLower(base)
	if strings.HasPrefix(base, ".") {
		return true
	}
	for _, suffix := range []string{".part", ".partial", ".filepart", ".tmp"} {
		if strings.HasSuffix(base, suffix) {
			return true
		}
	}
	return false
}

// client returns the client whose folder a name is, or lies in. fs.ErrNotExist:
// there is no such folder for this producer.
func (f *Folder) client(ctx context.Context, name reports.Name) (reports.ClientID, error) {
	first := name.Segments()[0]
	id, err := reports.ParseClientID(first)
	if err != nil || id.String() != first {
		return id, notThere(name)
	}
	return id, f.Approve(ctx, id)
}

func notThere(name reports.Name) error { return fmt.Errorf("%s: %w", name, fs.ErrNotExist) }
func denied(name reports.Name) error   { return fmt.Errorf("%s: %w", name, fs.ErrPermission) }

func depth(name reports.Name) int { return len(name.Segments()) }

// Stat knows the folders, what is on its way, and what this session has delivered.
func (f *Folder) Stat(ctx context.Context, name reports.Name) (folder.Entry, error) {
	if depth(name) > 0 {
		if _, err := f.client(ctx, name); err != nil {
			return folder.Entry{}, err
		}
	}
	if depth(name) < 2 {
		return folder.Entry{Name: name, Folder: true, ModTime: f.began}, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if u, ok := f.uploads[name]; ok {
		return u.entry(), nil
	}
	if e, ok := f.delivered[name]; ok {
		return e, nil
	}
	return folder.Entry{}, notThere(name)
}

// List lists the clients, or what of a client's this session has not delivered yet.
func (f *Folder) List(ctx context.Context, dir reports.Name, after string, limit int) ([]folder.Entry, error) {
	switch depth(dir) {
	case 0:
		return f.listClients(ctx, after, limit)
	case 1:
	default:
		_, err := f.Stat(ctx, dir)
		if err == nil {
			err = fmt.Errorf("%s: %w", dir, reports.ErrNotFolder)
		}
		return nil, err
	}
	if _, err := f.client(ctx, dir); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []folder.Entry{}
	for name, u := range f.uploads {
		if name.Dir() == dir && name.Base() > after {
			list = append(list, u.entry())
		}
	}
	slices.SortFunc(list, func(a, b folder.Entry) int { return strings.Compare(a.Name.Base(), b.Name.Base()) })
	return list[:min(limit, len(list))], nil
}

func (f *Folder) listClients(ctx context.Context, after string, limit int) ([]folder.Entry, error) {
	ids, err := f.Clients(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	list := make([]folder.Entry, 0, len(ids))
	for _, id := range ids {
		name, err := reports.ParseSegment(id.String())
		if err != nil {
			return nil, err
		}
		list = append(list, folder.Entry{Name: name, Folder: true, ModTime: f.began})
	}
	return list, nil
}

// Open refuses: nothing here can be read.
func (f *Folder) Open(ctx context.Context, name reports.Name) (folder.File, error) {
	if _, err := f.Stat(ctx, name); err != nil {
		return nil, err
	}
	return nil, denied(name)
}

// Create begins a report, or a file that is to become one.
func (f *Folder) Create(ctx context.Context, name reports.Name, mode folder.CreateMode) (folder.Upload, error) {
	if depth(name) == 0 {
		return nil, fmt.Errorf("%s: %w", name, reports.ErrIsFolder)
	}
	client, err := f.client(ctx, name)
	switch {
	case err != nil:
		return nil, err
	case depth(name) == 1:
		return nil, fmt.Errorf("%s: %w", name, reports.ErrIsFolder)
	case depth(name) > 2:
		return nil, notThere(name.Dir())
	}
	if _, err := reports.ParseSegment(name.Base() + publish.Suffix); err != nil && !Staged(name.Base()) {
		return nil, err // too long; better said now than at the end
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() != nil {
		return nil, f.ctx.Err()
	}
	before, there := f.uploads[name]
	_, delivered := f.delivered[name]
	switch {
	case there && !before.waiting():
		return nil, fmt.Errorf("%s: %w", name, reports.ErrBusy)
	case there && mode == folder.Exclusive:
		return nil, fmt.Errorf("%s: %w", name, fs.ErrExist)
	case mode == folder.Continue && (there || delivered):
		return nil, fmt.Errorf("%s: %w", name, reports.ErrNotResumable)
	case !there && len(f.uploads) >= maxUploads:
		return nil, fmt.Errorf("%s: %w", name, reports.ErrTooMany)
	case there:
		before.abort(context.Canceled) // begun anew
	}
	u := newUpload(f, client, name)
	f.uploads[name] = u
	return u, nil
}

// Remove gives up a file that has no final name yet.
func (f *Folder) Remove(ctx context.Context, name reports.Name) error {
	if _, err := f.Stat(ctx, name); err != nil {
		return err
	}
	f.mu.Lock()
	u, ok := f.uploads[name]
	f.mu.Unlock()
	switch {
	case !ok:
		return denied(name)
	case !u.waiting():
		return fmt.Errorf("%s: %w", name, reports.ErrBusy)
	}
	u.abort(context.Canceled)
	<-u.done
	f.forget(u)
	return nil
}

// Rename gives a file that was closed another name. With a final one it is
// delivered, and replace makes no difference.
func (f *Folder) Rename(ctx context.Context, from, to reports.Name, _ bool) error {
	if _, err := f.Stat(ctx, from); err != nil {
		return err
	}
	if depth(from) != 2 || depth(to) != 2 || from.Dir() != to.Dir() {
		return denied(to) // it is sealed to its client already
	}
	f.mu.Lock()
	u, ok := f.uploads[from]
	_, taken := f.uploads[to]
	switch {
	case !ok:
		f.mu.Unlock()
		return denied(from)
	case !u.waiting() || taken && from != to:
		f.mu.Unlock()
		return fmt.Errorf("%s: %w", to, reports.ErrBusy)
	}
	delete(f.uploads, from)
	f.uploads[to] = u
	u.rename(to)
	f.mu.Unlock()
	if Staged(to.Base()) {
		return nil
	}
	return u.land(ctx)
}

// Mkdir refuses: the folders are those of the clients.
func (f *Folder) Mkdir(ctx context.Context, name reports.Name) error {
	if _, err := f.Stat(ctx, name); err == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	return denied(name)
}

// RemoveFolder refuses.
func (f *Folder) RemoveFolder(_ context.Context, name reports.Name) error { return denied(name) }

// Chtimes sets the time of what is on its way. What was delivered keeps its time.
func (f *Folder) Chtimes(ctx context.Context, name reports.Name, mtime time.Time) error {
	if _, err := f.Stat(ctx, name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if u, ok := f.uploads[name]; ok {
		u.setModified(mtime)
	}
	return nil
}

// Usage says how much space there is.
func (f *Folder) Usage(ctx context.Context) (folder.Usage, error) { return f.Config.Usage(ctx) }

// forget takes an upload off the list, unless another has its name by now.
func (f *Folder) forget(u *upload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name := u.entry().Name; f.uploads[name] == u {
		delete(f.uploads, name)
	}
}

// arrived remembers a report that was delivered.
func (f *Folder) arrived(u *upload) {
	e := u.entry()
	f.forget(u)
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.delivered[e.Name]; !ok {
		f.order = append(f.order, e.Name)
	}
	f.delivered[e.Name] = e
	if len(f.order) > maxDelivered {
		delete(f.delivered, f.order[0])
		f.order = f.order[1:]
	}
}
