// Package expect says when a report is due from its producer: every day, or on
// some days of the week, by a time of day, in a timezone. It is policy without
// state: it is told what came when, and judges. Start with [Expectation.Last].
//
// # What counts for which day
//
// A report counts for the due time whose window it came in. The window opens 12
// hours ([Lead]) before the due time and closes when the next one's opens. So
// Monday's statement, due at 06:30, may come at 23:00 on Sunday, and Friday's is
// still Friday's on Saturday. Any report whose name matches counts, whether it was
// delivered once or replaced, and whatever became of it since; but what was
// recognised as a repetition of an earlier delivery is not a new report.
//
// # Days and clocks
//
// Days and times are those of the expectation's timezone, from a database that is
// part of the program. A time that a change of the clocks leaves out (02:30 when
// it goes from 02:00 to 03:00) is an hour later on that day; one that comes twice
// is the second. Both err towards waiting rather than towards a false alarm.
//
// There are no holidays: on a day on which a report is not needed, its absence is
// reported all the same.
package expect
