package expect

import (
	"strings"
	"testing"
	"time"
)

func mustExpect(t *testing.T, name, by, days, zone string) Expectation {
	t.Helper()
	p, err := ParsePattern(name)
	check(t, err)
	c, err := ParseClock(by)
	check(t, err)
	d, err := ParseDays(days)
	check(t, err)
	z, err := ParseZone(zone)
	check(t, err)
	return Expectation{Name: p, By: c, Days: d, Zone: z}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	check(t, err)
	return v
}

// utc is how the tests write times, to be read at a glance.
func utc(v time.Time) string { return v.UTC().Format("Mon 2006-01-02 15:04") }

func TestLast(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		about, by, days, zone, now string
		opens, due, closes         string // UTC
	}{
		{
			"on the minute", "06:30", "daily", "UTC", "2026-11-23T06:30:00Z",
			"Sun 2026-11-22 18:30", "Mon 2026-11-23 06:30", "Mon 2026-11-23 18:30",
		},
		{
			"a second before", "06:30", "daily", "UTC", "2026-11-23T06:29:59Z",
			"Sat 2026-11-21 18:30", "Sun 2026-11-22 06:30", "Sun 2026-11-22 18:30",
		},
		{
			"at the weekend, Friday's is the last", "06:30", "mon-fri", "Europe/Berlin", "2026-11-22T12:00:00Z",
			"Thu 2026-11-19 17:30", "Fri 2026-11-20 05:30", "Sun 2026-11-22 17:30",
		},
		{
			"once a week", "18:00", "wed", "America/New_York", "2026-11-24T12:00:00Z",
			"Wed 2026-11-18 11:00", "Wed 2026-11-18 23:00", "Wed 2026-11-25 11:00",
		},
		{
			"another day there than in UTC", "08:00", "mon", "Asia/Tokyo", "2026-11-22T23:30:00Z",
			"Sun 2026-11-22 11:00", "Sun 2026-11-22 23:00", "Sun 2026-11-29 11:00",
		},
		{
			"the far side of the date line", "00:15", "mon", "Pacific/Kiritimati", "2026-11-22T10:20:00Z",
			"Sat 2026-11-21 22:15", "Sun 2026-11-22 10:15", "Sat 2026-11-28 22:15",
		},
		{
			"the day after the clocks went back", "06:30", "daily", "Europe/Berlin", "2026-10-26T06:00:00Z",
			"Sun 2026-10-25 17:30", "Mon 2026-10-26 05:30", "Mon 2026-10-26 17:30",
		},
		{
			"the last summer day", "06:30", "daily", "Europe/Berlin", "2026-10-24T12:00:00Z",
			"Fri 2026-10-23 16:30", "Sat 2026-10-24 04:30", "Sat 2026-10-24 17:30",
		},
		{
			"a time that comes twice is the second", "02:30", "daily", "Europe/Berlin", "2026-10-25T12:00:00Z",
			"Sat 2026-10-24 13:30", "Sun 2026-10-25 01:30", "Sun 2026-10-25 13:30",
		},
		{
			"a time that is left out is an hour later", "02:30", "daily", "Europe/Berlin", "2026-03-29T12:00:00Z",
			"Sat 2026-03-28 13:30", "Sun 2026-03-29 01:30", "Sun 2026-03-29 12:30",
		},
		{
			"a leap day", "06:30", "daily", "UTC", "2028-02-29T07:00:00Z",
			"Mon 2028-02-28 18:30", "Tue 2028-02-29 06:30", "Tue 2028-02-29 18:30",
		},
		{
			"after a leap day", "06:30", "wed", "UTC", "2028-03-01T07:00:00Z",
			"Tue 2028-02-29 18:30", "Wed 2028-03-01 06:30", "Tue 2028-03-07 18:30",
		},
		{
			"across the year's end", "23:59", "thu", "UTC", "2027-01-01T00:00:00Z",
			"Thu 2026-12-31 11:59", "Thu 2026-12-31 23:59", "Thu 2027-01-07 11:59",
		},
	} {
		t.Run(test.about, func(t *testing.T) {
			t.Parallel()
			o := mustExpect(t, "x", test.by, test.days, test.zone).Last(at(t, test.now))
			if utc(o.Opens) != test.opens || utc(o.Due) != test.due || utc(o.Closes) != test.closes {
				t.Errorf("opens %s, due %s, closes %s; want %s, %s, %s", utc(o.Opens), utc(o.Due), utc(o.Closes), test.opens, test.due, test.closes)
			}
		})
	}
}

func TestMet(t *testing.T) {
	t.Parallel()
	o := mustExpect(t, "x", "06:30", "mon-fri", "Europe/Berlin").Last(at(t, "2026-11-23T12:00:00Z")) // due 05:30Z
	for _, test := range []struct {
		about    string
		arrivals string
		want     string
	}{
		{"nothing", "", ""},
		{"in the night", "2026-11-23T01:00:00Z", "Mon 2026-11-23 01:00"},
		{"the evening before", "2026-11-22T17:30:00Z", "Sun 2026-11-22 17:30"},
		{"too early: that was Friday's", "2026-11-22T17:29:59Z", ""},
		{"late", "2026-11-23T11:00:00Z", "Mon 2026-11-23 11:00"},
		{"so late that it is Tuesday's", "2026-11-23T17:30:00Z", ""},
		{"replaced: the first counts", "2026-11-23T09:00:00Z 2026-11-23T01:00:00Z", "Mon 2026-11-23 01:00"},
	} {
		var arrivals []time.Time
		for s := range strings.FieldsSeq(test.arrivals) {
			arrivals = append(arrivals, at(t, s))
		}
		got := ""
		if met := o.Met(arrivals); !met.IsZero() {
			got = utc(met)
		}
		if got != test.want {
			t.Errorf("%s: met %q, want %q", test.about, got, test.want)
		}
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	e := mustExpect(t, "x", "06:30", "mon-fri", "Europe/Berlin")
	var got []string
	for _, o := range e.Between(at(t, "2026-11-20T05:30:00Z"), at(t, "2026-11-24T05:30:00Z")) {
		got = append(got, utc(o.Due))
	}
	if want := "Fri 2026-11-20 05:30, Mon 2026-11-23 05:30"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if list := e.Between(at(t, "2026-11-21T00:00:00Z"), at(t, "2026-11-22T00:00:00Z")); len(list) != 0 {
		t.Errorf("on a Saturday: %v", list)
	}
}

// TestWindowsMeet: over years of changing clocks, each moment counts for exactly one
// due time, and each due time is on a day it should be.
func TestWindowsMeet(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut", "Pacific/Apia"} {
		for _, days := range []string{"daily", "mon-fri", "sat"} {
			e := mustExpect(t, "x", "02:15", days, zone)
			o := e.Last(at(t, "2021-12-20T00:00:00Z"))
			for range 1200 {
				next := e.Last(o.Closes.Add(Lead))
				if !next.Opens.Equal(o.Closes) || !next.Due.After(o.Due) {
					t.Fatalf("%s %s: after the window %v comes %v", zone, days, o, next)
				}
				if day := next.Due.In(e.Zone).Weekday(); !e.Days.has(day) {
					t.Fatalf("%s %s: due on %s", zone, days, next.Due.In(e.Zone))
				}
				o = next
			}
		}
	}
}

func TestMidnight(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ zone, at, want string }{
		{"Europe/Berlin", "2026-11-22T23:30:00Z", "Sun 2026-11-22 23:00"},
		{"UTC", "2026-11-22T23:30:00Z", "Sun 2026-11-22 00:00"},
		{"Asia/Beirut", "2026-03-29T12:00:00Z", "Sat 2026-03-28 22:00"}, // the day begins at 01:00
		{"America/Havana", "2026-11-01T12:00:00Z", "Sun 2026-11-01 04:00"},
	} {
		zone, err := ParseZone(test.zone)
		check(t, err)
		if got := utc(Midnight(at(t, test.at), zone)); got != test.want {
			t.Errorf("%s at %s: %s, want %s", test.zone, test.at, got, test.want)
		}
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"Activity_*.csv", "Activity_20261123.csv.pgp", true},
		{"Activity_*.csv", "Activity_20261123~2.csv.pgp", true},
		{"Activity_*.csv", "2026/11/Activity_20261123.csv.pgp", true},
		{"Activity_*.csv", "Inactivity_1.csv.pgp", false},
		{"Activity_*.csv", "Activity_1.xml.pgp", false},
		{"Balance.csv", "Balance~3.csv.pgp", true},
		{"Balance.csv", "Balance.csv", true},
		{"Balance.csv.pgp", "Balance.csv.pgp", true},
		{"Balance", "Balance~2.pgp", true},
		{"Balance~2.csv", "Balance~2.csv.pgp", true},
		{"daily/*.csv", "daily/a.csv.pgp", true},
		{"daily/*.csv", "weekly/a.csv.pgp", false},
		{"*", "anything.pgp", true},
	} {
		p, err := ParsePattern(test.pattern)
		check(t, err)
		if got := p.Matches(test.name); got != test.want {
			t.Errorf("%s matches %s: %v", test.pattern, test.name, got)
		}
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"daily": "daily", "mon-sun": "daily", "mon-fri": "mon-fri", "mon,wed,fri": "mon,wed,fri", "fri, mon": "mon,fri",
		"sat-mon": "mon,sat,sun", "sun": "sun", "tue,thu-sat": "tue,thu-sat", "sat,sun": "sat,sun",
	} {
		d, err := ParseDays(in)
		if err != nil || d.String() != want {
			t.Errorf("%q: %s, %v; want %s", in, d, err, want)
		}
		if again, err := ParseDays(d.String()); err != nil || again != d {
			t.Errorf("%q is not read again: %v", d, err)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	refused := func(what string, err error) {
		t.Helper()
		var h interface{ Hint() string }
		if err == nil {
			t.Errorf("%s is taken", what)
		} else if h, _ = err.(interface{ Hint() string }); h == nil {
			t.Errorf("%s: no hint", what)
		}
	}
	for _, s := range []string{"", "Mon", "mon-", "weekdays", "mon;tue", "month-end", ","} {
		_, err := ParseDays(s)
		refused("days "+s, err)
	}
	for _, s := range []string{"", "6.30", "24:00", "06:60", "390", "06:30:00"} {
		_, err := ParseClock(s)
		refused("clock "+s, err)
	}
	for _, s := range []string{"", "Local", "Berlin", "CEST", "../etc/passwd"} {
		_, err := ParseZone(s)
		refused("zone "+s, err)
	}
	for _, s := range []string{"", "[a", "../x", strings.Repeat("x", 300), "a\x00b"} {
		_, err := ParsePattern(s)
		refused("pattern "+s, err)
	}
}
