// Package keys is the register of clients and of what each may prove itself
// with: its networks, its SSH keys to log in over sFTP, its password to log in over
// FTP, and its PGP certificates to seal for. Start with [NewRegister].
//
// Every change is one transaction with its audit record, and moves the access
// mark, by which a running gateway notices and ends the sessions that no longer
// stand. Nothing is cached here but parsed certificates: what a command changed
// holds for the next login.
//
// A client or one of its fields can be declared in the configuration. The
// declaration wins at every start and reload, so changing such a field here is
// refused with the place where it is declared.
//
// Private keys are refused by [Read] before anything else is done with the
// bytes; none is ever stored or logged. Of a password only an argon2id hash is
// stored, and nothing of it goes into an error, a log or the audit.
package keys
