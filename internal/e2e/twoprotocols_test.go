package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seeded returns a source of chance; what it began with is in the log of a test
// that fails.
func seeded(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return seed
}

// model is a client's folder in memory.
type model struct {
	nodes   map[string][]byte // nil: a folder
	partial map[string][]byte // cut uploads
}

func newModel() *model { return &model{nodes: map[string][]byte{}, partial: map[string][]byte{}} }

func (m *model) isFolder(name string) bool {
	content, there := m.nodes[name]
	return name == "" || there && content == nil
}

func (m *model) isFile(name string) bool { return m.nodes[name] != nil }

// place says whether a file may be written under a name.
func (m *model) place(name string) bool { return m.isFolder(parent(name)) && !m.isFolder(name) }

func parent(name string) string {
	if dir := path.Dir(name); dir != "." {
		return dir
	}
	return ""
}

func (m *model) put(name string, content []byte) bool {
	if !m.place(name) {
		return false
	}
	m.nodes[name] = append([]byte{}, content...) // never nil
	delete(m.partial, name)
	return true
}

func (m *model) resume(name string, rest []byte) bool {
	part, cut := m.partial[name]
	if !m.place(name) || cut && m.isFile(name) {
		return false
	}
	if m.isFile(name) {
		part = m.nodes[name]
	}
	return m.put(name, slices.Concat(part, rest))
}

func (m *model) rename(from, to string) bool {
	content, there := m.nodes[from]
	switch {
	case !there:
		return false
	case from == to:
		return true
	case !m.place(to) || strings.HasPrefix(to, from+"/"):
		return false
	}
	m.nodes[to] = content
	delete(m.nodes, from)
	for _, below := range slices.Collect(maps.Keys(m.nodes)) {
		if rest, ok := strings.CutPrefix(below, from+"/"); ok {
			m.nodes[to+"/"+rest] = m.nodes[below]
			delete(m.nodes, below)
		}
	}
	return true
}

func (m *model) mkdir(name string) bool {
	if _, taken := m.nodes[name]; taken || !m.isFolder(parent(name)) {
		return false
	}
	m.nodes[name] = nil
	return true
}

func (m *model) rmdir(name string) bool {
	if !m.isFolder(name) {
		return false
	}
	for below := range m.nodes {
		if strings.HasPrefix(below, name+"/") {
			return false
		}
	}
	delete(m.nodes, name)
	return true
}

func (m *model) remove(name string) bool {
	_, cut := m.partial[name]
	if !m.isFile(name) && (!cut || m.isFolder(name) || m.isFile(parent(name))) {
		return false
	}
	delete(m.nodes, name)
	delete(m.partial, name)
	return true
}

// TestTwoProtocolsOneAfterTheOther does random operations through sessions of both
// protocols in turn: each ends as it does in a model in memory, and after each, all
// is as it is in the model.
func TestTwoProtocolsOneAfterTheOther(t *testing.T) {
	t.Parallel()
	seed := seeded(t)
	random := rand.New(rand.NewPCG(seed, 0))
	c, sessions := twoProtocols(t, 2)
	names := []string{"a", "b c", "d", "d/a", "d/ü", "d/e", "d/e/a", "e", "e/a"}
	m := newModel()
	for step := range 400 {
		// The one that acts, and the one that looks, are of any protocol.
		s, looker := sessions[random.IntN(len(sessions))], sessions[random.IntN(len(sessions))]
		what := act(t, random, s, m, names)
		if !look(t, looker, m, "") || t.Failed() {
			t.Fatalf("after step %d, %s through %T, seen through %T", step, what, s, looker)
		}
	}
	same(t, c, sessions, m.nodes)
}

// act does one operation, and compares its end with the model's.
func act(t *testing.T, random *rand.Rand, s session, m *model, names []string) (what string) {
	t.Helper()
	name, other := names[random.IntN(len(names))], names[random.IntN(len(names))]
	content := noise(random.IntN(3) * random.IntN(40_000))
	var err error
	var possible bool
	switch op := random.IntN(20); {
	case op < 5:
		what, possible = "putting "+name, m.put(name, content)
		err = s.put(name, content)
	case op < 8:
		at := int64(len(m.partial[name]))
		if m.isFile(name) {
			at = int64(len(m.nodes[name]))
		}
		if at == 0 || random.IntN(2) == 0 {
			at = -1
		}
		what, possible = fmt.Sprint("resuming ", name, " at ", at), m.resume(name, content)
		err = s.resume(name, content, at)
	case op < 10:
		if _, taken := m.nodes[name]; taken || !m.place(name) || len(content) == 0 || len(content) == len(m.partial[name]) {
			return "nothing"
		}
		cutOff(t, s, name, content)
		m.partial[name] = content
		return "cutting " + name
	case op < 12:
		got, err := s.get(name)
		if m.isFile(name) != (err == nil) || !bytes.Equal(got, m.nodes[name]) {
			t.Errorf("%s came with %d bytes, want %d: %v", name, len(got), len(m.nodes[name]), err)
		}
		return "getting " + name
	case op < 15:
		what, possible = "renaming "+name+" to "+other, m.rename(name, other)
		err = s.rename(name, other)
	case op < 17:
		what, possible = "making "+name, m.mkdir(name)
		err = s.mkdir(name)
	case op < 18:
		what, possible = "removing folder "+name, m.rmdir(name)
		err = s.rmdir(name)
	default:
		what, possible = "removing "+name, m.remove(name)
		err = s.remove(name)
	}
	if possible != (err == nil) || err != nil && !refusal(err) {
		t.Errorf("%s: %v, and possible: %v", what, err, possible)
	}
	return what
}

// look compares what a session lists with the model.
func look(t *testing.T, s session, m *model, dir string) bool {
	t.Helper()
	nodes, err := s.list(dir)
	if err != nil {
		t.Errorf("listing /%s: %v", dir, err)
		return false
	}
	var want []node
	for _, name := range slices.Sorted(maps.Keys(m.nodes)) {
		if parent(name) == dir {
			want = append(want, node{path.Base(name), m.isFolder(name), int64(len(m.nodes[name]))})
		}
	}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Errorf("/%s (-want +got):\n%s", dir, diff)
		return false
	}
	for _, n := range nodes {
		if n.Folder && !look(t, s, m, path.Join(dir, n.Name)) {
			return false
		}
	}
	return true
}

// twoProtocols is a client with sessions of both protocols, as many of each.
func twoProtocols(t *testing.T, each int) (*client, []session) {
	t.Helper()
	c := startFTP(t).ftpClient("acme", plain)
	key := c.withSSH()
	var sessions []session
	for range each {
		sessions = append(sessions, c.openSFTP(key), c.openFTP())
	}
	return c, sessions
}

// same compares what all sessions see, and what the gateway says it has, with what
// there should be; nil stands for whatever the first session sees.
func same(t *testing.T, c *client, sessions []session, want map[string][]byte) map[string][]byte {
	t.Helper()
	for _, s := range sessions {
		got := walk(t, s, "")
		if want == nil {
			want = got
		}
		if diff := cmp.Diff(digests(want), digests(got)); diff != "" {
			t.Errorf("%T sees (-want +got):\n%s", s, diff)
		}
	}
	said := map[string]string{}
	for name, f := range c.files() {
		said[name] = fmt.Sprint(f.Size, " bytes, ", f.SHA256)
	}
	files := digests(want)
	maps.DeleteFunc(files, func(_, content string) bool { return content == "a folder" })
	if diff := cmp.Diff(files, said); diff != "" {
		t.Errorf("the gateway says (-want +got):\n%s", diff)
	}
	return want
}

func digests(nodes map[string][]byte) map[string]string {
	list := map[string]string{}
	for name, content := range nodes {
		if list[name] = "a folder"; content != nil {
			list[name] = fmt.Sprint(len(content), " bytes, ", sha256Hex(content))
		}
	}
	return list
}

// TestTwoProtocolsAtOnce does random operations through many sessions at a time.
// Whatever the order in which they happened, every file is made of what was written
// whole under its name, or under one that was renamed to it; so was everything that
// was fetched meanwhile; and all sessions, and the gateway, agree in the end.
func TestTwoProtocolsAtOnce(t *testing.T) {
	t.Parallel()
	const workers = 4
	seed := seeded(t)
	c, sessions := twoProtocols(t, workers)
	var h history
	var group sync.WaitGroup
	for i := range workers {
		w := worker{
			t: t, h: &h, id: i, random: rand.New(rand.NewPCG(seed, uint64(i))),
			sessions: sessions[2*i : 2*i+2], // one of each protocol
		}
		group.Go(w.run)
	}
	group.Wait()
	for name, content := range same(t, c, sessions, nil) {
		h.saw(name, content)
	}
	h.check(t)
	if log := c.g.log.String(); strings.Contains(log, "level=ERROR") {
		t.Error("the gateway has logged an error")
	}
}

// worker does one operation after the other.
type worker struct {
	t        *testing.T
	h        *history
	id       int
	random   *rand.Rand
	sessions []session
	chunks   int
}

// session is of either protocol.
func (w *worker) session() session { return w.sessions[w.random.IntN(len(w.sessions))] }

func (w *worker) run() {
	// Files are never renamed to names of folders, nor folders to those of files, so
	// that a name's history stays finite.
	files, folders := []string{"a", "b", "d/a", "d/b", "e/a", "e/b"}, []string{"d", "e"}
	pick := func(list []string) string { return list[w.random.IntN(len(list))] }
	for range 80 {
		s := w.session()
		name, other := pick(files), pick(files)
		var err error
		switch op := w.random.IntN(16); {
		case op < 5:
			err = s.put(name, w.chunk(name))
		case op < 7:
			err = s.resume(name, w.chunk(name), -1)
		case op < 9:
			var content []byte
			if content, err = s.get(name); err == nil {
				w.h.saw(name, content)
			}
		case op < 11:
			w.h.renamed(name, other)
			err = s.rename(name, other)
		case op < 12:
			from, to := pick(folders), pick(folders)
			w.h.renamed(from, to)
			err = s.rename(from, to)
		case op < 13:
			err = s.mkdir(pick(folders))
		case op < 14:
			err = s.rmdir(pick(folders))
		case op < 15:
			err = s.remove(name)
		default:
			w.cutAndResume()
		}
		if err != nil && !refusal(err) {
			w.t.Errorf("worker %d, %T: %v", w.id, s, err)
			return
		}
	}
}

// cutAndResume cuts an upload in one session and ends it in another, under a name
// that nobody else uses.
func (w *worker) cutAndResume() {
	name := fmt.Sprintf("of worker %d", w.id)
	s := w.session()
	if err := s.remove(name); err != nil && !refusal(err) {
		w.t.Error(err)
		return
	}
	content := w.chunk(name)
	at := 1 + w.random.IntN(len(content)-1)
	if err := s.cut(name, content[:at]); err != nil {
		w.t.Errorf("cutting %s: %v", name, err)
		return
	}
	s = w.session()
	deadline := time.Now().Add(time.Minute)
	for size, err := int64(-1), error(nil); size != int64(at); size, err = s.size(name) {
		if time.Now().After(deadline) || err != nil && !refusal(err) {
			w.t.Errorf("%s can't be resumed at %d: it has %d bytes, %v", name, at, size, err)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := s.resume(name, content[at:], int64(at)); err != nil {
		w.t.Errorf("resuming %s at %d: %v", name, at, err)
	}
	if got, err := w.session().get(name); err != nil || !bytes.Equal(got, content) {
		w.t.Errorf("%s came with %d bytes, want %d: %v", name, len(got), len(content), err)
	}
}

// chunk is something to write under a name. It tells its own length and digest.
func (w *worker) chunk(name string) []byte {
	w.chunks++
	id := fmt.Sprintf("%d.%d", w.id, w.chunks)
	body := noise(w.random.IntN(200_000))
	w.h.wrote(name, id)
	return fmt.Appendf(nil, "chunk %s %d %x\n%s", id, len(body), sha256.Sum256(body), body)
}

// history is what was written, renamed and seen.
type history struct {
	mu      sync.Mutex
	written map[string]map[string]bool // chunks by name
	renames [][2]string
	seen    map[string][][]string // chunks of each content seen, by name
	faults  []error
}

func (h *history) wrote(name, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.written == nil {
		h.written, h.seen = map[string]map[string]bool{}, map[string][][]string{}
	}
	if h.written[name] == nil {
		h.written[name] = map[string]bool{}
	}
	h.written[name][id] = true
}

func (h *history) renamed(from, to string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renames = append(h.renames, [2]string{from, to})
}

// saw takes a content apart. It has to be made of whole chunks.
func (h *history) saw(name string, content []byte) {
	if content == nil {
		return // a folder
	}
	ids, err := whole(content)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.faults = append(h.faults, fmt.Errorf("%s: %w", name, err))
	}
	h.seen[name] = append(h.seen[name], ids)
}

func whole(content []byte) (ids []string, err error) {
	for len(content) > 0 {
		head, rest, _ := bytes.Cut(content, []byte("\n"))
		var id, digest string
		var length int
		if _, err := fmt.Sscanf(string(head), "chunk %s %d %s", &id, &length, &digest); err != nil {
			return ids, fmt.Errorf("behind %v comes %.40q", ids, content)
		}
		if length > len(rest) || sha256Hex(rest[:length]) != digest {
			return ids, fmt.Errorf("chunk %s is not whole", id)
		}
		ids, content = append(ids, id), rest[length:]
	}
	if len(ids) == 0 {
		return nil, errors.New("nobody wrote an empty file")
	}
	return ids, nil
}

// check follows the renames, in any order, and as often as they could have
// happened.
func (h *history) check(t *testing.T) {
	t.Helper()
	for grown := true; grown; {
		grown = false
		for _, r := range h.renames {
			for _, name := range slices.Collect(maps.Keys(h.written)) {
				rest, below := strings.CutPrefix(name, r[0]+"/")
				to := r[1]
				if below {
					to += "/" + rest
				} else if name != r[0] {
					continue
				}
				if h.written[to] == nil {
					h.written[to] = map[string]bool{}
				}
				before := len(h.written[to])
				maps.Copy(h.written[to], h.written[name])
				grown = grown || len(h.written[to]) > before
			}
		}
	}
	for name, contents := range h.seen {
		for _, ids := range contents {
			for _, id := range ids {
				if !h.written[name][id] {
					t.Errorf("%s held chunk %s, which was never written under that name", name, id)
				}
			}
		}
	}
	if err := errors.Join(h.faults...); err != nil {
		t.Error(err)
	}
}
