package status

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/sealdrop/sealdrop/server/access"
)

// refusals is what one client was refused for, for one reason.
type refusals struct {
	Refusal   // the last
	times     int64
	addresses map[string]bool
}

// see takes one more refusal, for the same reason. What counts repetitions does not
// tell the protocol, and of an IPv6 address only the network.
func (c *refusals) see(r Refusal) {
	c.times += max(r.Times, 1)
	if !single(r.Address) && single(c.Address) {
		r.Address = c.Address
	}
	c.addresses[r.Address] = true
	protocol, later := cmp.Or(r.Protocol, c.Protocol), r.At.After(c.At)
	if later {
		c.Refusal = r
	}
	c.Protocol = protocol
}

func single(address string) bool {
	_, err := netip.ParseAddr(address)
	return err == nil
}

func (j *judge) refused() {
	type cause struct{ client, reason string }
	found := make(map[cause]*refusals)
	var order []cause
	for _, r := range j.s.Refusals {
		key := cause{r.Client, r.Reason}
		c := found[key]
		if c == nil {
			c = &refusals{Refusal: r, addresses: make(map[string]bool)}
			found[key] = c
			order = append(order, key)
		}
		c.see(r)
	}
	for _, key := range order {
		c := found[key]
		if j.s.LastLogins[key.client].After(c.At) {
			continue // it has got in since
		}
		from := c.Address
		if n := len(c.addresses); n > 1 {
			from = fmt.Sprintf("%s and %s", from, plural(int64(n-1), "other address"))
		}
		what, advice := strings.ReplaceAll(c.Reason, "-", " "), access.Reason(c.Reason).Remedy(c.Client, c.Address, c.Protocol)
		if c.foreign() {
			what = "the key is " + c.Owner + "'s"
			advice = "have the client log in with the user name " + c.Owner + ", or use a key of its own"
		}
		j.add(j.from(Item{
			Level: Yellow, Kind: KindRefused, Client: c.Client, Count: c.times,
			What: fmt.Sprintf("refused %s from %s: %s", timesText(c.times), from, what), Fix: refusalFix(c.Refusal), Advice: advice,
		}, c.At))
	}
}

// foreign says whether the client came with the key of another, which an import does
// not mend.
func (r Refusal) foreign() bool {
	return access.Reason(r.Reason) == access.KeyUnknown && r.Owner != "" && r.Owner != r.Client
}

// refusalFix is the command that lets a client in, or else tells more.
func refusalFix(r Refusal) string {
	if r.foreign() {
		return "sealdrop attempts --client " + r.Client
	}
	switch access.Reason(r.Reason) {
	case access.AddressNotAllowed:
		return fmt.Sprintf("sealdrop client allow %s %s", r.Client, r.Address)
	case access.ClientDisabled:
		return "sealdrop client enable " + r.Client
	case access.KeyUnknown, access.KeyRetired, access.KeyRevoked, access.KeyExpired, access.KeyTooWeak:
		return fmt.Sprintf("sealdrop key import --client %s FILE", r.Client)
	case access.PasswordMissing, access.PasswordWrong, access.PasswordExpired:
		return fmt.Sprintf("sealdrop password set --client %s --generate", r.Client)
	case access.ProtocolNotEnabled:
		if r.Protocol != access.FTP {
			break // a client at the intake, or a producer at the edge
		}
		return fmt.Sprintf("sealdrop client set %s --ftp tls", r.Client)
	case access.TooManyAttempts:
		if single(r.Address) {
			return "sealdrop ban lift " + r.Address
		}
	}
	if !single(r.Address) {
		return "sealdrop attempts --client " + r.Client
	}
	why := fmt.Sprintf("sealdrop why --client %s --from %s", r.Client, r.Address)
	if r.Protocol == access.FTP {
		why += " --protocol ftp"
	}
	return why
}

func (j *judge) credentials() {
	type owner struct {
		kind         Kind
		client, what string
	}
	last := make(map[owner]Credential)
	for _, c := range j.s.Credentials {
		key := owner{c.Kind, c.Client, c.Type}
		if other, known := last[key]; !known || c.Ends.After(other.Ends) {
			last[key] = c
		}
	}
	for _, c := range j.s.Credentials {
		if last[owner{c.Kind, c.Client, c.Type}] != c {
			continue // another is there for longer
		}
		left := c.Ends.Sub(j.s.Now)
		i := Item{Kind: c.Kind, Level: Notice}
		switch {
		case left <= endsRed:
			i.Level = Red
		case left <= endsYellow:
			i.Level = Yellow
		case left > EndsAhead:
			continue
		}
		j.add(until(j.credential(i, c, left <= 0), c.Ends))
	}
}

func (j *judge) credential(i Item, c Credential, over bool) Item {
	ends := "expires on "
	switch {
	case over:
		ends = "expired on "
		i = j.from(i, c.Ends)
	case c.Retired:
		ends = "is retired on "
	}
	ends += dateText(c.Ends.In(j.s.Zone))
	i.Client = c.Client
	switch c.Kind {
	case KindPassword:
		i.What = "its password " + ends
		i.Fix = fmt.Sprintf("sealdrop password set --client %s --generate", c.Client)
		i.Advice = "tell the client its new password"
	case KindToken:
		i.Client = ""
		i.What = fmt.Sprintf("the producer %s's right to hand in %s", c.Client, ends)
		i.Fix = "sealdrop token add --name " + shellArg(c.Client)
		i.Advice = "give it a token for longer"
	default:
		i.What = fmt.Sprintf("its only %s key (%s) %s", typeText(c.Type), shortFingerprint(c.Fingerprint), ends)
		i.Fix = fmt.Sprintf("sealdrop key import --client %s FILE", c.Client)
		i.Advice = "have the client send a new public key"
		if c.Type == "pgp" {
			i.Advice = "have the client extend its key or make a new one, and send the public half"
		}
	}
	return i
}

func (j *judge) approvals() {
	for _, a := range j.s.Approvals {
		j.add(j.from(Item{
			Level: Yellow, Kind: KindApproval, Client: a.Client,
			What: fmt.Sprintf("its %s key (%s) waits for a second operator's approval", typeText(a.Type), shortFingerprint(a.Fingerprint)),
			Fix:  "sealdrop key approve " + a.ID,
		}, a.Since))
	}
}

func (j *judge) bans() {
	for _, b := range j.s.Bans {
		if b.Client == "" {
			continue
		}
		what := "is locked out from " + b.Name + " after failed logins"
		if b.Name == "client:"+b.Client {
			what = "its password is locked out after wrong ones from its own addresses"
		}
		j.add(until(Item{
			Level: Yellow, Kind: KindBan, Client: b.Client, What: what, Fix: "sealdrop ban lift " + b.Name,
			Advice: "it ends by itself at " + b.Until.In(j.s.Zone).Format("15:04"),
		}, b.Until))
	}
}
