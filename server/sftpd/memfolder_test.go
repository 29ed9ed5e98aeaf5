package sftpd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

// memFolder is a client's folder in memory.
type memFolder struct {
	mu      sync.Mutex
	nodes   map[string]*node
	partial map[string]*node // interrupted and current uploads
	busy    map[string]bool
	calls   []string

	// fail, if set, may answer instead of any operation.
	fail func(op string, name reports.Name) error
}

type node struct {
	folder bool
	data   []byte
	mtime  time.Time
	size   int64 // of a file of zeroes, when data is nil
}

func newMemFolder() *memFolder {
	return &memFolder{nodes: map[string]*node{"": {folder: true}}, partial: map[string]*node{}, busy: map[string]bool{}}
}

func (n *node) length() int64 {
	if n.data == nil {
		return n.size
	}
	return int64(len(n.data))
}

func (m *memFolder) put(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes[name] = &node{data: data, mtime: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

func (m *memFolder) content(name string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.nodes[name]
	if !ok {
		return nil, false
	}
	return bytes.Clone(n.data), true
}

func (m *memFolder) enter(op string, name reports.Name) error {
	m.mu.Lock()
	m.calls = append(m.calls, op+" "+name.String())
	fail := m.fail
	m.mu.Unlock()
	if fail != nil {
		return fail(op, name)
	}
	return nil
}

func (m *memFolder) entry(name reports.Name, n *node) folder.Entry {
	return folder.Entry{Name: name, Folder: n.folder, Size: n.length(), ModTime: n.mtime}
}

func (m *memFolder) Stat(_ context.Context, name reports.Name) (folder.Entry, error) {
	if err := m.enter("stat", name); err != nil {
		return folder.Entry{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, ok := m.partial[name.String()]; ok {
		return m.entry(name, n), nil
	}
	if n, ok := m.nodes[name.String()]; ok {
		return m.entry(name, n), nil
	}
	return folder.Entry{}, fs.ErrNotExist
}

func (m *memFolder) List(_ context.Context, dir reports.Name, after string, limit int) ([]folder.Entry, error) {
	if err := m.enter("list", dir); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch n, ok := m.nodes[dir.String()]; {
	case !ok:
		return nil, fs.ErrNotExist
	case !n.folder:
		return nil, reports.ErrNotFolder
	}
	var out []folder.Entry
	for _, key := range slices.Sorted(maps.Keys(m.nodes)) {
		name, _ := reports.ParseName(key)
		if key == "" || name.Dir() != dir || name.Base() <= after {
			continue
		}
		out = append(out, m.entry(name, m.nodes[key]))
		if len(out) == limit {
			break
		}
	}
	return out, nil
}

func (m *memFolder) Open(_ context.Context, name reports.Name) (folder.File, error) {
	if err := m.enter("open", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch n, ok := m.nodes[name.String()]; {
	case !ok:
		return nil, fs.ErrNotExist
	case n.folder:
		return nil, reports.ErrIsFolder
	default:
		return &memFile{n: n}, nil
	}
}

func (m *memFolder) Create(_ context.Context, name reports.Name, mode folder.CreateMode) (folder.Upload, error) {
	if err := m.enter("create", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := name.String()
	old, exists := m.nodes[key]
	if m.busy[key] {
		return nil, reports.ErrBusy
	}
	if exists && old.folder {
		return nil, reports.ErrIsFolder
	}
	if exists && mode == folder.Exclusive {
		return nil, fs.ErrExist
	}
	if p, ok := m.nodes[name.Dir().String()]; !ok || !p.folder {
		return nil, fs.ErrNotExist
	}
	n := &node{data: []byte{}}
	if mode == folder.Continue {
		if p, ok := m.partial[key]; ok {
			n = p
		} else if exists {
			n.data = bytes.Clone(old.data)
		}
	}
	m.partial[key], m.busy[key] = n, true
	return &memUpload{m: m, key: key, n: n}, nil
}

func (m *memFolder) Remove(_ context.Context, name reports.Name) error {
	if err := m.enter("remove", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.nodes[name.String()]
	switch {
	case !ok:
		return fs.ErrNotExist
	case n.folder:
		return reports.ErrIsFolder
	}
	delete(m.nodes, name.String())
	return nil
}

func (m *memFolder) RemoveFolder(_ context.Context, name reports.Name) error {
	if err := m.enter("rmdir", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.nodes[name.String()]
	switch {
	case !ok:
		return fs.ErrNotExist
	case !n.folder:
		return reports.ErrNotFolder
	case name.IsRoot():
		return fs.ErrPermission
	}
	for key := range m.nodes {
		if strings.HasPrefix(key, name.String()+"/") {
			return reports.ErrNotEmpty
		}
	}
	delete(m.nodes, name.String())
	return nil
}

func (m *memFolder) Rename(_ context.Context, from, to reports.Name, replace bool) error {
	if err := m.enter("rename", from); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n, ok := m.nodes[from.String()]
	if !ok {
		return fs.ErrNotExist
	}
	if _, taken := m.nodes[to.String()]; taken && !replace {
		return fs.ErrExist
	}
	delete(m.nodes, from.String())
	m.nodes[to.String()] = n
	return nil
}

func (m *memFolder) Mkdir(_ context.Context, name reports.Name) error {
	if err := m.enter("mkdir", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.nodes[name.String()]; ok {
		return fs.ErrExist
	}
	m.nodes[name.String()] = &node{folder: true, mtime: time.Now()}
	return nil
}

func (m *memFolder) Chtimes(_ context.Context, name reports.Name, mtime time.Time) error {
	if err := m.enter("chtimes", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, ok := m.partial[name.String()]; ok {
		n.mtime = mtime
		return nil
	}
	n, ok := m.nodes[name.String()]
	if !ok {
		return fs.ErrNotExist
	}
	n.mtime = mtime
	return nil
}

func (m *memFolder) Usage(context.Context) (folder.Usage, error) {
	return folder.Usage{Bytes: 1 << 20, Files: 3, FreeBytes: 1 << 30, FreeFiles: 1000}, nil
}

type memFile struct{ n *node }

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if f.n.data != nil {
		return bytes.NewReader(f.n.data).ReadAt(p, off)
	}
	if off >= f.n.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), f.n.size-off))
	clear(p[:n])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
func (f *memFile) Size() int64       { return f.n.length() }
func (*memFile) TransferError(error) {}
func (*memFile) Close() error        { return nil }

type memUpload struct {
	m      *memFolder
	key    string
	n      *node
	failed bool
}

// maxMemUpload keeps a fuzzer from making a file of 2^62 bytes.
const maxMemUpload = 64 << 20

func (f *memFile) SendTo(io.Writer, int64) (int64, error) { return 0, errors.ErrUnsupported }
func (u *memUpload) ReadFrom(io.Reader) (int64, error)    { return 0, errors.ErrUnsupported }
func (u *memUpload) Truncate(int64) error                 { return errors.ErrUnsupported }

func (u *memUpload) WriteAt(p []byte, off int64) (int, error) {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	end := off + int64(len(p))
	if end > maxMemUpload {
		return 0, reports.ErrNoSpace
	}
	if grow := end - int64(len(u.n.data)); grow > 0 {
		u.n.data = append(u.n.data, make([]byte, grow)...)
	}
	return copy(u.n.data[off:], p), nil
}

func (u *memUpload) ReadAt(p []byte, off int64) (int, error) {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	return bytes.NewReader(u.n.data).ReadAt(p, off)
}

func (u *memUpload) Size() int64 {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	return int64(len(u.n.data))
}

func (u *memUpload) TransferError(error) { u.failed = true }

func (u *memUpload) Close() error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	delete(u.m.busy, u.key)
	if u.failed {
		return nil
	}
	delete(u.m.partial, u.key)
	if u.n.mtime.IsZero() {
		u.n.mtime = time.Now()
	}
	u.m.nodes[u.key] = u.n
	return nil
}

// manyNames is a folder that finds a page as an index does.
type manyNames struct {
	*memFolder
	entries []folder.Entry
}

func newManyNames(n int) *manyNames {
	m := &manyNames{memFolder: newMemFolder()}
	for i := range n {
		m.entries = append(m.entries, folder.Entry{Name: must(reports.ParseName(name(i))), Size: int64(i), ModTime: time.Unix(1.7e9, 0)})
	}
	return m
}

func (m *manyNames) List(_ context.Context, _ reports.Name, after string, limit int) ([]folder.Entry, error) {
	i, found := slices.BinarySearchFunc(m.entries, after, func(e folder.Entry, s string) int { return strings.Compare(e.Name.Base(), s) })
	if found {
		i++
	}
	return slices.Clone(m.entries[i:min(i+limit, len(m.entries))]), nil
}
