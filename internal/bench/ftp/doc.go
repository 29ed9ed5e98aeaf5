// Command ftp measures Sealdrop's FTP server beside vsftpd, proftpd and pure-ftpd
// in one run, and prints what it found as Markdown. (make bench does so in the end, and
// writes it to docs/performance.md.)
//
//	make bench-ftp
//	go run ./internal/bench/ftp -size 256 -rounds 3
//
// It moves a file of 1 GiB through each server in four cells: plain download, plain
// upload, FTPS download, FTPS upload. Of each transfer it takes the wall time, from
// EPSV to the 226, and the processor time that all the server's processes used
// meanwhile, to the nanosecond, login aside. Start with [bench.run], which has the
// order of things, and [session.upload] and [session.download], which have the client.
//
// What keeps the comparison fair:
//
//   - In a round, each cell is measured on every server before the next cell is; the
//     server that goes first changes from round to round. The result is the median.
//   - The servers start afresh in each round, on loopback, with an empty folder in
//     memory (-dir puts it on a disk), each with its own generated configuration and
//     one user. Sealdrop and the sessions of the others run without privileges.
//   - The client costs as little as a client can. What it uploads in plain it hands to
//     sendfile; what it downloads in plain the kernel throws away unseen (MSG_TRUNC),
//     and it is woken once per 512 KiB, as to wake it costs the server.
//     With TLS it seals and opens every record, since the server's work must be real;
//     its processor time is in the table, so that one can see when it is what limits.
//   - Before each upload, memory of the file's size is used once and given back: a virtual
//     machine's host may hand out what was long unused so slowly (seen: 3 s per GiB) that
//     nothing else would be measured.
//   - TLS is as negotiated: the client offers 1.2 and 1.3, and the table says what came
//     of it.
//   - In the first round every upload is fetched once more, unmeasured, and compared.
//
// One difference stays: Sealdrop syncs an upload to disk before it answers 226, and
// the others don't. In memory that costs nothing; with -dir on a disk it does.
//
// It must run as root, as the peers need that to drop privileges as they do in
// production. A machine that does something else at the same time measures that as well;
// most of all the wall time. It opens no port but on 127.0.0.1, changes nothing of the system, and
// leaves no process and no file behind unless it is killed with SIGKILL: then the servers
// end, and the folder sealdrop-bench-* stays in /dev/shm.
package main
