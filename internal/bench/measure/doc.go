// Package measure has what the benchmarks beside peers share: the processor time and the
// memory of a server with all its processes ([TreeTime], [Peak]), medians ([Median]), and a
// result as Markdown with the machine that it is true of ([WriteTable], [Machine]).
package measure
