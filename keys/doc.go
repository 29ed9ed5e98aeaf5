// Package keys is the register of clients and of what each may prove itself
// with: its networks, its SSH keys to log in over sFTP, its password to log in over
// FTP, and its PGP certificates to seal for. Start with [NewRegister].
//
// Every change is one transaction with its audit record, and moves the access
// mark, by which a running gateway notices and ends the sessions that no longer
// stand. Nothing is remembered here but parsed certificates, and what [Register.Addressee]
// has read since the mark last moved: what a command changed holds for the next login and
// the next report.
//
// A client or one of its fields can be declared in the configuration. The
// declaration wins at every start and reload, so changing such a field here is
// refused with the place where it is declared.
//
// Keys have a life: [Register.ImportAs] registers them, brings them up to date, and
// begins a rotation, in which the old key overlaps with its successor; a key ends by
// itself, by [Policy.SSHMaxAge], by [Register.Retire], or for good by [Register.Revoke]
// or its owner's revocation. What has ended is not used for anything, and nothing but an
// import takes a retired key back into use. A certificate is never weakened by a copy
// that lacks something: copies are put together, and only its owner's signatures count.
//
// Under [Policy.TwoPerson] what one operator imports waits for [Register.Approve] by
// another. The rule is in the import and the approval alone, so that a key which waits
// still does when the rule is switched off. [Register.Enforce] notes the rule in the
// catalog, so that a command with another configuration is bound by it as well. It binds
// who has this program and no more: whoever can write to the catalog, root above all,
// needs neither.
//
// Private keys are refused by [Read] before anything else is done with the
// bytes; none is ever stored or logged. Of a password only an argon2id hash is
// stored, and nothing of it goes into an error, a log or the audit.
package keys
