package keys

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

// Client is somebody that reports are delivered to or, with DeliversTo, a producer
// that hands them in over sFTP.
type Client struct {
	ID   reports.ClientID
	Name string
	// Allow lists the networks that the client may connect from. Empty: none.
	Allow []netip.Prefix
	// Retention is how long its reports are kept, 0 for the gateway's default.
	Retention time.Duration
	Disabled  bool
	// FTP says how the client may log in with its password. "" is [FTPTLS].
	FTP FTPMode
	// Quota is how much it may have. Where it says nothing (0), the gateway's
	// default holds.
	Quota reports.Quota
	// DeliversTo is for whom a producer hands in reports. It gets none itself, and is
	// let in over sFTP only.
	DeliversTo Reach
	// Notify is who is told of what.
	Notify contact.Preferences
	// Declared maps the fields that the configuration declares ("name", "allow",
	// "retention", "disabled", "ftp", "quota", "quota_files", "notify") to the place where it
	// does ("config.yaml:12").
	// nil: the client is not declared.
	Declared map[string]string
	Created  time.Time
}

// Change is a change to a client. A nil field stays as it is.
type Change struct {
	Name      *string
	Allow     *[]netip.Prefix
	Retention *time.Duration
	Disabled  *bool
	FTP       *FTPMode
	// QuotaBytes and QuotaFiles are as in [reports.Quota].
	QuotaBytes *int64
	QuotaFiles *int64
	// DeliversTo is for a producer, and leaves it one.
	DeliversTo *Reach
	Notify     *contact.Preferences
}

// Producer reports whether c hands in reports instead of getting them.
func (c Client) Producer() bool { return !c.DeliversTo.IsZero() }

// FTPMode says how a client may use FTP. sFTP is open to it in any case.
type FTPMode string

// The modes.
const (
	FTPTLS   FTPMode = "tls"   // over TLS only
	FTPPlain FTPMode = "plain" // in the clear as well, where the gateway allows that at all
	FTPOff   FTPMode = "off"
)

// orDefault returns m, or what stands for it where nothing was said.
func (m FTPMode) orDefault() FTPMode {
	if m == "" {
		return FTPTLS
	}
	return m
}

// The names of a client's fields, as the configuration and errors write them.
const (
	FieldName       = "name"
	FieldAllow      = "allow"
	FieldRetention  = "retention"
	FieldDisabled   = "disabled"
	FieldFTP        = "ftp"
	FieldQuota      = "quota"
	FieldQuotaFiles = "quota_files"
	FieldNotify     = "notify"
	FieldDeliversTo = "delivers_to"
)

// fieldID is what a declaration has besides, which nothing changes.
const fieldID = "id"

// fields returns the names of all fields.
func fields() []string {
	return []string{FieldName, FieldAllow, FieldRetention, FieldDisabled, FieldFTP, FieldQuota, FieldQuotaFiles, FieldDeliversTo, FieldNotify}
}

// Register reads and changes clients and keys. It is safe for concurrent use.
type Register struct {
	db    *database.DB
	now   func() time.Time
	certs *certificates
	// addressees has what is read for each delivery.
	addressees *addressees
	// policy is for changes alone: what is in the catalog carries what it needs.
	policy Policy
}

// NewRegister returns the register that is kept in db.
func NewRegister(db *database.DB, now func() time.Time) *Register {
	return &Register{db: db, now: now, certs: newCertificates(), addressees: newAddressees()}
}

// Policy is what the gateway asks of keys that are imported.
type Policy struct {
	// TwoPerson: what one operator imports does nothing until another has approved it.
	TwoPerson bool
	// SSHMaxAge is how long an SSH key is good from its import on; 0: as long as it
	// is not retired. It is noted with each key, so that another policy holds for keys
	// that are imported from then on, and for the others when [Register.ApplyLimit]
	// says so.
	SSHMaxAge time.Duration
}

// WithPolicy returns a register that imports keys under a policy. Without, every key
// counts at once and has no limit.
func (r *Register) WithPolicy(p Policy) *Register {
	with := *r
	with.policy = p
	return &with
}

// Client returns one client, or an error that wraps [reports.ErrUnknownClient].
func (r *Register) Client(ctx context.Context, id reports.ClientID) (Client, error) {
	return readClient(ctx, r.db.Read(), id)
}

// Account is [Register.Client] without the client's networks. It is for who lets nobody
// in, and asks often.
func (r *Register) Account(ctx context.Context, id reports.ClientID) (Client, error) {
	return readAccount(ctx, r.db.Read(), id, nil)
}

func readClient(ctx context.Context, q *query.Queries, id reports.ClientID) (Client, error) {
	// The networks come first and in any case: the gate's answer must take a
	// stranger the same time whether or not there is such a client.
	prefixes, err := q.ListNetworks(ctx, id.String())
	if err != nil {
		return Client{}, fmt.Errorf("reading the networks of client %s: %w", id, err)
	}
	return readAccount(ctx, q, id, prefixes)
}

func readAccount(ctx context.Context, q *query.Queries, id reports.ClientID, prefixes []string) (Client, error) {
	row, err := q.GetClient(ctx, id.String())
	if errors.Is(err, database.ErrNotFound) {
		return Client{}, &reports.UnknownClientError{Client: id}
	}
	if err != nil {
		return Client{}, fmt.Errorf("reading client %s: %w", id, err)
	}
	return clientFromRow(row, prefixes)
}

func clientFromRow(row query.Client, prefixes []string) (Client, error) {
	id, err := reports.ParseClientID(row.ID)
	if err != nil {
		return Client{}, fmt.Errorf("reading the catalog: %w", err)
	}
	c := Client{
		ID: id, Name: row.Name, Disabled: row.Disabled != 0, FTP: FTPMode(row.Ftp).orDefault(),
		Retention: time.Duration(row.Retention) * time.Microsecond,
		Quota:     reports.Quota{Bytes: row.QuotaBytes, Files: row.QuotaFiles},
		Created:   database.Time(row.CreatedAt),
	}
	if row.Declared != "" {
		if err := json.Unmarshal([]byte(row.Declared), &c.Declared); err != nil {
			return Client{}, fmt.Errorf("reading client %s: its declaration: %w", id, err)
		}
	}
	if c.DeliversTo, err = ParseReach(row.DeliversTo); err != nil {
		return Client{}, fmt.Errorf("reading client %s: whom it delivers to: %w", id, err)
	}
	if c.Notify, err = contact.ParsePreferences(row.Notify); err != nil {
		return Client{}, fmt.Errorf("reading client %s: %w", id, err)
	}
	if c.Producer() {
		c.FTP = FTPOff
	}
	if c.FTP != FTPTLS && c.FTP != FTPPlain && c.FTP != FTPOff {
		return Client{}, fmt.Errorf("reading client %s: its ftp is %q", id, row.Ftp)
	}
	for _, s := range prefixes {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return Client{}, fmt.Errorf("reading client %s: its network %q: %w", id, s, err)
		}
		c.Allow = append(c.Allow, p)
	}
	return c, nil
}

// Clients calls yield for each client in the order of ids, until it returns
// false.
func (r *Register) Clients(ctx context.Context, yield func(Client) bool) error {
	const page = 500
	after := ""
	for {
		rows, err := r.db.Read().ListClients(ctx, query.ListClientsParams{After: after, N: page})
		if err != nil {
			return fmt.Errorf("reading the clients: %w", err)
		}
		for _, row := range rows {
			prefixes, err := r.db.Read().ListNetworks(ctx, row.ID)
			if err != nil {
				return fmt.Errorf("reading the clients: %w", err)
			}
			c, err := clientFromRow(row, prefixes)
			if err != nil {
				return err
			}
			if !yield(c) {
				return nil
			}
			after = row.ID
		}
		if len(rows) < page {
			return nil
		}
	}
}

// AddClient adds a client. One of the same id must not be there.
func (r *Register) AddClient(ctx context.Context, actor string, c Client) error {
	return r.db.Write(ctx, func(tx *database.Tx) error {
		_, err := tx.GetClient(tx.Context(), c.ID.String())
		if err == nil {
			return &ExistsError{Client: c.ID}
		}
		if !errors.Is(err, database.ErrNotFound) {
			return err
		}
		if err := knownReach(tx, c.DeliversTo); err != nil {
			return err
		}
		return r.insert(tx, actor, c)
	})
}

// knownReach returns an error that wraps [reports.ErrUnknownClient] if a producer
// can't deliver to one that it is to reach.
func knownReach(tx *database.Tx, reach Reach) error {
	for _, id := range reach.Clients {
		c, err := readClient(tx.Context(), tx.Queries, id)
		if err != nil {
			return err
		}
		if c.Producer() {
			return fmt.Errorf("%w: %s is a producer", reports.ErrUnknownClient, id)
		}
	}
	return nil
}

// ExistsError says that a client of that id is there already.
type ExistsError struct{ Client reports.ClientID }

func (e *ExistsError) Error() string { return fmt.Sprintf("client %s is there already", e.Client) }

// Hint says what an operator can do.
func (e *ExistsError) Hint() string {
	return fmt.Sprintf("see it with `sealdrop client show %s`, change it with `sealdrop client set %s`", e.Client, e.Client)
}

func (r *Register) insert(tx *database.Tx, actor string, c Client) error {
	now := r.now()
	declared, err := declaredText(c.Declared)
	if err != nil {
		return err
	}
	err = tx.InsertClient(tx.Context(), query.InsertClientParams{
		ID: c.ID.String(), Name: c.Name, Retention: c.Retention.Microseconds(), Disabled: flag(c.Disabled),
		Ftp: string(c.FTP.orDefault()), QuotaBytes: c.Quota.Bytes, QuotaFiles: c.Quota.Files,
		DeliversTo: c.DeliversTo.String(), Notify: c.Notify.Text(), Declared: declared, CreatedAt: database.Micros(now),
	})
	if err != nil {
		return fmt.Errorf("adding client %s: %w", c.ID, err)
	}
	if err := writeNetworks(tx, c); err != nil {
		return err
	}
	return r.changed(tx, audit.Entry{
		Event: "client.added", Actor: actor, Client: c.ID.String(),
		Detail: addedDetail(c),
	})
}

func addedDetail(c Client) map[string]string {
	detail := map[string]string{"name": c.Name, "allow": prefixText(c.Allow), "ftp": string(c.FTP.orDefault())}
	if c.Producer() {
		detail[FieldDeliversTo] = c.DeliversTo.String()
	}
	return detail
}

// changed records e, has the client told, and tells running gateways to look at
// access again.
func (r *Register) changed(tx *database.Tx, e audit.Entry) error {
	if err := tx.BumpMark(tx.Context(), database.AccessMark); err != nil {
		return err
	}
	if err := r.tell(tx, e); err != nil {
		return err
	}
	return audit.Append(tx, r.now(), e)
}

// UpdateClient changes a client. A declared field is refused with a
// [*DeclaredError], and then nothing is changed.
func (r *Register) UpdateClient(ctx context.Context, actor string, id reports.ClientID, change Change) (Client, error) {
	var c Client
	err := r.db.Write(ctx, func(tx *database.Tx) error {
		before, err := readClient(tx.Context(), tx.Queries, id)
		if err != nil {
			return err
		}
		var fields []string
		c, fields = change.apply(before)
		if err := before.checkUndeclared(fields); err != nil {
			return err
		}
		if before.Producer() != c.Producer() {
			return &RoleError{before}
		}
		if c.Producer() && c.FTP != FTPOff {
			return fmt.Errorf("%s is a producer, which is let in over sFTP only", id)
		}
		if err := knownReach(tx, c.DeliversTo); change.DeliversTo != nil && err != nil {
			return err
		}
		if before.dropped() && !c.Disabled {
			c.Declared = nil
		}
		return r.update(tx, actor, before, c)
	})
	return c, err
}

// apply returns the changed client and the names of the fields that differ.
func (ch Change) apply(c Client) (Client, []string) {
	var fields []string
	if ch.Name != nil && *ch.Name != c.Name {
		c.Name, fields = *ch.Name, append(fields, FieldName)
	}
	if ch.Allow != nil && !slices.Equal(Canonical(*ch.Allow), c.Allow) {
		c.Allow, fields = Canonical(*ch.Allow), append(fields, FieldAllow)
	}
	if ch.Retention != nil && *ch.Retention != c.Retention {
		c.Retention, fields = *ch.Retention, append(fields, FieldRetention)
	}
	if ch.Disabled != nil && *ch.Disabled != c.Disabled {
		c.Disabled, fields = *ch.Disabled, append(fields, FieldDisabled)
	}
	if ch.FTP != nil && ch.FTP.orDefault() != c.FTP.orDefault() {
		c.FTP, fields = *ch.FTP, append(fields, FieldFTP)
	}
	if ch.QuotaBytes != nil && *ch.QuotaBytes != c.Quota.Bytes {
		c.Quota.Bytes, fields = *ch.QuotaBytes, append(fields, FieldQuota)
	}
	if ch.QuotaFiles != nil && *ch.QuotaFiles != c.Quota.Files {
		c.Quota.Files, fields = *ch.QuotaFiles, append(fields, FieldQuotaFiles)
	}
	if ch.DeliversTo != nil && ch.DeliversTo.String() != c.DeliversTo.String() {
		c.DeliversTo, fields = *ch.DeliversTo, append(fields, FieldDeliversTo)
	}
	if ch.Notify != nil && ch.Notify.Text() != c.Notify.Text() {
		c.Notify, fields = *ch.Notify, append(fields, FieldNotify)
	}
	return c, fields
}

// update writes what differs between two versions of one client, if anything.
func (r *Register) update(tx *database.Tx, actor string, before, after Client) error {
	after.Allow = Canonical(after.Allow)
	diff := difference(before, after)
	declared, err := declaredText(after.Declared)
	if err != nil {
		return err
	}
	was, err := declaredText(before.Declared)
	if err != nil {
		return err
	}
	if len(diff) == 0 && declared == was {
		return nil
	}
	err = tx.UpdateClient(tx.Context(), query.UpdateClientParams{
		ID: after.ID.String(), Name: after.Name, Retention: after.Retention.Microseconds(),
		Disabled: flag(after.Disabled), Ftp: string(after.FTP.orDefault()),
		QuotaBytes: after.Quota.Bytes, QuotaFiles: after.Quota.Files, DeliversTo: after.DeliversTo.String(),
		Notify: after.Notify.Text(), Declared: declared,
	})
	if err != nil {
		return fmt.Errorf("changing client %s: %w", after.ID, err)
	}
	if len(diff) == 0 {
		return nil // only the line that declares it moved
	}
	if err := tx.DeleteNetworks(tx.Context(), after.ID.String()); err != nil {
		return err
	}
	if err := writeNetworks(tx, after); err != nil {
		return err
	}
	if err := r.tellNetworks(tx, after.ID, before.Allow, after.Allow); err != nil {
		return err
	}
	return r.changed(tx, audit.Entry{Event: "client.changed", Actor: actor, Client: after.ID.String(), Detail: diff})
}

// difference tells what changed, field by field, as "old → new".
func difference(before, after Client) map[string]string {
	diff := map[string]string{}
	note := func(field, was, is string) {
		if was != is {
			diff[field] = was + " → " + is
		}
	}
	note(FieldName, before.Name, after.Name)
	note(FieldAllow, prefixText(before.Allow), prefixText(after.Allow))
	note(FieldRetention, before.Retention.String(), after.Retention.String())
	note(FieldDisabled, fmt.Sprint(before.Disabled), fmt.Sprint(after.Disabled))
	note(FieldFTP, string(before.FTP.orDefault()), string(after.FTP.orDefault()))
	note(FieldQuota, limitText(before.Quota.Bytes), limitText(after.Quota.Bytes))
	note(FieldDeliversTo, before.DeliversTo.String(), after.DeliversTo.String())
	note(FieldNotify, before.Notify.Text(), after.Notify.Text())
	note(FieldQuotaFiles, limitText(before.Quota.Files), limitText(after.Quota.Files))
	return diff
}

// limitText tells a part of a quota.
func limitText(n int64) string {
	switch n {
	case 0:
		return "the gateway's"
	case reports.NoQuota:
		return "unlimited"
	}
	return strconv.FormatInt(n, 10)
}

// RemoveClient removes a client with its keys and its password. Its reports must be gone.
func (r *Register) RemoveClient(ctx context.Context, actor string, id reports.ClientID) error {
	return r.db.Write(ctx, func(tx *database.Tx) error {
		c, err := readClient(tx.Context(), tx.Queries, id)
		if err != nil {
			return err
		}
		if declared := new(DeclaredError); errors.As(c.checkUndeclared(fields()), &declared) {
			return &DeclaredError{Client: id, Place: cmp.Or(c.Declared[fieldID], declared.Place)}
		}
		switch _, err := tx.GetLegalHold(tx.Context(), id.String()); {
		case err == nil:
			return fmt.Errorf("client %s: %w", id, reports.ErrOnHold)
		case !errors.Is(err, database.ErrNotFound):
			return err
		}
		n, err := tx.CountClientEntries(tx.Context(), id.String())
		if err != nil {
			return err
		}
		if n > 0 {
			return &HasReportsError{Client: id, Reports: n}
		}
		if err := tx.DeleteClientEntries(tx.Context(), id.String()); err != nil { // its folders
			return err
		}
		if err := r.forgetDeliveries(tx, id); err != nil {
			return err
		}
		if err := tx.DeleteClient(tx.Context(), id.String()); err != nil {
			return fmt.Errorf("removing client %s: %w", id, err)
		}
		return r.changed(tx, audit.Entry{Event: "client.removed", Actor: actor, Client: id.String()})
	})
}

// forgetDeliveries lets go of what outlives a client's reports, so that a client
// which is later added under the same id inherits nothing: neither an
// interrupted upload nor the memory that a report was delivered already.
func (r *Register) forgetDeliveries(tx *database.Tx, id reports.ClientID) error {
	if err := tx.DeleteClientSources(tx.Context(), id.String()); err != nil {
		return fmt.Errorf("forgetting the deliveries to client %s: %w", id, err)
	}
	if err := errors.Join(tx.DeleteClientOutbox(tx.Context(), id.String()), tx.DeleteClientMessages(tx.Context(), id.String())); err != nil {
		return fmt.Errorf("forgetting the messages to client %s: %w", id, err)
	}
	partials, err := tx.ListClientPartials(tx.Context(), id.String())
	if err != nil {
		return fmt.Errorf("reading the interrupted uploads of client %s: %w", id, err)
	}
	for _, p := range partials {
		err := errors.Join(
			tx.InsertGarbage(tx.Context(), query.InsertGarbageParams{Blob: p.Blob, Since: database.Micros(r.now())}),
			tx.DeletePartial(tx.Context(), query.DeletePartialParams{ClientID: p.ClientID, Name: p.Name}),
		)
		if err != nil {
			return fmt.Errorf("letting go of the interrupted uploads of client %s: %w", id, err)
		}
	}
	return nil
}

// HasReportsError says that a client can't be removed while it has reports.
type HasReportsError struct {
	Client  reports.ClientID
	Reports int64
}

func (e *HasReportsError) Error() string {
	return fmt.Sprintf("client %s still has %d reports and uploads", e.Client, e.Reports)
}

// Hint says what an operator can do.
func (e *HasReportsError) Hint() string {
	return fmt.Sprintf("`sealdrop client disable %s` locks it out at once and lets retention take the rest; `sealdrop client remove %s --with-reports` deletes all of it now", e.Client, e.Client)
}

func writeNetworks(tx *database.Tx, c Client) error {
	for _, p := range Canonical(c.Allow) {
		err := tx.InsertNetwork(tx.Context(), query.InsertNetworkParams{ClientID: c.ID.String(), Prefix: p.String()})
		if err != nil {
			return fmt.Errorf("writing the networks of client %s: %w", c.ID, err)
		}
	}
	return nil
}

// Canonical returns the prefixes masked, in order and without duplicates. The
// IPv4-mapped form of IPv6 is taken for the IPv4 network that it means.
func Canonical(prefixes []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p.Masked())
	}
	// The catalog keeps prefixes as text and lists them in the order of the text.
	slices.SortFunc(out, func(a, b netip.Prefix) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

func prefixText(prefixes []netip.Prefix) string {
	var texts []string
	for _, p := range prefixes {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ",")
}

func declaredText(declared map[string]string) (string, error) {
	if declared == nil {
		return "", nil
	}
	text, err := json.Marshal(declared)
	return string(text), err
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
