// Package backup copies a gateway's data folder while it is in use, and makes a
// data folder of such a copy. Start with [Make] and [Restore]. [Copies] gives single blobs
// of backups, for what is damaged to be repaired.
//
// # What a backup is
//
// A folder named after the moment of its snapshot, 20261122T021600Z, with the
// layout of a data folder: catalog.db, blobs/ab/…, and the extra files that the
// caller names (keys, configuration). manifest.jsonl lists every file with its size
// and SHA-256; its last line ends it, so that a cut one is noticed.
//
// A catalog on a PostgreSQL server is copied row by row, in one read-only transaction,
// into such a catalog.db: the schema is the same. A backup does not show on which
// engine it was made, and is restored to either.
//
// # What it promises
//
// The snapshot of the catalog is taken first, the blobs after it. A blob never
// changes once a row shows it, and one whose row is purged outlives the row by the
// grace (retention.grace); so a backup that takes less than that finds them all. A
// blob that is gone is looked up in the living catalog: purged since the snapshot
// is noted in the manifest as such, and the report is left out of what is restored;
// anything else is a loss, and is told as one.
//
// Each backup is whole in itself: any other can be deleted. A blob that an earlier
// backup in the same folder has is shared with it by a hard link. One that is new is
// cloned (FICLONE) or linked from the blob store where that is on the same file
// system, and copied otherwise. What is shared takes no space, and no protection
// either against the disk itself: a byte that rots, rots in both.
//
// Everything is synced before the folder gets its name. Until then it is called
// ….partial; a crash leaves that, and the next run removes it. So do removals of
// old backups, and restores.
//
// # What it refuses
//
// To overwrite: a target of a restore must be absent or empty. Paths in a manifest
// that lead out of the backup. A second run on the same folder at the same time.
//
// Interrupted uploads are not part of a backup: nobody acknowledged them.
package backup
