package sftpd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/server/folder"
	"github.com/sealdrop/sealdrop/server/folder/foldertest"
	"github.com/sealdrop/sealdrop/server/sftpd"
)

// TestConformance runs the suite for folders through a real client over SSH.
func TestConformance(t *testing.T) {
	t.Parallel()
	foldertest.Run(t, func(t *testing.T) foldertest.Gateway {
		g := startWithStore(t)
		return foldertest.Gateway{
			Session: func(client string) foldertest.Folder { return &remoteFolder{g: g, user: client} },
			SHA256:  func(client string, name reports.Name) string { return g.lookup(client, name).SHA256 },
			Collected: func(client string, name reports.Name) bool {
				g.flush()
				return g.lookup(client, name).State == reports.Collected
			},
			Lacks: map[foldertest.Ability]string{
				foldertest.CutBack: "sFTP's SETSTAT with another size is refused, for it would cut off a file that others read",
			},
		}
	})
}

// TestClientThatIsGoneLooksLikeAFaultOfTheGateway: clients lose their connections
// every day, and an operator who is called for each learns not to come.
func TestClientThatIsGoneLooksLikeAFaultOfTheGateway(t *testing.T) {
	t.Parallel()
	g := startWithStore(t)
	f := &remoteFolder{g: g, user: "one"}
	u, err := f.Create(t.Context(), must(reports.ParseName("half")), folder.Truncate)
	if err == nil {
		_, err = u.WriteAt([]byte("hello"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.cut()
	if log := g.log.String(); strings.Contains(log, "level=ERROR") || !strings.Contains(log, "an upload was broken off") {
		t.Errorf("the log says:\n%s", log)
	}
}

// storeGateway is a server over a real store, with the clients one and two.
type storeGateway struct {
	*harness
	store *folder.Store
}

func startWithStore(t testing.TB) *storeGateway {
	t.Helper()
	dir := t.TempDir()
	db, err := database.Open(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, id := range []string{"one", "two"} {
		err := db.Write(context.Background(), func(tx *database.Tx) error {
			return tx.InsertClient(tx.Context(), query.InsertClientParams{ID: id, Name: id})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	blobs := must(blob.OpenDir(filepath.Join(dir, "blobs")))
	t.Cleanup(func() { blobs.Close() })
	log := slog.New(slog.DiscardHandler)
	c := catalog.New(db, time.Now)
	g := &storeGateway{store: &folder.Store{Catalog: c, Blobs: blobs, Recorder: folder.NewRecorder(c, log), Now: time.Now, Log: log}}
	t.Cleanup(func() { g.store.Recorder.Close() })
	g.harness = start(t, options{config: func(cfg *sftpd.Config) {
		cfg.Gate = &storeGate{testGate: cfg.Gate.(*testGate), store: g.store}
	}})
	for _, user := range []string{"one", "two"} {
		g.gate.register(user, g.key.PublicKey())
	}
	return g
}

// storeGate gives each session a folder of the store.
type storeGate struct {
	*testGate
	store *folder.Store
}

func (g *storeGate) Login(ctx context.Context, a sftpd.Attempt, end func(string)) (sftpd.Session, error) {
	s, err := g.testGate.Login(ctx, a, end)
	if err != nil {
		return nil, err
	}
	return storeSession{s, g.store.Folder(folder.Session{
		Client: must(reports.ParseClientID(a.User)), Retention: 24 * time.Hour, Protocol: "sftp",
		Address: "127.0.0.1", Fingerprint: a.Fingerprint, Evidence: "CLOSE",
	})}, nil
}

type storeSession struct {
	sftpd.Session
	folder *folder.FS
}

func (s storeSession) Folder() sftpd.Folder { return s.folder }

func (g *storeGateway) lookup(client string, name reports.Name) reports.Report {
	g.t.Helper()
	r, err := g.store.Catalog.Lookup(context.Background(), must(reports.ParseClientID(client)), name)
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

// flush waits for the receipts under way, while no session can be at the recorder.
func (g *storeGateway) flush() {
	g.gate.mu.Lock()
	defer g.gate.mu.Unlock()
	g.store.Recorder.Close()
	g.store.Recorder = folder.NewRecorder(g.store.Catalog, g.store.Log)
}

// sessions is how many the server holds open.
func (g *storeGateway) sessions() int {
	g.gate.mu.Lock()
	defer g.gate.mu.Unlock()
	return g.gate.open
}

// remoteFolder is a folder at the other end of a connection, which is made when it
// is needed, and made again after it was cut.
type remoteFolder struct {
	g    *storeGateway
	user string

	mu     sync.Mutex
	conn   *ssh.Client
	client *sftp.Client
}

var _ foldertest.Folder = (*remoteFolder)(nil)

func (r *remoteFolder) sftp() *sftp.Client {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return r.client
	}
	cfg := r.g.clientConfig()
	cfg.User = r.user
	conn, err := ssh.Dial("tcp", r.g.addr, cfg)
	if err != nil {
		panic(err) // not Fatal: the suite calls from several goroutines
	}
	r.g.t.Cleanup(func() { _ = conn.Close() })
	r.conn, r.client = conn, must(sftp.NewClient(conn))
	return r.client
}

// cut breaks the connection off, and returns when the server has noticed.
func (r *remoteFolder) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.g.sessions()
	_ = r.conn.Close()
	eventually(r.g.t, "the server notices that the client is gone", func() bool { return r.g.sessions() < before })
	r.conn, r.client = nil, nil
}

func remote(name reports.Name) string { return "/" + name.String() }

func (r *remoteFolder) Stat(_ context.Context, name reports.Name) (folder.Entry, error) {
	info, err := r.sftp().Stat(remote(name))
	if err != nil {
		return folder.Entry{}, meant(err)
	}
	return entryFrom(name, info), nil
}

func entryFrom(name reports.Name, info fs.FileInfo) folder.Entry {
	return folder.Entry{Name: name, Folder: info.IsDir(), Size: info.Size(), ModTime: info.ModTime()}
}

// List picks its page out of the whole listing: the protocol's pages have no
// beginning that a client could choose.
func (r *remoteFolder) List(_ context.Context, dir reports.Name, after string, limit int) ([]folder.Entry, error) {
	infos, err := r.sftp().ReadDir(remote(dir))
	if err != nil {
		return nil, meant(err)
	}
	var page []folder.Entry
	for _, info := range infos {
		if info.Name() > after && len(page) < limit {
			page = append(page, entryFrom(must(reports.ParseName(path.Join(remote(dir), info.Name()))), info))
		}
	}
	return page, nil
}

func (r *remoteFolder) Open(_ context.Context, name reports.Name) (folder.File, error) {
	f, err := r.sftp().Open(remote(name))
	if err != nil {
		return nil, meant(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(meant(err), f.Close())
	}
	return &remoteFile{File: f, folder: r, size: info.Size()}, nil
}

func (r *remoteFolder) Create(_ context.Context, name reports.Name, mode folder.CreateMode) (folder.Upload, error) {
	how := map[folder.CreateMode]int{folder.Truncate: os.O_TRUNC, folder.Exclusive: os.O_EXCL}[mode]
	f, err := r.sftp().OpenFile(remote(name), os.O_WRONLY|os.O_CREATE|how)
	if err != nil {
		return nil, meant(err)
	}
	return &remoteUpload{File: f, folder: r}, nil
}

// Remove says REMOVE and nothing else: the client library would try RMDIR after it.
func (r *remoteFolder) Remove(_ context.Context, name reports.Name) error {
	r.sftp()
	const remove, status = 13, 101
	s := must(r.conn.NewSession())
	defer s.Close()
	in := &raw{r.g.t, must(s.StdinPipe()), must(s.StdoutPipe())}
	if err := s.RequestSubsystem("sftp"); err != nil {
		return err
	}
	in.send(1, req(3))
	in.receive()
	in.send(remove, req(1, remote(name)))
	typ, body := in.receive()
	if typ != status || len(body) < 12 {
		return fmt.Errorf("the answer to REMOVE is of type %d", typ)
	}
	code := binary.BigEndian.Uint32(body[4:])
	text := body[12:min(len(body), 12+int(binary.BigEndian.Uint32(body[8:])))]
	switch code {
	case 0:
		return nil
	case 2:
		return fs.ErrNotExist
	}
	return meant(errors.New(string(text)))
}

func (r *remoteFolder) RemoveFolder(_ context.Context, name reports.Name) error {
	return meant(r.sftp().RemoveDirectory(remote(name)))
}

func (r *remoteFolder) Rename(_ context.Context, from, to reports.Name, replace bool) error {
	if replace {
		return meant(r.sftp().PosixRename(remote(from), remote(to)))
	}
	return meant(r.sftp().Rename(remote(from), remote(to)))
}

func (r *remoteFolder) Mkdir(_ context.Context, name reports.Name) error {
	return meant(r.sftp().Mkdir(remote(name)))
}

func (r *remoteFolder) Chtimes(_ context.Context, name reports.Name, mtime time.Time) error {
	return meant(r.sftp().Chtimes(remote(name), mtime, mtime))
}

func (r *remoteFolder) Usage(context.Context) (folder.Usage, error) {
	v, err := r.sftp().StatVFS("/")
	if err != nil {
		return folder.Usage{}, meant(err)
	}
	return folder.Usage{
		Bytes: int64((v.Blocks - v.Bfree) * v.Bsize), FreeBytes: int64(v.Bavail * v.Bsize),
		Files: int64(v.Files - v.Ffree), FreeFiles: int64(v.Favail),
	}, nil
}

// meant is the error that a status stands for. That the client can tell them apart
// is what is tested.
func meant(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	for text, meaning := range map[string]error{
		"the name is taken": fs.ErrExist, "not a folder": reports.ErrNotFolder, "is a folder": reports.ErrIsFolder,
		"the folder is not empty": reports.ErrNotEmpty, "invalid request": fs.ErrInvalid,
		"the name is being written by another session": reports.ErrBusy,
		reports.ErrNotResumable.Error():                reports.ErrNotResumable,
		reports.ErrIncomplete.Error():                  reports.ErrIncomplete, reports.ErrTooLarge.Error(): reports.ErrTooLarge,
	} {
		if strings.Contains(err.Error(), text) {
			return fmt.Errorf("%w: %w", meaning, err)
		}
	}
	return err
}

// remoteFile is a file that is open for reading.
type remoteFile struct {
	*sftp.File
	folder *remoteFolder
	size   int64 // when it was opened
	broken bool
}

func (f *remoteFile) SendTo(w io.Writer, off int64) (int64, error) {
	if _, err := f.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return f.WriteTo(w)
}

func (f *remoteFile) Size() int64 { return f.size }

func (f *remoteFile) TransferError(error) { f.broken = true }

// Close closes the file, or breaks the connection off.
func (f *remoteFile) Close() error {
	if f.broken {
		f.folder.cut()
		return nil
	}
	return meant(f.File.Close())
}

// remoteUpload is a file that is open for writing.
type remoteUpload struct {
	*sftp.File
	folder *remoteFolder
	err    error // why the transfer is broken off
}

func (u *remoteUpload) WriteAt(p []byte, off int64) (int, error) {
	n, err := u.File.WriteAt(p, off)
	return n, meant(err)
}

func (u *remoteUpload) ReadFrom(r io.Reader) (int64, error) {
	if _, err := u.Seek(u.Size(), io.SeekStart); err != nil {
		return 0, err
	}
	return u.File.ReadFrom(r)
}

// Size asks by the name, which in this session means the upload.
func (u *remoteUpload) Size() int64 {
	info, err := u.Stat()
	if err != nil {
		return -1
	}
	return info.Size()
}

func (u *remoteUpload) TransferError(err error) { u.err = err }

// Close closes the file, or breaks the connection off.
func (u *remoteUpload) Close() error {
	if u.err == nil {
		return meant(u.File.Close())
	}
	u.folder.cut()
	return u.err
}
