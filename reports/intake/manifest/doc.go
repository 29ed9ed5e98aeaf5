// Package manifest reads a batch's list of reports and sees them through: which
// file goes to which client, under which name, and what of it is done already.
//
// Start with [Read], which checks the whole list before anything is delivered and
// tells all that is wrong at once. [Run] then works through it, several lines at a
// time, of all clients in turns. [Journal] remembers on disk what is done, so that a
// run that was cut off is simply run again.
//
// A manifest is CSV with a header, separated by commas or semicolons, or JSON
// lines; the first character tells which. Its fields are client, file, name, date
// and sha256, of which client and file are needed:
//
//	client,file,name,date,sha256
//	acme,out/0001.csv,Activity_20261120.csv,2026-11-20,9f86d081…
//
//	{"client":"acme","file":"out/0001.csv","name":"Activity_20261120.csv"}
//
// It promises that no line is guessed at: an unknown field, one that is there
// twice, a name that is to be delivered twice to one client, and whatever else
// could send a report astray is a fault. A manifest is at most [MaxSize] bytes and
// [MaxLines] lines long, which bounds the memory that it takes.
//
// The journal only ever saves work. What it says is done is passed over if the
// file is still the same by its size and its times, and if the gateway knows the
// report; in any other case the file is delivered again, which changes nothing if
// it was.
package manifest
