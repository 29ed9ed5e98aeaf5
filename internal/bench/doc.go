// Command bench measures Sealdrop beside its peers, case by case, and writes what it found
// to docs/performance.md.
//
//	make bench
//	make bench BENCHFLAGS='-scale 0.1 -case "download|logins"'
//
// A case ([benchCase]) has two or more sides, of which one is Sealdrop: OpenSSH's sshd, SFTPGo, gpg, sq, find, or
// the loop that a careful programmer would write. The run goes on without SFTPGo and sq where they are not there,
// or fail, and says so ([isOptional]). Start with [bench.measure], which has
// the order of things, and with the file that is named for a case.
//
// What keeps the comparison fair:
//
//   - In a round every side is measured once; the side that goes first changes from round to
//     round (A B B A A B). The result is the median, of each figure by itself.
//   - The client is the same program for both servers: OpenSSH's sftp, or one Go client for
//     what sftp can't do (logins per second, sessions that stay open). It runs on the same
//     machine and takes its share of it, which makes every ratio smaller than it is.
//   - sshd is as Debian has it, with its sFTP server in process (internal-sftp), as one
//     sets it up for clients that get nothing else, and with the same client key and kind of
//     host key as Sealdrop. It logs in a user without privileges, so its privilege separation is on.
//   - SFTPGo has its default settings but for what these need ([sftpgoEnvironment]).
//   - The servers' processor time is that of all their processes, also of those that ended; memory
//     is the most that they held together, shared pages counted once.
//   - What must be durable is: Sealdrop syncs before it answers, and sshd is asked to
//     (put -f). SFTPGo, gpg and sq never sync, and are not asked.
//   - A size factor (-scale) makes every case smaller, to try it. What is measured then is
//     not what the targets are about: start-up and login weigh more.
//
// With -growth (make bench-growth) it measures no peers, but how Sealdrop's own costs grow with
// clients, files and sessions, at 1×, 10× and 100×: see [growths]. What a million clients
// need is computed from such figures by package storm.
//
// It runs as root, listens on 127.0.0.1 only, changes nothing of the system but that there is a
// folder /run/sshd and a user sshd, and removes
// what it made. The full run takes about an hour, and 20 GiB of disk below -dir.
package main
