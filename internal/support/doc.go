// Package support makes the bundle that an operator sends to whoever helps with
// the gateway: enough to find most faults by, and nothing that belongs to a client.
//
// Start with [Gather], which builds a [Bundle]; [Bundle.Write] writes it as a zip.
//
// # What it promises
//
//   - A bundle is built from an allowlist. Each file in it is made of fields that
//     this package names one by one; what it does not name is not in it, and a new
//     column or setting stays out until somebody adds it here.
//   - It holds no name of a client, file or person, no address, no fingerprint, no
//     key, hash, token or password, no content, and no path. Where it has to say that
//     two things are the same it uses an alias ([Aliases]): a keyed hash, the same
//     in every bundle of one gateway, that can't be reversed by trying all addresses
//     without the gateway's own key. The operator, who has it, can.
//   - Words are passed on only from closed lists: a value that is not made of a few
//     lower-case letters, digits and hyphens is left out, wherever it comes from.
//   - The manifest lists each file with its size and SHA-256.
//
// The operator's comment is the one free text, and is passed on as it is.
package support
