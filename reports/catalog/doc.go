// Package catalog is the single truth of every client's folder: which names it
// shows, what stands behind each, and what became of it. Start with [New].
//
// # The row is publication
//
// A report exists for its client from the moment that its row is committed, and
// the row is committed only after its blob is durable; so a client sees a whole
// file or none, and no committed row lacks its blob. Purging goes the other
// way: the row first, the blob later, by way of the garbage table. A crash at
// any point can leave a blob without a row, never a row without a blob.
//
// Each change is one transaction together with its audit record.
//
// An upload may be published before the digest of its content is known; then
// [Catalog.Undigested] lists it until [Catalog.SetDigest] has completed it. The
// digest gets an audit record of its own.
//
// # Names
//
// A [reports.Name] is resolved segment by segment, each an indexed look-up. A
// folder is a row that its children point to, so renaming it touches one row.
// What a client removes or overwrites is only hidden (state removed) until its
// retention is over.
package catalog
