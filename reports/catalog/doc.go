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
// # Quota
//
// A client's quota ([reports.Quota]; its own, or the one of [Catalog.WithQuota]) is
// looked at in the transaction that publishes, after everything else in it: what
// makes a client have more than its quota is taken back, whoever else delivers at
// the same time. So an overwrite counts by the difference. What has been taken in is
// never refused later: the release of a held report, a restored or a renamed file
// pass whatever the quota.
//
// What counts are reports and uploads that are held, published or collected. What
// was removed or overwritten doesn't, though it is still stored: to its client it is
// gone, and who makes room must have room. How much that is in all is bounded by the
// disk's reserve (reports/blob's Spare) and by retention. Interrupted uploads don't
// count, but are kept only as far as there is room for them.
//
// The sum is kept in the table client_usage, by the transactions that change it;
// [Catalog.CheckUsage] counts anew.
//
// # Names
//
// A [reports.Name] is resolved segment by segment, each an indexed look-up. A
// folder is a row that its children point to, so renaming it touches one row.
// What a client removes or overwrites is only hidden (state removed) until its
// retention is over.
package catalog
