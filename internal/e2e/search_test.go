package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/ecdh"
	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// host is a running gateway whose memory and files are looked through.
type host struct{ gateway }

// root is the process's own file system, as it sees it.
func (h *host) root() string { return fmt.Sprintf("/proc/%d/root", h.pid) }

// searchFiles returns the needles that are in a file that the process can see, its
// program included.
func (h *host) searchFiles(needles map[string][]byte) []string {
	h.t.Helper()
	found, files := map[string]bool{}, 0
	err := filepath.WalkDir(h.root()+"/", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for what, needle := range needles {
			if bytes.Contains(data, needle) {
				found[what+" in "+path] = true
			}
		}
		return nil
	})
	if err != nil || files < 5 { // the program, its configuration, host keys, blobs
		h.t.Fatalf("searched %d files: %v", files, err)
	}
	return slices.Sorted(maps.Keys(found))
}

// searchMemory returns the needles that are anywhere in the process's memory.
func (h *host) searchMemory(needles map[string][]byte) []string {
	h.t.Helper()
	list, err := os.Open(fmt.Sprintf("/proc/%d/maps", h.pid))
	if err != nil {
		h.t.Fatal(err)
	}
	defer list.Close()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", h.pid))
	if err != nil {
		h.t.Fatal(err)
	}
	defer memory.Close()
	found, searched := map[string]bool{}, 0
	for lines := bufio.NewScanner(list); lines.Scan(); {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); err != nil || mode[0] != 'r' || strings.Contains(lines.Text(), "[v") {
			continue
		}
		region := make([]byte, to-from)
		n, _ := memory.ReadAt(region, from) // what is given back meanwhile can't be read, and holds nothing
		searched += n
		for what, needle := range needles {
			if bytes.Contains(region[:n], needle) {
				found[what] = true
			}
		}
	}
	if searched < 10<<20 {
		h.t.Fatalf("only %d bytes of the memory of process %d could be read", searched, h.pid)
	}
	return slices.Sorted(maps.Keys(found))
}

// ownSecrets are the secret parts of the gateway's own keys, as they are in memory and
// as they are in their files.
func (g *gateway) ownSecrets() map[string][]byte {
	g.t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(g.dir, "data/keys", name))
		if err != nil {
			g.t.Fatal(err)
		}
		return data
	}
	secrets := map[string][]byte{"the delivery key": read("delivery.key")}
	for _, name := range []string{"hold.pgp", "signing.pgp"} {
		armored := read(name)
		secrets["the text of "+name] = bytes.Split(bytes.TrimSpace(armored), []byte("\n"))[3] // a line of base64
		ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
		if err != nil || len(ring) != 1 {
			g.t.Fatal(len(ring), err)
		}
		private := []any{ring[0].PrivateKey.PrivateKey}
		for _, sub := range ring[0].Subkeys {
			private = append(private, sub.PrivateKey.PrivateKey)
		}
		for i, p := range private {
			switch k := p.(type) {
			case *eddsa.PrivateKey:
				secrets[fmt.Sprintf("the secret %d of %s", i, name)] = k.D
			case *ecdh.PrivateKey:
				secrets[fmt.Sprintf("the secret %d of %s", i, name)] = k.D
			default:
				g.t.Fatalf("%s has a key of the type %T", name, p)
			}
		}
	}
	for what, s := range secrets {
		if len(s) < 16 {
			g.t.Fatalf("%s has %d bytes", what, len(s))
		}
	}
	return secrets
}
