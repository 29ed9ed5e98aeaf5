// Package sftpd speaks sFTP (version 3 of the protocol, as OpenSSH does) over
// SSH, and nothing else: no shell, no commands, no forwarding, no agent.
//
// Start with [New] and give each connection that a listener accepted to
// [Server.ServeConn]. Who may log in is the [Gate]'s decision, what a session
// sees is its [Folder]; this package parses, bounds and translates.
//
// What it promises:
//
//   - Identity comes from the verified key only. A key that a client offers gets
//     a yes or no from [Gate.Offered]; [Gate.Login] is called with the key whose
//     signature was verified, and nothing else opens a session.
//   - A path becomes a reports.Name here, by one parser, and is never anything
//     but a key into the folder afterwards.
//   - Every wait has an end: the login deadline of the connection, a keepalive
//     for peers that vanished, a limit on stalled packets, an idle limit.
//   - Memory is bounded: under 64 KiB are buffered to look at a client's first
//     packet, a session that reads holds one request, one that writes at most 16, and
//     both [Config.MaxHandles] open files and folders, folders are listed in pages, and
//     the request buffers of a session that pauses are given back. Of a client's
//     sessions 16 may hold as many requests, the others two: one client that reads no
//     answers can't take the memory of all.
//   - The text of an internal error never reaches a client; it is in the log.
//   - A panic of a folder, a gate or this package ends the connection it happened
//     in, and no other.
//
// # Algorithms
//
// What is offered is what ssh-audit has nothing against: ML-KEM-768 with X25519
// and X25519 alone, AES in GCM mode and then in counter mode with
// encrypt-then-MAC SHA-2, Ed25519 and RSA with SHA-2. ChaCha20-Poly1305 is
// offered only where the processor has no AES instructions, since Go computes it
// ten times slower than AES-GCM and OpenSSH's client would always prefer it. A
// client whose first packet says that it knows AES-GCM is offered nothing else,
// and one that says it knows no way to encrypt and then authenticate is offered
// the older order too.
//
// The NIST curves and the finite-field groups are left out. ssh-audit flags the
// former; a login with the smallest of the latter costs eight times one with
// X25519, which a stranger could make the gateway pay. X25519 is known to OpenSSH
// since 6.5, PuTTY since 0.68 and libssh2 since 1.9. What keeps older software of
// these families out is rather that it signs with RSA and SHA-1 only, as PuTTY
// did before 0.75; its users get in with an Ed25519 or ECDSA key.
//
// A client that shares no algorithm is told so by its own software; what it
// offered is in [Attempt.Detail].
//
// # How it sits on pkg/sftp
//
// The request server of pkg/sftp decodes and answers requests. A stream stands
// between it and the SSH channel, which adds what it lacks: the limits@openssh.com
// extension, a bound on unanswered requests, strict order for handles opened for
// appending and for opening and closing, and an end to the request server (and its
// buffers) when the session pauses with nothing open; the next request starts a
// new one.
//
// Reading, listing and asking go a shorter way, one request after the other and without
// a request server, which is not even started in a session that does nothing else. A
// test compares the answers of both ways byte for byte.
package sftpd
