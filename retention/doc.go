// Package retention purges what is past its time. Start with [Sweeper.Sweep].
//
// Each report carries the time at which it expires, set once when it was
// published; a later change of the policy does not reach back. A sweep takes
// what is due, by an index and in batches: the row first, and its blob once a
// grace is over, so that a download under way and a backup still find it. It
// also drops uploads that were interrupted and not resumed, and hands blobs that
// belong to nobody to the garbage collection, which deletes them after a grace of
// their own.
//
// # A clock that jumps
//
// Nothing must be purged because a clock was wrong. A sweep is refused, with
// [*RefusedError], when it would purge more than a share of everything at once,
// or when the clock can't be believed: it says that the last sweep was
// unbelievably long ago, or in the future. That goes for a sweep which finds
// nothing due as well, because one that believed such a clock would teach the
// next one to believe it. A refused sweep changes nothing at all.
//
// Both happen for good reasons too, such as a gateway that was off for a month:
// then an operator confirms the sweep. A clock that is put right needs nobody.
// Where there is nothing that could be purged, a sweep only notes the time.
package retention
