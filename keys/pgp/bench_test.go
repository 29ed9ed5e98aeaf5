package pgp_test

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/keys/pgp"
)

// BenchmarkSeal seals to one recipient. Allocations are per file.
func BenchmarkSeal(b *testing.B) {
	made := func(config *packet.Config) pgp.Certificate {
		entity, err := openpgp.NewEntity("Client", "", "", config)
		if err != nil {
			b.Fatal(err)
		}
		return serialized(b, entity)
	}
	recipients := []struct {
		name string
		cert pgp.Certificate
	}{
		{"rsa3072", made(&packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 3072})},
		{"cv25519", made(&packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519})},
	}
	const unit = 1 << 20
	text := statement(unit)
	for _, size := range []int64{20 << 10, 64 << 10, 256 << 20} {
		for _, compress := range []bool{false, true} {
			for _, to := range recipients {
				b.Run(fmt.Sprintf("size=%dKiB/compress=%t/to=%s", size>>10, compress, to.name), func(b *testing.B) {
					b.SetBytes(size)
					b.ReportAllocs()
					for b.Loop() {
						w, err := pgp.NewWriter(io.Discard, pgp.Options{
							Recipients: []pgp.Certificate{to.cert}, FileName: "activity.csv",
							Compress: compress, Size: size, Now: time.Now(),
						})
						if err != nil {
							b.Fatal(err)
						}
						for left := size; left > 0; left -= unit {
							if _, err := w.Write(text[:min(left, unit)]); err != nil {
								b.Fatal(err)
							}
						}
						if err := w.Close(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

// BenchmarkGnuPG is what BenchmarkSeal has to keep up with: gpg on the same text, as
// a user would call it. The source is a file in memory where /dev/shm exists.
func BenchmarkGnuPG(b *testing.B) {
	g := newGnuPG(b)
	fingerprint := g.generate(curve25519)
	dir := "/dev/shm"
	if _, err := os.Stat(dir); err != nil {
		dir = b.TempDir()
	}
	file, err := os.CreateTemp(dir, "sealdrop-bench-")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(file.Name())
	const size = 256 << 20
	text := statement(1 << 20)
	for range size / len(text) {
		if _, err := file.Write(text); err != nil {
			b.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
	for _, options := range [][]string{{"-z", "0"}, {"-z", "1"}, {}} {
		b.Run(fmt.Sprintf("options=%v", options), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				g.run(nil, append(options, "--trust-model", "always", "-r", fingerprint, "--output", os.DevNull, "--encrypt", file.Name())...)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	armored := []byte(newKey(b).Certificate().Armored())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pgp.Parse(armored); err != nil {
			b.Fatal(err)
		}
	}
}
