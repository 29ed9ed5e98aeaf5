package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

func sealCases() []benchCase {
	return []benchCase{
		{
			name:    "seal-rsa3072",
			prepare: func(ctx context.Context, b *bench) (prepared, error) { return b.prepareStatements(ctx, "rsa3072") },
			targets: []target{timesAsFast(12, "gpg each"), timesAsFast(4, "gpg --multifile")},
		},
		{
			name: "seal-curve25519",
			prepare: func(ctx context.Context, b *bench) (prepared, error) {
				return b.prepareStatements(ctx, "future-default")
			},
			targets: []target{timesAsFast(30, "gpg each"), timesAsFast(12, "gpg --multifile")},
		},
		{
			name:    "seal-large",
			prepare: func(ctx context.Context, b *bench) (prepared, error) { return b.prepareLarge(ctx, true) },
			targets: []target{timesAsFast(10, "gpg"), timesAsFast(2.5, "gpg -z 1"), atMost(1.15, sealedSize, "gpg")},
		},
		{
			name:    "seal-uncompressed",
			prepare: func(ctx context.Context, b *bench) (prepared, error) { return b.prepareLarge(ctx, false) },
			targets: []target{timesAsFast(1.15, "gpg -z 0")},
		},
	}
}

// sealedSmall is what a statement of 20 KiB takes when it is compressed and sealed.
const sealedSmall = 8 << 10

const sealedSize figure = "sealed MiB"

// statementText writes rows as a bank would, of about n bytes, always the same for a seed.
func statementText(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	payees := strings.Fields("Müller Nakamura O'Brien García Kowalski Johansson Rossi Dubois Papadopoulos Svensson Novák Horváth")
	var out bytes.Buffer
	out.WriteString("date;account;reference;payee;currency;amount;balance\n")
	balance := 1_000_000 + r.IntN(9_000_000)
	for i := 0; out.Len() < n; i++ {
		amount := r.IntN(200_000) - 100_000
		balance += amount
		fmt.Fprintf(&out, "2026-11-%02d;DE%020d;TX%012d;%s %s;EUR;%d.%02d;%d.%02d\n", 1+i%28, r.Int64N(1e18), r.Int64N(1e12),
			payees[r.IntN(len(payees))], payees[r.IntN(len(payees))], amount/100, abs(amount%100), balance/100, abs(balance%100))
	}
	return out.Bytes()[:n]
}

func abs(n int) int { return max(n, -n) }

// keyring is a GnuPG home with a number of keys.
type keyring struct {
	gpg, home string
	users     []string
	files     []string // the exported certificates
}

// makeKeyring makes keys: rsa3072, or future-default, which is Ed25519 and Curve25519.
func (b *bench) makeKeyring(ctx context.Context, kind string, n int) (k keyring, err error) {
	if k.gpg, err = b.findProgram("gpg"); err != nil {
		return k, err
	}
	// Its agent's socket needs a short path.
	if k.home, err = os.MkdirTemp("/tmp", "sd"); err != nil {
		return k, err
	}
	b.later(func() {
		_ = exec.Command("gpgconf", "--homedir", k.home, "--kill", "all").Run()
		_ = os.RemoveAll(k.home)
	})
	usage := "default"
	for i := range n {
		user := fmt.Sprintf("client-%d@example.com", i)
		args := []string{"--passphrase", "", "--quick-generate-key", user, kind, usage, "never"}
		if kind == "rsa3072" {
			args[len(args)-2] = "encrypt,sign"
		}
		if out, err := k.command(ctx, args...).CombinedOutput(); err != nil {
			return k, fmt.Errorf("gpg: %w\n%s", err, out)
		}
		file := filepath.Join(k.home, fmt.Sprint(i, ".asc"))
		if out, err := k.command(ctx, "--armor", "--output", file, "--export", user).CombinedOutput(); err != nil {
			return k, fmt.Errorf("gpg: %w\n%s", err, out)
		}
		k.users, k.files = append(k.users, user), append(k.files, file)
	}
	return k, nil
}

func (k keyring) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, k.gpg, append([]string{
		"--homedir", k.home, "--batch", "--yes", "--quiet", "--trust-model", "always", "--no-auto-check-trustdb",
	}, args...)...)
}

// freshGateway makes a gateway with a client for each certificate.
func (b *bench) freshGateway(ctx context.Context, k keyring, env ...string) (*gateway, error) {
	g, err := b.newGateway(ctx, env...)
	for i, file := range k.files {
		if err == nil {
			err = g.addClient(ctx, fmt.Sprintf("client-%d", i), file)
		}
	}
	return g, err
}

// producers is how many clients the statements are for, and how many loops write at a time.
const producers = 8

// sealersAtATime is how many gpg or sq run at a time.
const sealersAtATime = 2

func (b *bench) prepareStatements(ctx context.Context, kind string) (prepared, error) {
	n := b.scaled(5000, 16)
	k, err := b.makeKeyring(ctx, kind, producers)
	if err != nil {
		return prepared{}, err
	}
	dir := filepath.Join(b.data, "plain")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return prepared{}, err
	}
	files, manifest, err := writeStatements(dir, n, smallFile)
	if err != nil {
		return prepared{}, err
	}
	self, err := wholeProgram()
	if err != nil {
		return prepared{}, err
	}
	p := prepared{
		what: fmt.Sprintf("sealing %d statements of 20 KiB (%s), by sealdrop durably and published; gpg each: a process each, %d at a time; "+
			"files alone: as many files of %d KiB, which is what a statement is when sealed, written and synced and nothing else", n, kind, sealersAtATime, sealedSmall>>10),
		sides: []side{
			{own, func(ctx context.Context, _ int) (sample, error) {
				return b.deliverAll(ctx, k, manifest)
			}},
			{"gpg each", func(ctx context.Context, _ int) (sample, error) {
				return each(ctx, len(files), func(i int) *exec.Cmd {
					return k.command(ctx, "-r", k.users[i%len(k.users)], "--encrypt", files[i])
				})
			}},
			{"gpg --multifile", func(ctx context.Context, _ int) (sample, error) {
				return onCommand(k.command(ctx, append([]string{"-r", k.users[0], "--multifile", "--encrypt"}, files...)...))
			}},
			{"files alone", func(ctx context.Context, round int) (sample, error) {
				to := filepath.Join(b.data, fmt.Sprint("files", round))
				if err := os.Mkdir(to, 0o755); err != nil {
					return nil, err
				}
				defer os.RemoveAll(to)
				return onCommand(exec.CommandContext(ctx, self, filesCommand, to, strconv.Itoa(n), strconv.Itoa(sealedSmall)))
			}},
		},
	}
	if kind == "rsa3072" && b.sq != "" {
		p.what += "; sq: the same as gpg each"
		p.sides = append(p.sides, side{sqName, func(ctx context.Context, _ int) (sample, error) {
			return each(ctx, len(files), func(i int) *exec.Cmd {
				return b.sqEncrypt(ctx, k.files[i%len(k.files)], files[i], files[i]+".sq")
			})
		}})
	}
	return p, nil
}

// sqEncrypt returns a command of Sequoia's that seals as gpg does: unless it is told to, it does not compress.
func (b *bench) sqEncrypt(ctx context.Context, certificate, file, to string) *exec.Cmd {
	return exec.CommandContext(ctx, b.sq, "--force", "encrypt", "--compression", "zip", "--recipient-cert", certificate, "--output", to, file)
}

// writeStatements writes n files and the manifest that delivers them to [producers] clients.
func writeStatements(dir string, n, size int) (files []string, manifest string, err error) {
	var list strings.Builder
	list.WriteString("client,file\n")
	for i := range n {
		name := fmt.Sprintf("statement-%05d.csv", i)
		fmt.Fprintf(&list, "client-%d,%s\n", i%producers, name)
		files = append(files, filepath.Join(dir, name))
		if err := os.WriteFile(files[i], statementText(size, uint64(i)), 0o644); err != nil {
			return nil, "", err
		}
	}
	manifest = filepath.Join(dir, "manifest.csv")
	return files, manifest, os.WriteFile(manifest, []byte(list.String()), 0o644)
}

// deliverAll delivers a manifest to a new gateway. The command has the whole of it: opening
// the catalog, the keys, sealing, syncing, the rows.
func (b *bench) deliverAll(ctx context.Context, k keyring, manifest string) (sample, error) {
	g, err := b.freshGateway(ctx, k)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(g.dir)
	return onCommand(g.command(ctx, "deliver", "--manifest", manifest, "--journal", filepath.Join(g.dir, "journal")))
}

// each runs n commands, some at a time.
func each(ctx context.Context, n int, command func(i int) *exec.Cmd) (sample, error) {
	got := sample{}
	var mu sync.Mutex
	started := time.Now()
	err := parallel(ctx, n, sealersAtATime, func(i int) error {
		cmd := command(i)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out)
		}
		mu.Lock()
		defer mu.Unlock()
		got[cpu] += processorTime(cmd.ProcessState)
		return nil
	})
	got[wall] = time.Since(started).Seconds()
	return got, err
}

func (b *bench) prepareLarge(ctx context.Context, compress bool) (prepared, error) {
	size := b.scaled(1<<30, 8<<20)
	k, err := b.makeKeyring(ctx, "rsa3072", 1)
	if err != nil {
		return prepared{}, err
	}
	file := filepath.Join(b.data, "large.csv")
	if err := writeLarge(file, size); err != nil {
		return prepared{}, err
	}
	gpg := func(args ...string) func(context.Context, int) (sample, error) {
		return func(ctx context.Context, _ int) (sample, error) {
			return sizedCommand(k.command(ctx, append(args, "-r", k.users[0], "--output", file+".gpg", "--encrypt", file)...), file+".gpg")
		}
	}
	p := prepared{
		what: fmt.Sprintf("sealing a CSV of %d MiB, RSA-3072, by sealdrop durably and published", size>>20),
		sides: []side{{own, func(ctx context.Context, _ int) (sample, error) {
			g, err := b.freshGateway(ctx, k, fmt.Sprint("SEALDROP_SEALING_COMPRESS=", compress))
			if err != nil {
				return nil, err
			}
			defer os.RemoveAll(g.dir)
			return sizedCommand(g.command(ctx, "deliver", "--client", "client-0", file), filepath.Join(g.dir, "data", "blobs"))
		}}},
	}
	if !compress {
		p.what += ", uncompressed"
		p.sides = append(p.sides, side{"gpg -z 0", gpg("-z", "0")})
		return p, nil
	}
	p.sides = append(p.sides, side{"gpg", gpg()}, side{"gpg -z 1", gpg("-z", "1")})
	if b.sq != "" {
		p.sides = append(p.sides, side{sqName, func(ctx context.Context, _ int) (sample, error) {
			return sizedCommand(b.sqEncrypt(ctx, k.files[0], file, file+".sq"), file+".sq")
		}})
	}
	return p, nil
}

// writeLarge writes a CSV of statements that differ.
func writeLarge(file string, size int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	const part = 4 << 20
	for written := 0; written < size; written += part {
		if _, err := f.Write(statementText(min(part, size-written), uint64(written))); err != nil {
			return err
		}
	}
	return f.Close()
}

// sizedCommand also says how large what the command made is: a file, or all in a folder.
func sizedCommand(cmd *exec.Cmd, made string) (sample, error) {
	got, err := onCommand(cmd)
	if err != nil {
		return nil, err
	}
	var total int64
	err = filepath.Walk(made, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return err
	})
	if total == 0 && err == nil {
		err = errors.New("it made nothing")
	}
	got[sealedSize] = float64(total) / (1 << 20)
	return got, err
}
