// Package spool takes in the reports that batch jobs drop into a folder of the
// gateway's machine: SPOOL/CLIENT/FILE becomes the report FILE of the client
// CLIENT, and is then removed, or moved to SPOOL/done/CLIENT. Start with [New] and
// [Spool.Run]; [List] shows what waits and what was rejected, and [Retry] puts
// back what was rejected.
//
// # When a file is taken
//
// A file is taken when its producer is done with it:
//
//   - it was renamed into the folder (from a name that is passed over, or from
//     elsewhere on the same file system), or
//   - the marker FILE.done lies beside it and is not older than the file's last
//     change; it is removed with the file, or
//   - nobody has it open for writing, as far as the file system can tell, and
//     nothing of it has changed for the time called Settle.
//
// Passed over are names that begin with a dot or end in .part, .partial, .filepart,
// .tmp or .done. The kernel's inotify says when to look, and a scan at every Rescan finds
// what it has missed: a file on a network file system, or one that was there
// before. Inotify is used without a library, because it must be known whether a
// name came by a rename or was created to be written.
//
// The files of one client are taken one after the other, the oldest first (by the
// time of their last change, then by name); several clients' at the same time.
// However many there are, only a fixed number of names is kept in memory.
//
// # What it promises
//
// A file is removed only after its report is durable, and only if it is still
// what was read: it is first moved to SPOOL/.taken/CLIENT, looked at there, and
// moved back if it is another one that was renamed over it meanwhile. A crash
// leaves the file where it was or in .taken; either way it is published again,
// which changes nothing because the same was delivered before, and then goes. So
// a crash neither loses a report nor doubles it.
//
// A file that changes while it is read is not published; it is tried again. What
// fails for a passing reason stays and is tried again, at growing intervals. If
// the reason is the gateway's (its disk is full, its catalog locked), intake as a
// whole pauses, with one line in the log when that begins and one when it ends;
// the same below MinFree. A report that is over its client's quota holds up that
// client only.
//
// # What it refuses
//
// What can't become a report by waiting is moved to SPOOL/rejected/CLIENT beside a
// text FILE.reason, and recorded in the audit: the files of a client there is
// not; symbolic links, folders, pipes, devices; what the gateway may not read, or
// nobody; names that no report may have. What lies beside the clients' folders
// goes to SPOOL/rejected/_. Nothing there is ever replaced: a second file of a
// name gets ~2 and so on behind it.
//
// No path is ever followed: folders and files are opened by one name at a time,
// relative to the open folder above, and never through a symbolic link. Nothing of
// a file's content is written anywhere but through the publisher, which seals it.
//
// Gateways that share a catalog can share a spool folder. One with another catalog pauses
// as long as they run: it would reject their clients' files. They know each other by a lock
// on SPOOL/.sealdrop.
//
// Clients with the ids "rejected" and "done" have no folder here.
package spool
