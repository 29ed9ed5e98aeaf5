// Package pgp reads and vets the OpenPGP certificates of clients, and seals
// reports to them.
//
// # Where to start
//
//	certs, err := pgp.Parse(file)              // what a client sent
//	err = certs[0].Usable(time.Now())          // nil, or the reason in plain words
//	w, err := pgp.NewWriter(dst, pgp.Options{  // dst receives ciphertext only
//		Recipients: certs, FileName: "activity.csv", Size: -1, Compress: true,
//	})
//	_, err = io.Copy(w, report)
//	err = w.Close()
//
// A later copy of a certificate is put together with the one that is known by
// [Certificate.Merge], and [Certificate.Since] tells what changed. [ParseAll] also reads
// revocation certificates, for [Certificate.Revoke].
//
// A report for a client without a usable key is sealed to the gateway's own hold
// key, a [PrivateKey]; when a good certificate arrives, [Reseal] readdresses the
// sealed file without decrypting it. [Recipients] tells for whom a sealed file is.
//
// # What it promises
//
//   - A [Certificate] comes only from [Parse], which reads everything in a file or
//     refuses it: a key is never skipped silently. It may be used by any number of
//     goroutines.
//   - Nothing of a private key that a client sends by mistake is kept, and no error
//     holds a byte of it: see [PrivateKeyError].
//   - Merging takes nothing away and adds only what the certificate's own key has signed.
//     A revocation counts only if that key made it; one by a designated revoker, which
//     can't be checked without the revoker's key, is refused and never passed over.
//   - What is vetted is what is used. [NewWriter] asks each recipient again, for the
//     time it is given, and seals to all of them or to none.
//   - The output is a binary OpenPGP message that GnuPG 2.2 and 2.4, Sequoia and RNP
//     open: PKESK version 3 and SEIPD version 1 (RFC 9580, sections 5.1.1 and 5.13.1)
//     with AES-256, whatever else the certificates advertise, because some of them
//     advertise what the software beside them can't read. Only when every recipient
//     has a version 6 key is the message PKESK 6 and SEIPD 2 with OCB.
//   - Sealing streams. Memory does not depend on the size of a report: some 6 MiB per
//     writer with two processors, in buffers that writers share one after the other.
//   - Until [Writer.Close] has returned nil the output is not a valid message: it
//     lacks its integrity code, and every OpenPGP program refuses it. So a report
//     that can't be read to its end is given up by not calling Close. Nothing
//     leaks: a writer owns no goroutine that outlives the work in its hands.
//   - A panic of the OpenPGP library on a stranger's bytes becomes an error.
//
// # What it refuses
//
// Certificates that have expired, are revoked or not valid yet, have no subkey for
// encryption, are weak (RSA under 2048 bits, DSA, ElGamal, secp256k1), or use an
// unsupported version or algorithm. [Reason] lists the cases. Every error that an
// operator sees has a Hint method: what to ask of the client.
//
// Preferences that a certificate states about ciphers and compression are not
// consulted: AES-256 and ZIP are understood everywhere, and the preferences of an
// escrow key must not weaken what the client gets.
//
// # How it is fast
//
// Compression is ZIP (raw deflate, RFC 9580, section 5.6): large reports as blocks
// of 512 KiB on all processors, each primed with the 32 KiB before it. CFB and the SHA-1
// of the integrity code, both serial by nature, are computed in one pass (package
// internal/cfbsha1), beside what the destination does with the chunk before.
package pgp
