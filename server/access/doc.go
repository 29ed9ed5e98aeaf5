// Package access is the one gate through which every login on every protocol
// goes. It answers yes or no, always with a [Reason] from a closed list, and
// records the answer in the audit: if it can't be recorded, the answer is no.
// Start with [New] and [Gate.Login].
//
// `sealdrop why` asks the same code through [Gate.Explain], so what it tells an
// operator is what the gateway does.
//
// # Rules
//
// Identity comes from a key whose signature was verified, never from one that
// was merely offered, or over FTP from a password. The address is compared after IPv4-mapped IPv6 was
// unmapped, at accept ([Gate.Admit]) and again at login; what is no address is
// on no list. Clients and keys are read from the catalog at each login; only the
// set of networks that anybody may connect from is kept in memory, and it is
// read anew as soon as the access mark moves.
//
// A session that the rules no longer allow, because a key was revoked, a password
// changed or an address taken away, is ended; see [Gate.Run].
//
// # Passwords
//
// A password is asked for only where it may be sent ([Gate.AskPassword]), is
// compared with an argon2id hash, and is forgotten: what is kept of a login is the
// hash that it was right for. Every try costs one comparison, whether or not there
// is such a client, and whatever else is wrong with it; only an address that is
// locked out costs none. A password that has let somebody in is remembered for two
// minutes, by a keyed digest, for the same client at the same address and as long
// as the stored hash is the same: Windows Explorer logs in anew for each file.
// Comparisons run on half of the cores at a time.
//
// Wrong passwords count against their address, like keys that are not registered,
// and besides, if they come from the client's own addresses, against the client: too
// many lock its password out for a while, and nothing else.
//
// # Attempts, and addresses that are learned
//
// [Gate.Attempts] and [Gate.FollowAttempts] tell of every attempt with the same words
// as were said then: a record holds the facts, and the words are made of them. What
// strangers do, who never showed who they are, is counted in a table of some thousand
// rows at most and not in the audit, which is kept for good.
//
// A client that has proved who it is, and whose address is not on its list, may be
// told so; that its address is perhaps to be added is for [Gate.Learned] to say and
// for a person to decide. The proof is a verified signature, or over TLS the right
// password; of the latter so few are looked at that guessing comes to nothing, and
// nothing of it can be told from outside. With [Config.Learn] addresses on nobody's list get
// as far as the proof, too, within the listener's own bounds for them.
//
// # Floods
//
// The first refusal of its kind (address, client and reason) is recorded at
// once, and what follows within [RepeatWindow] is counted and recorded as one.
// The number of kinds that are told apart is bounded.
package access
