// Package drop is what a producer sees over sFTP: one folder for each client that
// it may deliver to, into which it can write and out of which it can read nothing.
// Start with [New]; a [Folder] is one session's.
//
// What it promises:
//
//   - Plaintext never reaches the disk. What is written goes in order into the
//     sealing writer; what comes ahead of its turn waits in memory, at most [Window]
//     bytes of a file. A write beyond that, one over bytes that were taken already,
//     and going on with an interrupted upload fail with [reports.ErrOrder] or
//     [reports.ErrNotResumable].
//   - A report exists when its file was closed whole and has its final name, and not
//     before. A name that ends in .part, .partial, .filepart or .tmp, or begins with
//     a dot, is not final: the file waits, sealed in a blob that no row shows, until
//     it is renamed in the same session. The reply to the close, or to the rename, is
//     sent when the report is durable, and says why it was not taken.
//   - What was broken off, or has no final name at the session's end, leaves nothing:
//     a .part can be neither renamed nor continued in another session. The seal's key
//     and state are in memory only, and kept nowhere they would be lost from; the
//     producer uploads the whole file again.
//   - Only what this session has written and not yet delivered is listed. A report
//     that it has delivered can be asked for its length and time, since some
//     programs check what they sent; it can't be read, renamed or removed.
//   - Before a report is published, [Config.Approve] says whether the producer may
//     still deliver it.
//
// A name that the client has already becomes a version of it (reports.Name.Version),
// also after a rename that replaces: a producer can't hide what is there.
package drop
