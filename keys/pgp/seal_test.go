package pgp_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

func TestSealRoundTrip(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for _, size := range []int{0, 1, 65495, 65496, 65497, 65536, 600_000} {
		for _, compress := range []bool{false, true} {
			for _, known := range []int64{-1, int64(size)} {
				for _, signer := range []*pgp.PrivateKey{nil, &key} {
					content := statement(size)
					sealed := seal(t, content, pgp.Options{
						Recipients: []pgp.Certificate{key.Certificate()},
						FileName:   "a.csv", Compress: compress, Size: known, Signer: signer,
					})
					got, about, err := unseal(sealed, key)
					if err != nil || !bytes.Equal(got, content) {
						t.Fatalf("size=%d compress=%t known=%d: %v", size, compress, known, err)
					}
					if about.LiteralData.FileName != "a.csv" || about.IsVerified != (signer != nil) || about.SignatureError != nil {
						t.Errorf("name %q, verified %t, %v", about.LiteralData.FileName, about.IsVerified, about.SignatureError)
					}
				}
			}
		}
	}
}

// The way content is cut into writes must not show.
func TestWritesOfAnySize(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	content := statement(1_300_000)
	random := rand.New(rand.NewPCG(3, 4))
	for _, compress := range []bool{false, true} {
		var sealed bytes.Buffer
		w, err := pgp.NewWriter(&sealed, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Compress: compress, Size: -1, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		for rest := content; len(rest) > 0; {
			n := min(len(rest), random.IntN(100_000))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mustUnseal(t, sealed.Bytes(), key), content) {
			t.Error("other content")
		}
	}
}

func TestNothingOfTheContentShows(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	secret := []byte("U1234567 Acme Capital")
	content := bytes.Repeat(secret, 10_000)
	for _, compress := range []bool{false, true} {
		sealed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, FileName: "secret-name.csv", Compress: compress, Size: int64(len(content))})
		if bytes.Contains(sealed, secret[:8]) || bytes.Contains(sealed, []byte("secret-name")) {
			t.Error("plaintext in the output")
		}
		again := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, FileName: "secret-name.csv", Compress: compress, Size: int64(len(content))})
		if bytes.Equal(sealed, again) {
			t.Error("the same output twice")
		}
	}
}

func TestCompressionPays(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	content := statement(2 << 20)
	sealed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Compress: true, Size: -1})
	if len(sealed) > len(content)/2 {
		t.Errorf("%d octets became %d", len(content), len(sealed))
	}
	incompressible := noise(2 << 20)
	sealed = seal(t, incompressible, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Compress: true, Size: -1})
	if len(sealed) > len(incompressible)+8<<10 {
		t.Errorf("%d octets of noise became %d", len(incompressible), len(sealed))
	}
}

func TestLiteralHeader(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	long := strings.Repeat("ü", 200) + ".csv"
	for _, test := range []struct {
		name string
		time time.Time
		want string
		unix uint32
	}{
		{"a.csv", time.Unix(1_700_000_000, 5), "a.csv", 1_700_000_000},
		{"", time.Time{}, "", 0},
		{long, time.Unix(-5, 0), strings.Repeat("ü", 127), 0},
		{"_CONSOLE", time.Unix(1<<33, 0), "", 0},
	} {
		sealed := seal(t, nil, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, FileName: test.name, ModTime: test.time, Size: -1})
		_, about, err := unseal(sealed, key)
		if err != nil {
			t.Fatal(err)
		}
		if got := about.LiteralData; got.FileName != test.want || got.Time != test.unix || !got.IsBinary {
			t.Errorf("%q: %+v", test.name, got)
		}
	}
}

func TestAnnouncedSizeIsKept(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for _, compress := range []bool{false, true} {
		for _, written := range []int{0, 99, 101, 100_000} {
			w, err := pgp.NewWriter(io.Discard, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Compress: compress, Size: 100, Now: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Write(make([]byte, written))
			if err == nil {
				err = w.Close()
			}
			var size *pgp.SizeError
			if !errors.As(err, &size) || size.Want != 100 || size.Hint() == "" {
				t.Errorf("%d octets: %v", written, err)
			}
			if again := w.Close(); !errors.Is(again, err) {
				t.Errorf("then closed: %v", again)
			}
		}
	}
}

func TestNobodyToSealTo(t *testing.T) {
	t.Parallel()
	for _, to := range [][]pgp.Certificate{nil, {{}}} {
		var out bytes.Buffer
		if _, err := pgp.NewWriter(&out, pgp.Options{Recipients: to, Now: time.Now()}); !errors.Is(err, pgp.ErrNoRecipients) || out.Len() > 0 {
			t.Errorf("got %v", err)
		}
	}
	key := newKey(t)
	early := key.Certificate().Created().Add(-time.Hour)
	var out bytes.Buffer
	_, err := pgp.NewWriter(&out, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Now: early})
	if got := reasonOf(t, err); got != pgp.ReasonNotYetValid || out.Len() > 0 {
		t.Errorf("got %v", err)
	}
	if _, err := pgp.NewWriter(&out, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Signer: &pgp.PrivateKey{}, Now: time.Now()}); err == nil {
		t.Error("signed with no key")
	}
}

// limited fails after so many octets, as a full disk does.
type limited struct{ left int }

var errFull = errors.New("no space left on device")

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, errFull
	}
	l.left -= len(p)
	return len(p), nil
}

func TestWriteErrorsStickAndLeakNothing(t *testing.T) {
	key := newKey(t) // not parallel: it counts goroutines
	before := runtime.NumGoroutine()
	content := noise(3 << 20)
	for _, compress := range []bool{false, true} {
		for _, room := range []int{0, 100, 1000, 100_000, 1_000_000, 3 << 20} {
			w, err := pgp.NewWriter(&limited{room}, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Compress: compress, Size: -1, Now: time.Now()})
			if err != nil {
				if !errors.Is(err, errFull) {
					t.Errorf("room %d: %v", room, err)
				}
				continue
			}
			_, err = io.Copy(w, bytes.NewReader(content))
			if err == nil {
				err = w.Close()
			}
			if !errors.Is(err, errFull) {
				t.Errorf("room %d: %v", room, err)
			}
			if _, err := w.Write([]byte("more")); !errors.Is(err, errFull) {
				t.Errorf("room %d, then: %v", room, err)
			}
			if err := w.Close(); !errors.Is(err, errFull) {
				t.Errorf("room %d, closing: %v", room, err)
			}
		}
	}
	// Dropped half-way, without an error.
	for range 20 {
		w, err := pgp.NewWriter(io.Discard, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Compress: true, Size: -1, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d now", before, runtime.NumGoroutine())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestClosedIsClosed(t *testing.T) {
	t.Parallel()
	w, err := pgp.NewWriter(io.Discard, pgp.Options{Recipients: []pgp.Certificate{newKey(t).Certificate()}, Size: -1, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, pgp.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if err := w.Close(); !errors.Is(err, pgp.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

// Sealing a large report takes no more memory than a small one.
func TestMemoryIsBounded(t *testing.T) {
	key := newKey(t) // not parallel: it measures the heap
	const most = 32 << 20
	size := 256 << 20
	if testing.Short() {
		size = 64 << 20
	}
	block := statement(1 << 20)
	for _, compress := range []bool{false, true} {
		runtime.GC()
		var start, now runtime.MemStats
		runtime.ReadMemStats(&start)
		w, err := pgp.NewWriter(io.Discard, pgp.Options{Recipients: []pgp.Certificate{key.Certificate()}, Compress: compress, Size: -1, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		var peak uint64
		for i := range size / len(block) {
			if _, err := w.Write(block); err != nil {
				t.Fatal(err)
			}
			if i%16 == 0 {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapInuse)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("compress=%t: %d KiB at the start, %d KiB at most", compress, start.HeapInuse>>10, peak>>10)
		if peak > start.HeapInuse+most {
			t.Errorf("compress=%t: the heap grew from %d to %d KiB", compress, start.HeapInuse>>10, peak>>10)
		}
	}
}

// newKeyOfVersion6 makes a key as RFC 9580 has it, with the library.
func newKeyOfVersion6(t *testing.T) pgp.PrivateKey {
	t.Helper()
	entity, err := openpgp.NewEntity("Version six", "", "", &packet.Config{V6Keys: true, Algorithm: packet.PubKeyAlgoEd25519})
	if err != nil {
		t.Fatal(err)
	}
	var secret bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&secret, nil); err != nil {
		t.Fatal(err)
	}
	key, err := pgp.ReadPrivateKey(secret.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestVersion6(t *testing.T) {
	t.Parallel()
	key, other, old := newKeyOfVersion6(t), newKeyOfVersion6(t), newKey(t)
	cert := key.Certificate()
	if cert.Version() != 6 || len(cert.Fingerprint()) != 64 || cert.Algorithm() != "ed25519/x25519" {
		t.Errorf("version %d, %s, %s", cert.Version(), cert, cert.Algorithm())
	}
	content := statement(300_000)
	for _, signer := range []*pgp.PrivateKey{nil, &key} {
		sealed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{cert}, Signer: signer, Compress: true, Size: int64(len(content))})
		if !bytes.Equal(mustUnseal(t, sealed, key), content) {
			t.Error("other content")
		}
		var resealed bytes.Buffer
		if err := pgp.Reseal(&resealed, bytes.NewReader(sealed), key, []pgp.Certificate{other.Certificate()}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mustUnseal(t, resealed.Bytes(), other), content) {
			t.Error("other content after resealing")
		}
		if err := pgp.Reseal(io.Discard, bytes.NewReader(sealed), key, []pgp.Certificate{old.Certificate()}, time.Now()); err == nil {
			t.Error("resealed to a key that can't read it")
		}
	}
	mixed := seal(t, content, pgp.Options{Recipients: []pgp.Certificate{cert, old.Certificate()}, Size: -1})
	for _, key := range []pgp.PrivateKey{key, old} {
		if !bytes.Equal(mustUnseal(t, mixed, key), content) {
			t.Error("mixed recipients: other content")
		}
	}
}
