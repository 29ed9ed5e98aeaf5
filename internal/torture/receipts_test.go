package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/retention"
	"github.com/sealdrop/sealdrop/server/folder"
)

// fetchings is how many files a run has fetched, each in several transfers that
// are mostly cut; TORTURE_FETCHES changes it.
const fetchings = 150

// TestReceipts has clients fetch files over sFTP and FTP, in ranges, one after the
// other or several at once, and cuts most transfers at a random byte. Each client
// keeps account of what it got. A file may be collected only if its client got
// every byte of it, and must be if it got every byte in transfers that ended well.
func TestReceipts(t *testing.T) {
	t.Parallel()
	r := newReceipts(t)
	total := number(t, "TORTURE_FETCHES", fetchings)
	rolls := dice(t, 3000)
	var lanes sync.WaitGroup
	var next atomic.Int64
	for range 4 {
		mine := rand.New(rand.NewPCG(rolls.Uint64(), rolls.Uint64()))
		lanes.Go(func() {
			for i := next.Add(1); i <= int64(total) && !t.Failed(); i = next.Add(1) {
				r.fetching(mine, int(i))
			}
		})
	}
	lanes.Wait()
	r.judgeAgain()
	t.Logf("%d files in %d transfers, %d of them cut: %d collected, %d not; %d false, %d missing",
		total, r.transfers.Load(), r.cut.Load(), r.collected.Load(), r.published.Load(), r.lies.Load(), r.missing.Load())
	if r.collected.Load() == 0 || r.published.Load() == 0 || r.cut.Load() == 0 {
		t.Error("the run proves too little")
	}
}

type receipts struct {
	*inner
	client    reports.ClientID
	sftp, ftp string // addresses
	signer    ssh.Signer

	mu    sync.Mutex
	apart []*fetched // which their clients do not have whole

	transfers, cut, collected, published, lies, missing atomic.Int64
}

func newReceipts(t *testing.T) *receipts {
	r := &receipts{inner: newInner(t, time.Now(), retention.Policy{}), signer: newSigner(t)}
	r.client = r.addClient("one")
	session := func(protocol string) func() *folder.FS {
		return func() *folder.FS {
			return r.store.Folder(folder.Session{Client: r.client, Retention: 100 * day, Protocol: protocol, Address: "127.0.0.1"})
		}
	}
	r.sftp, r.ftp = serveSFTP(t, session("sftp")), serveFTP(t, session("ftp"))
	return r
}

// fetched is a file, and what its client knows that it got.
type fetched struct {
	name    string
	content []byte

	mu   sync.Mutex
	got  reports.Coverage // in whatever transfer
	well reports.Coverage // in transfers that ended well
}

func (f *fetched) add(c *reports.Coverage, from, to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Add(from, to)
}

func (f *fetched) merge(c *reports.Coverage, all reports.Coverage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Merge(all)
}

// fetching is the life of one file: it is fetched in some transfers, and then its
// state is compared with what the client knows.
func (r *receipts) fetching(d *rand.Rand, i int) {
	f := &fetched{name: fmt.Sprint("file", i), content: make([]byte, pickOne(d, 1, 100, 5_000, 70_000, 300_000, 1_500_000))}
	for j := range f.content {
		f.content[j] = byte(j*7 + j>>8 + i)
	}
	r.put(f)
	var tasks []func()
	for range 1 + d.IntN(4) {
		mine, ftp := rand.New(rand.NewPCG(d.Uint64(), d.Uint64())), d.IntN(2) == 0
		tasks = append(tasks, func() {
			r.transfers.Add(1)
			if ftp {
				r.overFTP(mine, f)
			} else {
				r.overSFTP(mine, f)
			}
		})
	}
	var group sync.WaitGroup
	together := d.IntN(2) == 0
	for _, task := range tasks {
		group.Go(task)
		if !together {
			group.Wait()
		}
	}
	group.Wait()
	r.judge(f)
}

func (r *receipts) put(f *fetched) {
	u, err := r.store.Folder(folder.Session{Client: r.client, Retention: 100 * day}).Create(r.t.Context(), r.name(f.name), folder.Truncate)
	if err == nil {
		_, err = u.WriteAt(f.content, 0)
		err = errors.Join(err, u.Close())
	}
	if err != nil {
		r.t.Error(err)
	}
}

// receiptTime is how long a receipt may come after its transfer, at the most; one
// that must not come is waited for much shorter, and looked for again at the end.
const receiptTime = time.Minute

// judge compares what the gateway believes with what the client knows.
func (r *receipts) judge(f *fetched) {
	size := int64(len(f.content))
	must, may := f.well.Whole(size), f.got.Whole(size)
	var state reports.State
	wait := 30 * time.Millisecond
	if must {
		wait = receiptTime
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(5 * time.Millisecond) {
		file, err := r.catalog.Lookup(r.t.Context(), r.client, r.name(f.name))
		if err != nil {
			r.t.Errorf("looking %s up: %v", f.name, err)
			return
		}
		if state = file.State; state == reports.Collected || time.Now().After(deadline) {
			break
		}
	}
	switch {
	case state == reports.Collected && !may:
		r.lies.Add(1)
		r.t.Errorf("%s of %d bytes is collected, and its client got %s", f.name, size, f.got.String())
	case state != reports.Collected && must:
		r.missing.Add(1)
		r.t.Errorf("%s of %d bytes is not collected, and its client got %s", f.name, size, f.well.String())
	}
	if state == reports.Collected {
		r.collected.Add(1)
		return
	}
	r.published.Add(1)
	if !may {
		r.mu.Lock()
		r.apart = append(r.apart, f)
		r.mu.Unlock()
	}
}

// judgeAgain looks once more for receipts that must not be there and came late.
func (r *receipts) judgeAgain() {
	time.Sleep(500 * time.Millisecond)
	for _, f := range r.apart {
		file, err := r.catalog.Lookup(r.t.Context(), r.client, r.name(f.name))
		r.must("looking a file up", err)
		if file.State == reports.Collected {
			r.lies.Add(1)
			r.t.Errorf("%s is collected, and its client got %s", f.name, f.got.String())
		}
	}
}

// leaving is how a client leaves off.
type leaving int

const (
	well  leaving = iota
	reset         // as a crash of the machine, or a firewall, has it
	shut          // as a program that is killed has it
)

func choose(d *rand.Rand) leaving { return pickOne(d, well, reset, shut) }

// cutOff ends a connection at once.
func cutOff(conn net.Conn, how leaving) {
	if tcp, ok := conn.(*net.TCPConn); ok && how == reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// overFTP fetches a file from some offset on to its end, or to where it is cut.
func (r *receipts) overFTP(d *rand.Rand, f *fetched) {
	size := int64(len(f.content))
	c, err := dialFTP(r.ftp)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer c.Close()
	var from int64
	if d.IntN(2) == 0 {
		from = d.Int64N(size)
	}
	how, stop := choose(d), size
	if how != well {
		r.cut.Add(1)
		stop = from + d.Int64N(size-from+1)
	}
	data, err := c.retrieve(f.name, from)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer data.Close()
	if d.IntN(4) == 0 {
		_ = data.SetReadBuffer(128 << 10)
	}
	got := make([]byte, stop-from)
	n, err := io.ReadFull(data, got)
	f.add(&f.got, from, from+int64(n))
	if err != nil || !bytes.Equal(got, f.content[from:stop]) {
		r.t.Errorf("%s from %d: %d bytes, %v", f.name, from, n, err)
		return
	}
	if how != well {
		if d.IntN(2) == 0 {
			cutOff(c.Conn, how) // the control connection first
		}
		cutOff(data, how)
		return
	}
	if n, err := data.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		r.t.Errorf("%s does not end: %v", f.name, err)
		return
	}
	_ = data.Close()
	if _, err := c.do("", "226"); err != nil {
		r.t.Error(err)
		return
	}
	f.add(&f.well, from, size)
}

// overSFTP reads ranges of a file, several at once, and closes it or has the
// connection cut after some number of bytes has come over it, be it in the middle
// of a packet.
func (r *receipts) overSFTP(d *rand.Rand, f *fetched) {
	size := int64(len(f.content))
	how := choose(d)
	conn, err := net.Dial("tcp", r.sftp)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	limited := &cutConn{Conn: conn, how: how}
	if how != well {
		r.cut.Add(1)
		limited.left.Store(2_000 + d.Int64N(size+size/20+4_000)) // the login is some 2,000 bytes
	}
	var all reports.Coverage
	err = r.readOver(limited, d, f, &all)
	f.merge(&f.got, all)
	if how == well && err != nil {
		r.t.Errorf("%s over sFTP: %v", f.name, err)
	}
	if err == nil {
		f.merge(&f.well, all)
	}
}

// readOver returns nil if the file was closed well. What came is added to all in
// any case.
func (r *receipts) readOver(conn net.Conn, d *rand.Rand, f *fetched, all *reports.Coverage) error {
	transport, channels, requests, err := ssh.NewClientConn(conn, r.sftp, &ssh.ClientConfig{
		User: "one", Auth: []ssh.AuthMethod{ssh.PublicKeys(r.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return err
	}
	client := ssh.NewClient(transport, channels, requests)
	defer client.Close()
	session, err := sftp.NewClient(client)
	if err != nil {
		return err
	}
	defer session.Close()
	file, err := session.Open(f.name)
	if err != nil {
		return err
	}
	err = r.readRanges(file, d, f, all)
	return errors.Join(err, file.Close())
}

func (r *receipts) readRanges(file *sftp.File, d *rand.Rand, f *fetched, all *reports.Coverage) error {
	size := int64(len(f.content))
	const lanes = 3
	bounds := []int64{0, size / lanes, 2 * size / lanes, size}
	if d.IntN(2) == 0 { // some bytes are left out
		bounds[0], bounds[lanes] = d.Int64N(bounds[1]+1), size-d.Int64N(size-bounds[2]+1)
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	failed := make([]error, lanes)
	for i := range lanes {
		step := 1 + d.Int64N(size/lanes+1)
		group.Go(func() {
			for from := bounds[i]; from < bounds[i+1]; from += step {
				piece := make([]byte, min(step, bounds[i+1]-from))
				n, err := file.ReadAt(piece, from)
				if !bytes.Equal(piece[:n], f.content[from:from+int64(n)]) {
					r.t.Errorf("%s from %d has other content", f.name, from)
				}
				mu.Lock()
				all.Add(from, from+int64(n))
				mu.Unlock()
				if err != nil && err != io.EOF {
					failed[i] = err
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

// cutConn is cut once so many bytes have come over it, if how is not well.
type cutConn struct {
	net.Conn
	how  leaving
	left atomic.Int64
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.how == well {
		return c.Conn.Read(p)
	}
	left := c.left.Load()
	if left <= 0 {
		cutOff(c.Conn, c.how)
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(-int64(n))
	return n, err
}
