// Package folder serves one client's folder: files and folders by name, over
// the catalog and the blob store. Every protocol serves the same [FS]; start
// with [Store.Folder].
//
// An FS is bound to one client and one session when it is made, and no call
// takes a client: whoever holds an FS can't reach another client's folder, not
// even by mistake.
//
// # What it promises
//
// A file that can be opened is whole. An upload becomes visible when its Close
// returns nil, durably and all at once; until then, whatever has the name stays
// as it is. An upload that was cut off leaves nothing visible, but is kept aside
// for a while: Stat by its exact name then tells its size, as a client that
// resumes an upload needs, and Create with [Continue] goes on from there.
//
// What is removed or overwritten is hidden, and an operator can restore it
// until its retention is over.
//
// An upload that the client's quota has no room for fails with a
// [*reports.QuotaError] as soon as its bytes pass the limit, and again, for what
// else came in meanwhile, when it would become visible. Nothing is kept of it, and
// the file that has the name stays as it is. An overwrite counts by the
// difference. The folder's size is the quota's, or the disk's, whichever is less.
//
// The catalog has the SHA-256 of every file. That of an upload of more than 1 MiB
// that came as a stream ([Upload]'s ReadFrom, as FTP uses) is computed after the
// upload has become visible, by the [Digester]; until then it is empty in the
// catalog, and in the receipts of whoever was that quick to fetch the file. A
// gateway that is killed meanwhile makes up for it after its next start.
//
// A download whose every byte was read, and which was closed without an error,
// is recorded with the catalog; see [Recorder].
package folder
