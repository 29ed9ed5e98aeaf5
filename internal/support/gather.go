package support

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Source is the gateway that a bundle is made of.
type Source struct {
	Register *keys.Register
	Catalog  *catalog.Catalog
	DB       *database.DB
	// Settings are the configuration's, by key: only numbers, truth values and
	// words from a list; of all others, how many values they have.
	Settings map[string]any
	Engine   string // of the catalog
	DataDir  string
	Version  string
	Aliases  Aliases
	Now      time.Time
}

// Options says what goes into a bundle.
type Options struct {
	// Client limits it to one client; zero for all.
	Client reports.ClientID
	// Since is how far back records go.
	Since time.Time
	// Extended adds each report's sizes and times.
	Extended bool
	// Comment is the operator's own words.
	Comment string
}

// MaxRecords bounds how many audit records, and how many reports, a bundle has: the
// newest.
const MaxRecords = 20_000

// Gather builds a bundle. It changes nothing.
func Gather(ctx context.Context, s Source, o Options) (*Bundle, error) {
	b := &Bundle{made: s.Now.UTC().Truncate(time.Second)}
	clients, err := s.clients(ctx, o)
	if err != nil {
		return nil, err
	}
	records, err := s.records(ctx, o)
	if err != nil {
		return nil, err
	}
	figures, err := s.figures(ctx)
	if err != nil {
		return nil, err
	}
	parts := []struct {
		name, what string
		value      any
	}{
		{"host.json", "version, system, processors, memory, disk", s.host()},
		{"settings.json", "settings that name nothing; of others, how many values", s.Settings},
		{"figures.json", "reports by state, and bytes", figures},
		{"clients.json", "clients and their keys, by alias", clients},
		{"records.json", "logins, refusals and changes, by alias", records},
	}
	if o.Extended {
		list, err := s.reports(ctx, o)
		if err != nil {
			return nil, err
		}
		parts = append(parts, struct {
			name, what string
			value      any
		}{"reports.json", "reports by alias: sizes, times and states", list})
	}
	for _, p := range parts {
		if err := b.add(p.name, p.what, p.value); err != nil {
			return nil, err
		}
	}
	manifest, err := newFile("manifest.json", "this list", map[string]any{
		"made": b.made, "version": s.Version, "since": o.Since.UTC(), "client": s.Aliases.Client(o.Client.String()), "extended": o.Extended,
		"comment": o.Comment, "files": b.files,
	})
	if err != nil {
		return nil, err
	}
	b.files = slices.Insert(b.files, 0, manifest)
	return b, nil
}

func (s Source) host() any {
	var name unix.Utsname
	var memory unix.Sysinfo_t
	var disk unix.Statfs_t
	// What the system does not tell stays 0.
	_ = unix.Uname(&name)
	_ = unix.Sysinfo(&memory)
	_ = unix.Statfs(s.DataDir, &disk)
	return map[string]any{
		"version": s.Version, "go": runtime.Version(), "system": runtime.GOOS, "architecture": runtime.GOARCH,
		"kernel": unix.ByteSliceToString(name.Release[:]), "processors": runtime.NumCPU(),
		"memory_bytes": uint64(memory.Totalram) * uint64(memory.Unit), "catalog": s.Engine,
		"disk_bytes": disk.Blocks * uint64(disk.Bsize), "disk_free_bytes": disk.Bavail * uint64(disk.Bsize),
		"disk_files_free": disk.Ffree, "disk_type": disk.Type,
	}
}

func (s Source) figures(ctx context.Context) (any, error) {
	f, err := s.Catalog.Figures(ctx, s.Now.Add(14*24*time.Hour))
	if err != nil {
		return nil, err
	}
	states := map[string]int64{}
	for _, c := range f.States {
		states[string(c.Kind)+"s "+string(c.State)] = c.N
	}
	return map[string]any{"files": states, "bytes": f.Bytes, "uncollected_purged_within_14_days": f.Uncollected}, nil
}

// client is a client in a bundle.
type client struct {
	Client   string     `json:"client"`
	Disabled bool       `json:"disabled"`
	FTP      string     `json:"ftp"`
	Producer bool       `json:"producer"`
	Networks []string   `json:"networks"` // families and lengths only: "ip4/32"
	Declared bool       `json:"declared"`
	Created  time.Time  `json:"created"`
	Password *ending    `json:"password,omitempty"`
	Keys     []keyFacts `json:"keys"`
}

type ending struct {
	State   string    `json:"state"`
	Expires time.Time `json:"expires,omitzero"`
}

type keyFacts struct {
	Key       string    `json:"key"`
	Kind      string    `json:"kind"`
	Algorithm string    `json:"algorithm"`
	State     string    `json:"state"`
	Added     time.Time `json:"added"`
	Ends      time.Time `json:"ends,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"`
}

func (s Source) clients(ctx context.Context, o Options) ([]client, error) {
	list := []client{}
	err := s.Register.Clients(ctx, func(c keys.Client) bool {
		if !o.Client.IsZero() && c.ID != o.Client {
			return true
		}
		v := client{
			Client: s.Aliases.Client(c.ID.String()), Disabled: c.Disabled, FTP: closed(string(c.FTP)), Producer: c.Producer(),
			Networks: []string{}, Declared: c.Declared != nil, Created: c.Created.UTC(), Keys: []keyFacts{},
		}
		for _, p := range c.Allow {
			family := "ip6"
			if p.Addr().Is4() {
				family = "ip4"
			}
			v.Networks = append(v.Networks, family+p.String()[strings.LastIndexByte(p.String(), '/'):])
		}
		list = append(list, v)
		return true
	})
	if err != nil {
		return nil, err
	}
	return list, s.addCredentials(ctx, o, list)
}

// addCredentials adds what the clients log in with and are sealed to.
func (s Source) addCredentials(ctx context.Context, o Options, list []client) error {
	at := map[string]*client{}
	for i := range list {
		at[list[i].Client] = &list[i]
	}
	all, err := s.Register.Keys(ctx, o.Client)
	if err != nil {
		return err
	}
	for _, k := range all {
		c := at[s.Aliases.Client(k.Client.String())]
		if c == nil {
			continue // added since
		}
		c.Keys = append(c.Keys, keyFacts{
			Key: s.Aliases.Key(k.Fingerprint), Kind: string(k.Kind), Algorithm: algorithm(k.Algorithm), State: closed(string(k.State(s.Now))),
			Added: k.Added.UTC(), Ends: utc(k.End()), LastUsed: utc(k.LastUsed),
		})
	}
	return s.Register.Passwords(ctx, func(p keys.Password) bool {
		if c := at[s.Aliases.Client(p.Client.String())]; c != nil {
			c.Password = &ending{State: closed(string(p.State(s.Now))), Expires: utc(p.Expires)}
		}
		return true
	})
}

// record is an audit record in a bundle.
type record struct {
	Number  int64             `json:"number"`
	Time    time.Time         `json:"time"`
	Event   string            `json:"event"`
	By      string            `json:"by"` // operator, client, api or gateway
	Client  string            `json:"client,omitempty"`
	Subject string            `json:"subject,omitempty"`
	Address string            `json:"address,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
}

// told are the details that are passed on, if they are words of a closed list.
// "reason" is one for logins only: elsewhere it is an operator's own sentence.
func told(event audit.Event) []string {
	if strings.HasPrefix(string(event), "login.") || strings.HasPrefix(string(event), "data.") {
		return []string{"reason", "protocol", "count", "port"}
	}
	return []string{"protocol", "count", "kind", "state", "size", "files", "bytes"}
}

func (s Source) records(ctx context.Context, o Options) ([]record, error) {
	list := []record{}
	filter := audit.Filter{Client: o.Client.String(), Limit: 1000}
	for {
		page, err := audit.List(ctx, s.DB.Read(), filter)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if r.Time.Before(o.Since) || len(list) == MaxRecords {
				return list, nil
			}
			list = append(list, s.record(r))
		}
		if int64(len(page)) < filter.Limit {
			return list, nil
		}
		filter.Before = page[len(page)-1].Seq
	}
}

func (s Source) record(r audit.Record) record {
	by, _, _ := strings.Cut(r.Actor, ":")
	v := record{
		Number: r.Seq, Time: r.Time.UTC(), Event: event(string(r.Event)), By: closed(by), Client: s.Aliases.Client(r.Client),
		Address: s.Aliases.Address(r.Detail["address"]), Detail: map[string]string{},
	}
	switch noun, _, _ := strings.Cut(string(r.Event), "."); noun {
	case "login", "key":
		v.Subject = s.Aliases.Key(r.Subject)
	case "report", "file":
		v.Subject = s.Aliases.Report(r.Subject)
	case "address", "data":
		v.Subject = s.Aliases.Address(r.Subject)
	}
	for _, name := range told(r.Event) {
		if value := closed(r.Detail[name]); value != "" {
			v.Detail[name] = value
		}
	}
	return v
}

// report is a report in a bundle.
type report struct {
	Report    string    `json:"report"`
	Client    string    `json:"client"`
	Kind      string    `json:"kind"`
	State     string    `json:"state"`
	LegalHold bool      `json:"legal_hold"`
	Size      int64     `json:"size"`
	PlainSize int64     `json:"plain_size"`
	SealedTo  []string  `json:"sealed_to"`
	Received  time.Time `json:"received"`
	Published time.Time `json:"published,omitzero"`
	Collected time.Time `json:"collected,omitzero"`
	Removed   time.Time `json:"removed,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
}

func (s Source) reports(ctx context.Context, o Options) ([]report, error) {
	list := []report{}
	filter := catalog.Filter{Client: o.Client, Limit: 500}
	for {
		page, err := s.Catalog.Reports(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, r := range page {
			if r.Received.Before(o.Since) || len(list) == MaxRecords {
				return list, nil
			}
			v := report{
				Report: s.Aliases.Report(r.ID), Client: s.Aliases.Client(r.Client.String()), Kind: closed(string(r.Kind)), State: closed(string(r.State)),
				LegalHold: r.LegalHold, Size: r.Size, PlainSize: r.PlainSize, SealedTo: []string{}, Received: r.Received.UTC(),
				Published: utc(r.Published), Collected: utc(r.Collected), Removed: utc(r.Removed), Expires: utc(r.Expires),
			}
			for _, fingerprint := range r.SealedTo {
				v.SealedTo = append(v.SealedTo, s.Aliases.Key(fingerprint))
			}
			list = append(list, v)
		}
		if len(page) < filter.Limit {
			return list, nil
		}
		filter.Before = &page[len(page)-1]
	}
}

// utc keeps times that are not set as they are.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// closed passes on what can be a word of a closed list, or a number, and nothing
// that could be anything else.
func closed(word string) string { return passed(word, "-", 32) }

// event passes on an event's name: "login.refused".
func event(name string) string { return passed(name, "-.", 40) }

// algorithm passes on what our own parsers have said: "ssh-rsa 3072", "ed25519/cv25519".
func algorithm(name string) string { return passed(name, "-/ ", 60) }

func passed(text, others string, longest int) string {
	if len(text) > longest {
		return ""
	}
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(others, r) {
			return ""
		}
	}
	return text
}
