package statement

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// cents is an amount of the base currency in hundredths.
type cents int64

// price is a price per share in ten-thousandths of the base currency.
type price int64

// value is the worth of a number of shares at p, rounded to the nearest cent.
func (p price) value(shares int64) cents {
	return cents((int64(p)*shares + 50) / 100)
}

// instrument is one of the securities that the account deals in.
type instrument struct {
	symbol, name string
	listed       price // price on the first day of every period
}

const instrumentCount = 20

// market lists the securities. None of them exists.
func market() [instrumentCount]instrument {
	return [...]instrument{
		{"ALDR", "Alder Point Energy", 41_2500},
		{"BRKW", "Breakwater Logistics", 118_4000},
		{"CNDL", "Candle & Wick Holdings", 22_1500},
		{"DRFT", "Driftless Foods", 64_8200},
		{"EMBR", "Emberton Steel", 35_0700},
		{"FLNT", "Flint Meadow Mining", 12_4400},
		{"GRYL", "Greylag Aerospace", 287_9100},
		{"HLVX", "Halvex Instruments", 152_3000},
		{"ISLE", "Isle of Rushes Water", 48_6600},
		{"JNPR", "Juniper Gate Insurance", 96_1200},
		{"KSTL", "Kestrel Lane Media", 18_9900},
		{"LMEN", "Lumen Quay Lighting", 73_5500},
		{"MRLW", "Marlow & Finch Brewing", 55_4300},
		{"NTHW", "North Wharf Shipping", 204_7000},
		{"ORCD", "Orchard Bridge Pharma", 331_8800},
		{"PLVR", "Plover Ridge REIT", 27_3600},
		{"QRRY", "Quarry Hill Cement", 61_0000},
		{"RDWD", "Redwood Sound Audio", 84_2700},
		{"SLTM", "Saltmarsh Software", 412_6500},
		{"TRNP", "Tern Point Robotics", 139_9400},
	}
}

// position is what the account holds of one instrument.
type position struct {
	shares int64
	cost   cents // what the shares were bought for, commissions included
	last   price // the price of the latest trade
}

// trade is one purchase or sale. Its amounts have the sign that they have for
// the account, and realized is always proceeds + commission + basis.
type trade struct {
	instrument *instrument
	day        string // as 2006-01-02
	second     int    // of that day
	shares     int64  // negative when sold
	price      price
	proceeds   cents
	commission cents
	basis      cents // cost of what was bought; less the cost of what was sold
	realized   cents
}

// payment is a fee or a dividend. A dividend has an instrument.
type payment struct {
	day        string
	text       string
	instrument *instrument
	amount     cents
}

const (
	openingHour = 9*3600 + 30*60      // trading begins at 09:30:00,
	tradingDay  = 6*3600 + 30*60      // and goes on until 16:00:00
	maxShares   = 5000                // a position that reaches it is sold from next
	maxLot      = 300                 // shares in a trade, at most
	minCash     = cents(50_000_00)    // a deposit keeps the closing cash above it,
	depositUnit = cents(10_000_00)    // and is a multiple of this
	pcgStream   = 0x5ea1_d70b_57a7_e3 // separates our numbers from others' of one seed
)

// ledger runs an account through its period, trade by trade, and knows at any
// moment what the account holds.
type ledger struct {
	random    *rand.PCG
	days      []string // the trading days of the period
	rows      int
	done      int // trades so far
	market    [instrumentCount]instrument
	opening   [instrumentCount]position
	positions [instrumentCount]position

	openingCash cents
	deposits    cents
	sales       cents
	purchases   cents
	commissions cents
	realized    cents
	fees        []payment
	dividends   []payment
}

// openLedger returns the account as it stands when the period begins, with the
// fees and dividends that the period will bring.
func openLedger(o Options) *ledger {
	l := &ledger{
		random: rand.NewPCG(o.Seed, pcgStream),
		days:   tradingDays(o.Date),
		rows:   o.Rows,
		market: market(),
	}
	for i := range l.opening {
		p := position{shares: l.below(40) * 25, last: l.market[i].listed}
		p.cost = p.last.value(p.shares) * cents(80+l.below(40)) / 100
		l.opening[i] = p
	}
	l.positions = l.opening
	l.openingCash = cents(250_000_00 + l.below(1_750_000_00))
	l.drawFees()
	l.drawDividends()
	return l
}

// closeLedger returns the account as it stands when the period has ended.
func closeLedger(o Options) *ledger {
	l := openLedger(o)
	for {
		if _, more := l.next(); !more {
			break
		}
	}
	if short := minCash - l.closingCash(); short > 0 {
		l.deposits = (short + depositUnit - 1) / depositUnit * depositUnit
	}
	return l
}

// below returns a number from 0 up to, not including, n. The reduction is our
// own so that no change in math/rand/v2 can change a statement.
func (l *ledger) below(n int64) int64 {
	high, _ := bits.Mul64(l.random.Uint64(), uint64(n))
	return int64(high)
}

func (l *ledger) drawFees() {
	kinds := [...]payment{
		{text: "Market data, consolidated tape", amount: -14_50},
		{text: "Market data, depth of book", amount: -25_00},
		{text: "Research subscription", amount: -30_00},
		{text: "Securities lending report", amount: -7_25},
		{text: "Custody, quarterly share", amount: -112_80},
		{text: "Wire transfer", amount: -10_00},
	}
	for i, fee := range kinds {
		if i > 0 && l.below(3) == 0 {
			continue
		}
		fee.day = l.drawDay()
		l.fees = append(l.fees, fee)
	}
}

func (l *ledger) drawDividends() {
	for i := range l.opening {
		shares := l.opening[i].shares
		if shares == 0 || l.below(3) != 0 {
			continue
		}
		rate := price(500 + 25*l.below(120))
		l.dividends = append(l.dividends, payment{
			day:        l.drawDay(),
			text:       "Cash dividend " + string(appendPrice(nil, rate)) + " per share",
			instrument: &l.market[i],
			amount:     rate.value(shares),
		})
	}
}

func (l *ledger) drawDay() string { return l.days[l.below(int64(len(l.days)))] }

// next makes the account's next trade, and reports whether there was one.
func (l *ledger) next() (trade, bool) {
	if l.done >= l.rows {
		return trade{}, false
	}
	i := l.below(instrumentCount)
	t := trade{instrument: &l.market[i], price: l.movePrice(i)}
	t.day, t.second = l.moment()
	l.done++

	p := &l.positions[i]
	lot := 1 + l.below(maxLot)
	sell := l.below(2) == 0 && p.shares > 0 || p.shares >= maxShares
	if sell {
		lot = min(lot, p.shares)
	}
	worth := t.price.value(lot)
	t.commission = -max(1_00, cents(lot/2))
	if sell {
		// At most maxShares + maxLot shares: the product is far from overflowing.
		t.shares, t.proceeds, t.basis = -lot, worth, -(p.cost * cents(lot) / cents(p.shares))
		l.sales += worth
	} else {
		t.shares, t.proceeds, t.basis = lot, -worth, worth-t.commission
		l.purchases -= worth
	}
	t.realized = t.proceeds + t.commission + t.basis
	p.shares += t.shares
	p.cost += t.basis
	l.commissions += t.commission
	l.realized += t.realized
	return t, true
}

// movePrice lets an instrument's price take a step of up to half a percent. It
// stays between half and twice what it was listed at, so that an account of
// many millions of trades still looks like one.
func (l *ledger) movePrice(i int64) price {
	p, listed := &l.positions[i], l.market[i].listed
	step := int64(p.last) / 200
	moved := p.last + price(l.below(2*step+1)-step)
	p.last = min(max(moved, listed/2), listed*2)
	return p.last
}

// moment is the time of the next trade: the trades are spread evenly over the
// trading hours of the period.
func (l *ledger) moment() (day string, second int) {
	n := l.done * len(l.days)
	return l.days[n/l.rows], openingHour + n%l.rows*tradingDay/l.rows
}

// paid is the sum of the payments.
func paid(payments []payment) cents {
	var sum cents
	for _, p := range payments {
		sum += p.amount
	}
	return sum
}

func (l *ledger) closingCash() cents {
	return l.openingCash + l.deposits + l.sales + l.purchases + l.commissions +
		paid(l.dividends) + paid(l.fees)
}

// stock is the worth of the positions given, at their last prices.
func stock(positions *[instrumentCount]position) cents {
	var sum cents
	for _, p := range positions {
		sum += p.last.value(p.shares)
	}
	return sum
}

// tradingDays lists the weekdays of date's month up to and with date; when the
// month has begun with a weekend that is not over, date alone.
func tradingDays(date time.Time) []string {
	year, month, last := date.Date()
	var days []string
	for d := 1; d <= last; d++ {
		day := time.Date(year, month, d, 0, 0, 0, 0, time.UTC)
		if day.Weekday() != time.Saturday && day.Weekday() != time.Sunday {
			days = append(days, day.Format(time.DateOnly))
		}
	}
	if len(days) == 0 {
		days = append(days, date.Format(time.DateOnly))
	}
	return days
}
