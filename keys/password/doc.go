// Package password says what a password for FTP must be like, makes one up, and
// turns it into the only thing of it that is ever kept: an argon2id hash. Start
// with [Check] or [Generate], then [New]; [Parse] and [Hash.Matches] are the way
// back.
//
// # Hashes
//
// A hash is made with 19 MiB of memory and two passes over it (RFC 9106; the least
// that OWASP asks for), which takes some 30 ms of one core. It is stored as a PHC
// string, "$argon2id$v=19$m=19456,t=2,p=1$salt$hash", whose parameters belong to
// the hash: passwords that were set under other parameters stay good. Parse takes
// no string whose check would cost more than [maxMemory] and [maxPasses], since
// anybody who may try a password could make the gateway spend that.
//
// Somebody who asks for an unknown user must cost the gateway what a known one
// costs: see [Decoy].
//
// # Secrets
//
// No error, and no way of printing a [Hash], shows a password or a hash.
package password
