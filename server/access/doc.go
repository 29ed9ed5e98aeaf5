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
// was merely offered. The address is compared after IPv4-mapped IPv6 was
// unmapped, at accept ([Gate.Admit]) and again at login; what is no address is
// on no list. Clients and keys are read from the catalog at each login; only the
// set of networks that anybody may connect from is kept in memory, and it is
// read anew as soon as the access mark moves.
//
// A session that the rules no longer allow, because a key was revoked or an
// address taken away, is ended; see [Gate.Run].
//
// # Floods
//
// The first refusal of its kind (address, client and reason) is recorded at
// once, and what follows within [RepeatWindow] is counted and recorded as one.
// The number of kinds that are told apart is bounded.
package access
