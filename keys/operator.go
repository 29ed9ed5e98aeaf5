package keys

// NoUID stands for a user id that is not known.
const NoUID = -1

// Operator is who makes a change, as far as the operating system can tell.
type Operator struct {
	Actor string // as the audit writes it: "operator:NAME"
	// UID is the real user id of the process.
	UID int64
	// Login is the user that had logged in, which the kernel keeps through sudo and
	// su (audit login uid), or NoUID. It must be one that the caller could not choose.
	Login int64
}

// Same reports whether two operators may be one person. Where the kernel knows who
// logged in, that decides: people who share a service account by sudo are told
// apart, and one person with two accounts at hand is not two. Otherwise the real
// user id does. Who can't be told apart is taken for one person.
func (o Operator) Same(other Operator) bool {
	if o.Login != NoUID && other.Login != NoUID {
		return o.Login == other.Login
	}
	if o.UID == NoUID || other.UID == NoUID {
		return true
	}
	// Who is known by a login on one side only may use the account of that login itself
	// on the other.
	return o.UID == other.UID || o.UID == other.Login || o.Login == other.UID
}
