package folder_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/server/folder"
)

func newGatewayWithQuota(tb testing.TB, bytes, files int64) *gateway {
	tb.Helper()
	g := newGateway(tb)
	g.Catalog = g.Catalog.WithQuota(reports.Quota{Bytes: bytes, Files: files})
	return g
}

// uploadBy uploads in one of the ways that protocols do.
type uploadBy func(u folder.Upload, content []byte) error

func waysToUpload() map[string]uploadBy {
	return map[string]uploadBy{
		"WriteAt": func(u folder.Upload, content []byte) error {
			for off := 0; off < len(content); off += 32 << 10 {
				if _, err := u.WriteAt(content[off:min(off+32<<10, len(content))], int64(off)); err != nil {
					return err
				}
			}
			return nil
		},
		"copied": func(u folder.Upload, content []byte) error {
			_, err := u.ReadFrom(io.MultiReader(bytes.NewReader(content)))
			return err
		},
		"spliced": func(u folder.Upload, content []byte) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			defer l.Close()
			go func() {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					return
				}
				defer c.Close()
				_, _ = c.Write(content) // the other side may hang up
			}()
			c, err := l.Accept()
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = u.ReadFrom(c)
			return err
		},
	}
}

func TestUploadOverQuota(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for way, send := range waysToUpload() {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			const quota = 1 << 20
			g := newGatewayWithQuota(t, quota, 2)
			f := g.session(t, "one")
			upload := func(file string, size int) (sent int64, err error) {
				u, err := f.Create(ctx, parseName(t, file), folder.Truncate)
				if err != nil {
					return 0, err
				}
				err = send(u, make([]byte, size))
				sent = u.Size()
				return sent, errors.Join(err, u.Close())
			}
			if _, err := upload("a", quota-1000); err != nil {
				t.Fatal(err)
			}
			sent, err := upload("b", 32<<20)
			if !errors.Is(err, reports.ErrQuota) || sent > 64<<10 {
				t.Errorf("more than there is room for: %v, after %d bytes", err, sent)
			}
			if _, err := f.Stat(ctx, parseName(t, "b")); err == nil {
				t.Error("something is left of what was refused")
			}
			if _, err := upload("b", 1000); err != nil {
				t.Errorf("to the brim: %v", err)
			}
			if _, err := upload("c", 0); !errors.Is(err, reports.ErrQuota) {
				t.Errorf("one file too many: %v", err)
			}
			if sent, err := upload("a", quota-999); !errors.Is(err, reports.ErrQuota) {
				t.Errorf("a larger overwrite: %v, after %d bytes", err, sent)
			}
			if _, err := upload("a", quota-1000); err != nil {
				t.Errorf("an overwrite of the same size: %v", err)
			}
			u, err := f.Usage(ctx)
			if err != nil || u.Bytes != quota || u.Files != 2 || u.FreeBytes != 0 || u.FreeFiles != 0 || !u.ByQuota {
				t.Errorf("%+v, %v", u, err)
			}
			if err := f.Remove(ctx, parseName(t, "a")); err != nil {
				t.Fatal(err)
			}
			if _, err := upload("c", quota-1000); err != nil {
				t.Errorf("after making room: %v", err)
			}
			if n := blobCount(t, g); n != 4 { // two that are seen, and two that can be restored
				t.Errorf("%d blobs are left", n)
			}
		})
	}
}

func blobCount(tb testing.TB, g *gateway) (n int) {
	tb.Helper()
	if err := g.Blobs.Walk(context.Background(), func(string, int64, time.Time) error { n++; return nil }); err != nil {
		tb.Fatal(err)
	}
	return n
}

// Two uploads that each fit in, and together don't: the one that is closed last
// is refused, and the one before it stays.
func TestUploadsBesideEachOtherOverQuota(t *testing.T) {
	t.Parallel()
	g := newGatewayWithQuota(t, 1000, 0)
	f := g.session(t, "one")
	var uploads []folder.Upload
	for _, file := range []string{"a", "b"} {
		u, err := f.Create(context.Background(), parseName(t, file), folder.Truncate)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.WriteAt(make([]byte, 600), 0); err != nil {
			t.Fatal(err)
		}
		uploads = append(uploads, u)
	}
	if err := uploads[0].Close(); err != nil {
		t.Error(err)
	}
	if err := uploads[1].Close(); !errors.Is(err, reports.ErrQuota) {
		t.Errorf("closing the second: %v", err)
	}
	if _, err := f.Stat(context.Background(), parseName(t, "b")); err == nil {
		t.Error("the second is there")
	}
}

// A quota that is raised while an upload is under way counts at once.
func TestQuotaRaisedDuringAnUpload(t *testing.T) {
	t.Parallel()
	g := newGatewayWithQuota(t, 1000, 0)
	f := g.session(t, "one")
	if u, err := f.Create(context.Background(), parseName(t, "filler"), folder.Truncate); err != nil {
		t.Fatal(err)
	} else if _, err := u.WriteAt(make([]byte, 900), 0); err != nil {
		t.Fatal(err)
	} else if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	u, err := f.Create(context.Background(), parseName(t, "a"), folder.Truncate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteAt(make([]byte, 100), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove(context.Background(), parseName(t, "filler")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.WriteAt(make([]byte, 500), 100); err != nil {
		t.Errorf("after there was room: %v", err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
}
