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
// A download whose every byte was read, and which was closed without an error,
// is recorded with the catalog; see [Recorder].
package folder
