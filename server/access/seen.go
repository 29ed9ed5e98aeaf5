package access

import (
	"maps"
	"net/netip"
	"strconv"
	"time"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/database/query"
)

// The events of logins, beside those of data ports. The catalog has an index for
// them.
const (
	loginAllowed audit.Event = "login.allowed"
	loginRefused audit.Event = "login.refused"
	sessionEnded audit.Event = "session.ended"
)

// Answer is what became of an attempt.
type Answer string

// The answers, a closed list.
const (
	AnswerAllowed Answer = "allowed"
	AnswerRefused Answer = "refused"
	AnswerEnded   Answer = "ended"  // a session, by the gateway
	AnswerFailed  Answer = "failed" // a data port was never opened
)

// Seen is an attempt to get in as it was recorded, or several of the same kind.
type Seen struct {
	// Number is that of the audit's record, 0 for a stranger's, which is only counted.
	Number int64     `json:"number,omitempty"`
	Time   time.Time `json:"time"` // of the first
	// Last is when the last of several was there, zero if it is not known.
	Last     *time.Time `json:"last,omitempty"`
	Times    int64      `json:"times"`
	Protocol string     `json:"protocol,omitempty"`
	// Address is an address, or for several an IPv6 network; "" stands for many.
	Address string `json:"address,omitempty"`
	// User is the name that was given, made printable and cut.
	User   string `json:"user,omitempty"`
	Client string `json:"client,omitempty"`
	Answer Answer `json:"answer"`
	Reason Reason `json:"reason"`
	// Key is the fingerprint that got in, or was proved; [ByPassword] for a password.
	Key      string `json:"key,omitempty"`
	Offered  string `json:"offered,omitempty"`
	Software string `json:"software,omitempty"`
	What     string `json:"what"`
	// Remedy is "" where there is none to tell.
	Remedy string `json:"remedy,omitempty"`

	proved bool
	since  time.Time // of a record that counts repetitions: when the first of them was
}

// repeated reports whether it stands for refusals that came after another.
func (s Seen) repeated() bool { return !s.since.IsZero() }

// repeats reports whether s counts the repetitions of first.
func (s Seen) repeats(first Seen) bool {
	const slack = 2 * time.Second // the count has whole seconds, and recording the first takes its time
	return s.repeated() && !first.repeated() && first.Answer == AnswerRefused &&
		s.Reason == first.Reason && s.Client == first.Client && s.proved == first.proved && s.Address == bucketOf(first.Address) &&
		!first.Time.Before(s.since.Add(-slack)) && first.Time.Before(s.since.Add(RepeatWindow))
}

func bucketOf(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return bucket(addr)
}

// lasting is what of the facts a record needs beside what every record has, for
// [seen] to find the same words.
func (f facts) lasting() map[string]string {
	d := map[string]string{"owner": f.owner, "importer": f.by, "key-id": f.keyID}
	if f.policy {
		d["max-age"] = f.age
	}
	if !f.when.IsZero() {
		d["when"] = f.when.UTC().Format(time.RFC3339)
	}
	if f.announced.IsValid() {
		d["announced"] = f.announced.String()
	}
	for key, is := range map[string]bool{"tls": f.tls, "nobodys-address": f.stranger, "password-locked": f.password, "producer": f.producer, "elsewhere": f.elsewhere} {
		if is {
			d[key] = "true"
		}
	}
	maps.DeleteFunc(d, func(_, v string) bool { return v == "" })
	return d
}

// seen reads a record of one of the events above.
func seen(row query.Audit, detail map[string]string) Seen {
	s := Seen{
		Number: row.Seq, Time: database.Time(row.At), Times: 1, Protocol: detail["protocol"], Address: detail["address"], User: detail["user"],
		Client: row.ClientID, Reason: Reason(detail["reason"]), Key: detail["key"], Offered: detail["offered"], Software: detail["software"],
	}
	switch audit.Event(row.Event) {
	case loginAllowed:
		s.Answer, s.Reason = AnswerAllowed, Allowed
	case sessionEnded:
		s.Answer = AnswerEnded
	case dataUnreachable:
		s.Answer, s.Reason, s.Protocol, s.Address = AnswerFailed, PassivePortUnreachable, FTP, row.Subject
	case dataRefused:
		s.Answer, s.Protocol, s.Address = AnswerRefused, FTP, row.Subject
	default:
		s.Answer = AnswerRefused
	}
	if s.proved = detail["proved"] != "" || detail["again"] == "proved"; detail["proved"] != "" {
		s.Key = detail["proved"]
	}
	if n, err := strconv.ParseInt(detail["times"], 10, 64); err == nil {
		s.Times, s.Last = n, &s.Time
		s.since, _ = time.Parse(time.RFC3339, detail["since"]) // an unreadable one merges with nothing
	}
	if s.User == "" {
		s.User = s.Client
	}
	s.explain(detail)
	return s
}

// explain finds the words for a record.
func (s *Seen) explain(detail map[string]string) {
	f := facts{
		user: s.User, address: s.Address, keys: s.Offered, owner: detail["owner"], detail: detail["detail"],
		stranger: detail["nobodys-address"] != "", proved: s.proved, ftp: s.Protocol == FTP,
		by: detail["importer"], keyID: detail["key-id"], policy: detail["max-age"] != "", age: detail["max-age"], producer: detail["producer"] != "", elsewhere: detail["elsewhere"] != "",
		tls: detail["tls"] == "true", unknown: s.Client == "", password: detail["password-locked"] != "",
	}
	if s.Key != "" && s.Key != ByPassword {
		f.keys = s.Key
	}
	// What can't be read is not told.
	f.when, _ = time.Parse(time.RFC3339, detail["when"])
	f.announced, _ = netip.ParseAddrPort(detail["announced"])
	s.What, s.Remedy = explanation(s.Reason, f)
	if s.Answer == AnswerAllowed {
		s.Remedy = ""
	}
}

// seenStranger reads a row of what is only counted.
func seenStranger(row query.Stranger) Seen {
	last := database.Time(row.LastAt)
	s := Seen{
		Time: database.Time(row.FirstAt), Last: &last, Times: row.Times, Protocol: row.Protocol, Address: row.Address,
		User: row.UserName, Answer: AnswerRefused, Reason: Reason(row.Reason),
	}
	if s.Address == others {
		s.Address = ""
		s.What = "connections from too many addresses to tell them apart"
		return s
	}
	s.explain(map[string]string{"detail": row.Detail})
	return s
}

// lastTime is when it was there last, as far as is known.
func (s Seen) lastTime() time.Time {
	if s.Last != nil {
		return *s.Last
	}
	return s.Time
}
