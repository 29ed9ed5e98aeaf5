// Package ftpd speaks FTP (RFC 959 with RFC 2228, 2389, 2428, 3659 and 4217),
// passive mode only, in the clear or over TLS, for clients that know no sFTP.
//
// Start with [New] and give each control connection that a listener accepted to
// [Server.ServeConn]. Who may log in is the [Gate]'s decision, what a session sees
// is its [Folder]; this package parses, bounds and translates.
//
// # How it sits on ftpserverlib
//
// The library carries out what moves data and what changes the folder: its state
// machine of transfers, and CWD, MKD, RMD, DELE, RNFR and RNTO. It does not see
// the network. A session stands between it and the client:
//
//	client ── control connection ── session ── lines, one at a time ──► library
//	   │                              (TLS, login, answers)      ◄── replies ──┘
//	   └───── data connection ── passive ports ── dataListener ──► library
//
// Each connection has a library server of its own, whose listener accepts that one
// connection. The session reads the client's commands, answers those that the
// library gets wrong or should not know of (login, TLS, HELP, FEAT, MLST, STAT …),
// and feeds it the rest. A listing is fed to it as the download of a file that is
// made while it is sent, so that a folder of any size takes the memory of a page.
// Replies of the library are passed on by code; their texts are ours, since the
// library's hold whatever an error says.
//
// The library opens a socket at each PASV or EPSV. It is made deaf at once, and a
// port of our own pool takes its place.
//
// # What it promises
//
//   - The password is never read from a connection that it must not go over, and
//     the library never sees it. Nobody gets past the [Gate]. A refused login is
//     answered after a fixed time; three end the connection.
//   - Nothing that a client said before TLS counts after it began.
//   - A data connection is the client's own: from the address of its control
//     connection, to the port that was announced to it, with TLS as it had asked for
//     by the time of the transfer. Anybody else is hung up on, and the client is
//     still served. With [Config.RequireSessionReuse] TLS ties the two together even
//     where two clients share an address; without, a program at the client's own
//     address that guesses the port can be faster than the client, as with every FTP
//     server.
//   - A session holds one port at a time, and gives it back after a minute.
//   - An upload is visible when 226 is sent, whole. It is put aside, and can be
//     resumed, where the client aborts, the connection is reset, TLS ends without
//     its close_notify, or the control connection is closed within a moment of the
//     data's end: the end of the data alone is no proof that all of it came.
//   - A download counts as collected when the client's system has acknowledged every
//     byte and the client has closed its side without a reset. That is found out
//     after 226 was sent, so that nobody waits for it. A client that never closes its
//     side gets no receipt, nor does the oldest of more than 16 of a session.
//   - Every wait has an end: for the login, for a command, for a data connection and
//     its TLS, for something to move in a transfer.
//   - Memory is bounded: 4 KB of a command, 256 KiB for a transfer, a page of a
//     listing.
//   - The text of an internal error never reaches a client; it is in the log. Nor
//     does a name become part of a reply with control characters in it.
//   - A panic of a folder, a gate or this package ends the connection it happened
//     in, and no other.
//
// # The kernel copies
//
// In the clear, downloads go by sendfile and uploads by splice. What watches a
// transfer for stalls is therefore not a deadline, which would have to be moved on
// with every piece, but the kernel's own count of acknowledged bytes (TCP_INFO).
package ftpd
