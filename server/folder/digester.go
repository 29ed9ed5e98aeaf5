package folder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Digester computes the digests of long uploads behind the transfers' backs: a
// client that has sent a gigabyte need not wait until the gateway has hashed it.
// What is to be done stands in the catalog, so that neither a crash nor a stop
// loses any of it: the next Digester begins with what the last one left.
type Digester struct {
	catalog *catalog.Catalog
	blobs   *blob.Dir
	log     *slog.Logger
	wake    chan struct{} // holds one: a pass is wanted
	stop    context.CancelFunc
	running sync.WaitGroup

	// The goroutine's own.
	buffer     []byte
	unreadable map[string]bool // blobs that were given up until the next start
}

const (
	// maxInline is how long, in bytes, an upload that came as a stream may be to
	// have its digest computed before its client is answered. It takes a
	// millisecond, less than the disk's syncs.
	maxInline = 1 << 20
	// digestPiece is how much is hashed before a Close is noticed.
	digestPiece = 256 << 10
	// digestPage is how many entries are listed at a time.
	digestPage = 100
	// digestRetry is when a pass that the catalog ended with an error is begun
	// anew.
	digestRetry = time.Minute
)

// NewDigester starts a digester on what has no digest yet. Close it before the
// catalog and the blob store.
func NewDigester(c *catalog.Catalog, blobs *blob.Dir, log *slog.Logger) *Digester {
	ctx, stop := context.WithCancel(context.Background())
	d := &Digester{
		catalog: c, blobs: blobs, log: log, wake: make(chan struct{}, 1), stop: stop,
		buffer: make([]byte, digestPiece), unreadable: map[string]bool{},
	}
	d.running.Go(func() { d.run(ctx) })
	return d
}

// Wake tells that something was published without a digest. It never blocks, and
// after Close does nothing.
func (d *Digester) Wake() {
	select {
	case d.wake <- struct{}{}:
	default: // the next pass is wanted already, and will find this one too
	}
}

// Close ends the digester at once. A file that it was in the middle of is begun
// anew by the next one.
func (d *Digester) Close() {
	d.stop()
	d.running.Wait()
}

func (d *Digester) run(ctx context.Context) {
	for {
		var again <-chan time.Time
		if err := d.pass(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("digests of uploads could not be stored; trying again later", "event", "digest.not-stored", "error", err, "after", digestRetry)
			again = time.After(digestRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-again:
		}
	}
}

// pass completes all that is without a digest. It ends early only where the
// catalog fails, or with ctx.
func (d *Digester) pass(ctx context.Context) error {
	after := ""
	for {
		page, err := d.catalog.Undigested(ctx, after, digestPage)
		if err != nil {
			return err
		}
		for _, u := range page {
			if err := d.complete(ctx, u); err != nil {
				return err
			}
			after = u.Blob
		}
		if len(page) < digestPage {
			return nil
		}
	}
}

func (d *Digester) complete(ctx context.Context, u catalog.Undigested) error {
	if d.unreadable[u.Blob] {
		return nil
	}
	sum, unreadable := d.digest(ctx, u)
	if err := ctx.Err(); err != nil {
		return err
	}
	if unreadable == nil {
		return d.catalog.SetDigest(ctx, u, sum)
	}
	r, err := d.catalog.Report(ctx, u.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // purged since it was listed, and its blob with it
	}
	if err != nil {
		return err
	}
	d.unreadable[u.Blob] = true
	d.log.Error("an upload's content can't be read; it stays without a digest", "event", "digest.unreadable", "client", r.Client, "report", r.ID, "blob", u.Blob, "error", unreadable)
	return nil
}

func (d *Digester) digest(ctx context.Context, u catalog.Undigested) (string, error) {
	content, err := d.blobs.Open(u.Blob)
	if err != nil {
		return "", err
	}
	defer content.Close() // only read from
	if content.Size() != u.Size {
		// A digest of this would make what the disk has lost look right.
		return "", fmt.Errorf("blob %s has %d bytes, and had %d when it was stored", u.Blob, content.Size(), u.Size)
	}
	return sumOf(ctx, content, u.Size, d.buffer)
}

// sumOf returns the SHA-256 of a file of size bytes, lower-case hex. It looks at
// ctx before each buffer.
func sumOf(ctx context.Context, file io.ReaderAt, size int64, buffer []byte) (string, error) {
	h := sha256.New()
	for off := int64(0); off < size; {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		piece := buffer[:min(int64(len(buffer)), size-off)]
		if n, err := file.ReadAt(piece, off); n < len(piece) {
			return "", fmt.Errorf("reading at %d: %w", off+int64(n), err)
		}
		h.Write(piece)
		off += int64(len(piece))
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
