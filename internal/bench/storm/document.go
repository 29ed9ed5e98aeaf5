package main

import (
	"fmt"
	"math"
	"strings"

	"github.com/sealdrop/sealdrop/internal/bench/measure"
)

// command is what the document says of who writes its tables.
const command = "make scaling"

// tables is what of the document follows from the parameters.
func tables(c costs) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Costs of %s (%s); parameters and their sources: internal/bench/storm/measured.json.\n", c.Date, c.Machine)
	out.WriteString("\n### One node\n\n")
	measure.WriteTable(&out, oneNode(c))
	out.WriteString("\n### Mornings\n\n")
	measure.WriteTable(&out, mornings(c))
	out.WriteString("\n### A million clients, three reports a day, kept for 100 days\n\n")
	measure.WriteTable(&out, million(c))
	out.WriteString("\n### The parameters\n\n")
	rows := [][]string{{"parameter", "value", "what", "from"}}
	for _, p := range c.List {
		rows = append(rows, []string{p.Name, fmt.Sprintf("%g %s", p.Value, p.Unit), p.Means, p.From})
	}
	measure.WriteTable(&out, rows)
	return out.String()
}

// with returns the costs with another value of a parameter.
func (c costs) with(name string, value float64) costs {
	list := append([]parameter(nil), c.List...)
	for i := range list {
		if list[i].Name == name {
			list[i].Value = value
		}
	}
	c.List = list
	return c
}

// nodeMemory is a node's, in GiB, of which sessions get half.
const nodeMemory = 24

// oneNode says what a node carries if it does one thing only.
func oneNode(c costs) [][]string {
	cores := []float64{c.get("measured-cores"), 8, 16}
	rows := [][]string{{"a node that does nothing else", fmt.Sprintf("%g cores", cores[0]), "8 cores (extrapolated)", "16 cores (extrapolated)", "bound by"}}
	add := func(what, bound string, of func(cores float64) float64) {
		row := []string{what}
		for _, n := range cores {
			row = append(row, grouped(of(n)))
		}
		rows = append(rows, append(row, bound))
	}
	perSecond := func(milliseconds string) func(float64) float64 {
		return func(cores float64) float64 { return cores * 1000 / c.get(milliseconds) }
	}
	writes := 1000 / c.get("sqlite-write")
	add("logins a second", "cores, then the catalog's writer", func(n float64) float64 { return min(perSecond("login-cpu")(n), writes) })
	add("logins a second, each with 3 reports fetched (knee)", "cores, then the catalog's writer", func(n float64) float64 {
		return storm{costs: c.with("cores", n), fetches: 3, nodes: 1, catalog: sqlite, seed: 1, chains: 1}.knee()
	})
	add("small reports fetched a second", "cores, then the catalog's writer", func(n float64) float64 { return min(perSecond("fetch-cpu")(n), writes) })
	add("large downloads, GiB/s", "cores, then the line", func(n float64) float64 {
		return min(n/c.get("download-cpu"), c.get("network")/1024)
	})
	add("statements sealed and published a second", "cores, then the catalog's writer", func(n float64) float64 { return min(perSecond("seal-cpu")(n), writes) })
	add("names listed a second", "cores", perSecond("list-cpu"))
	add("reports purged a second", "one core: there is one purge at a time", func(float64) float64 { return 1000 / c.get("purge-cpu") })
	add("reports in the catalog, in 100 GiB of its file", "disk; what reads all of it", func(float64) float64 { return 100 * gibi / c.get("row-sqlite") })
	add("sessions open, in half of 24 GiB", "memory", func(float64) float64 {
		return (nodeMemory*1024/2 - c.get("base-memory")) * 1024 / c.get("session-memory")
	})
	return rows
}

// mornings are storms of different sizes, as it is built and as it might be.
func mornings(c costs) [][]string {
	rows := [][]string{{"storm", "built", "at the peak, logins/s", "node and catalog", "nodes needed", "p99 login, ms", "p99 first byte, ms", "knee, logins/s", "busiest at the peak"}}
	node := func(cores float64) costs { return c.with("cores", cores) }
	shared := node(8).with("store-latency", .5)
	object := node(8).with("store-latency", 20).with("store-stream", 100)
	base := storm{peak: 3, fetches: 3, catalog: postgres, seed: 1, chains: 1}
	for _, m := range []struct {
		name, built, node string
		costs             costs
		clients           int
		minutes           float64
		catalog           string
		together          bool
		chains            int
	}{
		{"20,000 in 10 minutes", "yes", "2 cores, SQLite", node(2), 20_000, 10, sqlite, false, 1},
		{"100,000 in 30 minutes", "yes", "2 cores, SQLite", node(2), 100_000, 30, sqlite, false, 1},
		{"100,000 in 60 minutes", "yes", "8 cores, PostgreSQL, NFS", shared, 100_000, 60, postgres, false, 1},
		{"1,000,000 in 60 minutes", "yes", "8 cores, PostgreSQL, NFS", shared, 1_000_000, 60, postgres, false, 1},
		{"1,000,000 in 180 minutes", "yes", "8 cores, PostgreSQL, NFS", shared, 1_000_000, 180, postgres, false, 1},
		{"1,000,000 in 60 minutes", "no: writes sent together", "8 cores, PostgreSQL, NFS", shared, 1_000_000, 60, postgres, true, 1},
		{"1,000,000 in 60 minutes", "no: the same, 4 audit chains", "8 cores, PostgreSQL, NFS", shared, 1_000_000, 60, postgres, true, 4},
		{"1,000,000 in 60 minutes", "no: the same, object store", "8 cores, PostgreSQL, S3", object, 1_000_000, 60, postgres, true, 4},
	} {
		s := base
		s.costs, s.clients, s.span, s.catalog, s.together, s.chains = m.costs, m.clients, m.minutes*60, m.catalog, m.together, m.chains
		most := 64
		if s.catalog == sqlite {
			most = 1
		}
		n, o := s.needed(tooSlow, most)
		s.nodes = max(n, 1)
		needed, login, first := fmt.Sprint(n), grouped(quantile(o.logins, .99)*1000), grouped(quantile(o.bytes, .99)*1000)
		if n == 0 {
			needed, login, first = "no number is enough", "–", "–"
		}
		b := o.busiest()
		rows = append(rows, []string{m.name, m.built, grouped(s.peakRate()), m.node, needed, login, first, grouped(s.knee()), b.resource + ", " + percent(b.share)})
	}
	return rows
}

// What a million clients are.
const (
	clients      = 1e6
	reportsADay  = 3
	keptDays     = 100
	nightHours   = 8
	auditADay    = 3*reportsADay + 1 // published, collected and purged; a login
	receiptsADay = reportsADay
	sourceYears  = 2
	day          = 24 * 3600.
	tebi         = 1 << 40
	gibi         = 1 << 30
)

// million is the arithmetic of a million clients.
func million(c costs) [][]string {
	published := clients * reportsADay
	live := published * keptDays
	stored := c.get("fetch-size") * 1024
	sealing := published / (nightHours * 3600)
	audits := clients * auditADay
	// Every write is one publication, one login, one receipt or one purge.
	held := (published*c.get("publish-trips") + clients*c.get("login-trips") + clients*receiptsADay*c.get("receipt-trips")) * (c.get("trip") + c.get("statement-cpu")) * milli
	night := published * c.get("publish-trips") * (c.get("trip") + c.get("statement-cpu")) * milli
	cores := sealing * c.get("seal-cpu") * milli
	return [][]string{
		{"what", "how many", "arithmetic"},
		{"live reports", grouped(live), "1 M × 3 × 100 days"},
		{"seals in a night of 8 h", grouped(sealing) + " /s", "3 M / 28,800 s"},
		{"cores for the seals", grouped(cores), fmt.Sprintf("%s /s × %g ms", grouped(sealing), c.get("seal-cpu"))},
		{"sealed files", grouped(live*stored/tebi) + " TiB", fmt.Sprintf("300 M × %g KiB", c.get("fetch-size"))},
		{"new files a day", grouped(published*stored/gibi) + " GiB", fmt.Sprintf("3 M × %g KiB", c.get("fetch-size"))},
		{"files purged a day", grouped(published), "as many as come; " + grouped(published*c.get("purge-cpu")*milli/60) + " minutes of one core"},
		{"requests to an object store in a night", grouped(2*sealing) + " /s", "a PUT for each seal, a DELETE for each purge"},
		{"requests to it at the peak of the morning", grouped(clients/3600*3*reportsADay) + " /s", "1 M × 3 GET in 60 minutes, × 3 at the peak"},
		{"rows of reports", grouped(live) + ", " + grouped(live*c.get("row-postgres")/gibi) + " GiB", fmt.Sprintf("300 M × %g bytes with indexes", c.get("row-postgres"))},
		{"rows of remembered deliveries", grouped(published * (keptDays + sourceYears*365)), "3 M a day, kept for 100 days + 2 years"},
		{"receipts a year, kept for good", grouped(clients * receiptsADay * 365), "3 M × 365"},
		{"audit records a year, kept for good", grouped(audits*365) + ", " + grouped(audits*365*c.get("audit-row")/tebi) + " TiB", fmt.Sprintf("(3 × 3 + 1) M × 365 × %g bytes", c.get("audit-row"))},
		{"the catalog's writer, of a night of 8 h", percent(night / (nightHours * 3600)), fmt.Sprintf("3 M × %g trips × %g ms", c.get("publish-trips"), c.get("trip")+c.get("statement-cpu"))},
		{"the catalog's writer, of a day, without the purge", percent(held / day), "publications, logins and receipts"},
		{"connections to PostgreSQL", fmt.Sprintf("%.0f for each node", 1+math.Max(4, c.get("cores"))), "one that writes, and as many that read as there are cores, 4 at least"},
	}
}
