// Package publish takes a report from its producer to its client's folder:
// sealed while it streams in, made durable, and then published by one row.
// Start with [Publisher.Publish].
//
// The plaintext goes from the producer's stream into the sealing writer and
// nowhere else; what reaches the disk is ciphertext. The order is: blob
// durable, then one transaction with the row and its audit record, then the
// acknowledgement. A crash before the commit leaves a blob that no row shows,
// which the orphan sweep removes; a crash after it loses nothing.
//
// A report for a client without a usable certificate is held: sealed to the
// gateway's hold key, invisible, and released by [Publisher.Release] once there
// is a certificate. Releasing replaces only the session-key packets at the
// front of the sealed file; the body is copied as it is, and never opened.
//
// For a client that lost its key, [Publisher.Reseal] readdresses what was published
// to it in the same way, with a private key that opens it: the escrow's, as a rule.
//
// What goes beyond the client's quota is refused: before the sealing where that is
// clear by then, as soon as the sealed bytes pass it, and again in the transaction
// that publishes. Held reports count, and their release is never refused.
//
// Delivering the same client, name and content again changes nothing and is
// answered with the first delivery's report.
package publish
