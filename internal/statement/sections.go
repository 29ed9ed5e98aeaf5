package statement

import "time"

// Names that every statement carries. The broker doesn't exist.
const (
	brokerName    = "Lantern Street Brokerage"
	documentTitle = "Activity Statement"
	baseCurrency  = "USD"
)

// sections returns the tables of a statement in the order in which they stand
// in it. The trades come from a ledger of their own, opened anew each time that
// the table is read.
func sections(o Options, l *ledger) []table {
	return []table{
		accountTable(o, l),
		valueTable(l),
		tradeTable(o, l),
		cashTable(l),
		positionTable(l),
		feeTable(l),
		dividendTable(l),
	}
}

func newTable(title, element, item string, columns []column, fills []func(*row)) table {
	return table{title, element, item, columns, len(fills), fixed(fills)}
}

func accountTable(o Options, l *ledger) table {
	year, month, _ := o.Date.Date()
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
	var fills []func(*row)
	for _, field := range [][2]string{
		{"Broker", brokerName},
		{"Statement", documentTitle},
		{"Period", first + " to " + o.Date.Format(time.DateOnly)},
		{"Client", o.Client},
		{"Account", o.Account},
		{"Account Type", "Individual, margin"},
		{"Base Currency", baseCurrency},
	} {
		fills = append(fills, func(r *row) { r.text(field[0]); r.text(field[1]) })
	}
	return newTable("Account Information", "AccountInformation", "Field", []column{
		{title: "Field Name", attribute: "name", width: 1000},
		{title: "Field Value", attribute: "value", width: 4250},
	}, fills)
}

func valueTable(l *ledger) table {
	line := func(name string, prior, current cents, total bool) func(*row) {
		return func(r *row) {
			r.total = total
			r.text(name)
			r.amount(prior)
			r.amount(current)
			r.amount(current - prior)
		}
	}
	cash, priorStock, currentStock := l.closingCash(), stock(&l.opening), stock(&l.positions)
	return newTable("Net Asset Value", "NetAssetValue", "Class", []column{
		{title: "Asset Class", attribute: "assetClass", width: 2250},
		{title: "Prior", attribute: "prior", width: 1000, number: true},
		{title: "Current", attribute: "current", width: 1000, number: true},
		{title: "Change", attribute: "change", width: 1000, number: true},
	}, []func(*row){
		line("Cash", l.openingCash, cash, false),
		line("Stock", priorStock, currentStock, false),
		line("Total", l.openingCash+priorStock, cash+currentStock, true),
	})
}

func tradeTable(o Options, closed *ledger) table {
	return table{
		title: "Trades", element: "Trades", item: "Trade",
		columns: []column{
			{title: "Asset Category", attribute: "category"},
			{title: "Currency", attribute: "currency"},
			{title: "Symbol", attribute: "symbol", width: 450},
			{title: "Date/Time", attribute: "time", width: 850},
			{title: "Quantity", attribute: "quantity", width: 450, number: true},
			{title: "Price", attribute: "price", width: 600, number: true},
			{title: "Proceeds", attribute: "proceeds", width: 800, number: true},
			{title: "Commission", attribute: "commission", width: 600, number: true},
			{title: "Basis", attribute: "basis", width: 750, number: true},
			{title: "Realized P/L", attribute: "realized", width: 750, number: true},
		},
		count: o.Rows + 1,
		each: func(emit func(*row) error) error {
			var r row
			l := openLedger(o)
			for t, more := l.next(); more; t, more = l.next() {
				t.fill(&r)
				if err := emit(&r); err != nil {
					return err
				}
			}
			closed.fillTradeTotal(&r)
			return emit(&r)
		},
	}
}

func (t *trade) fill(r *row) {
	r.reset()
	r.text("Stocks")
	r.text(baseCurrency)
	r.text(t.instrument.symbol)
	r.moment(t.day, t.second)
	r.integer(t.shares)
	r.price(t.price)
	r.amount(t.proceeds)
	r.amount(t.commission)
	r.amount(t.basis)
	r.amount(t.realized)
}

func (l *ledger) fillTradeTotal(r *row) {
	r.reset()
	r.total = true
	r.text("Stocks")
	r.text(baseCurrency)
	r.text("Total")
	r.text("")
	r.text("")
	r.text("")
	r.amount(l.sales + l.purchases)
	r.amount(l.commissions)
	r.text("")
	r.amount(l.realized)
}

func cashTable(l *ledger) table {
	line := func(name string, amount cents, total bool) func(*row) {
		return func(r *row) {
			r.total = total
			r.text(name)
			r.text(baseCurrency)
			r.amount(amount)
		}
	}
	return newTable("Cash Report", "CashReport", "Line", []column{
		{title: "Summary", attribute: "summary", width: 2250},
		{title: "Currency", attribute: "currency", width: 1000},
		{title: "Amount", attribute: "amount", width: 1000, number: true},
	}, []func(*row){
		line("Starting Cash", l.openingCash, false),
		line("Deposits", l.deposits, false),
		line("Sales", l.sales, false),
		line("Purchases", l.purchases, false),
		line("Commissions", l.commissions, false),
		line("Dividends", paid(l.dividends), false),
		line("Fees", paid(l.fees), false),
		line("Ending Cash", l.closingCash(), true),
	})
}

func positionTable(l *ledger) table {
	var fills []func(*row)
	for i, p := range l.positions {
		if p.shares == 0 {
			continue
		}
		fills = append(fills, func(r *row) {
			worth := p.last.value(p.shares)
			r.text(l.market[i].symbol)
			r.text(l.market[i].name)
			r.integer(p.shares)
			r.amount(p.cost)
			r.price(p.last)
			r.amount(worth)
			r.amount(worth - p.cost)
		})
	}
	return newTable("Open Positions", "OpenPositions", "Position", []column{
		{title: "Symbol", attribute: "symbol", width: 450},
		{title: "Description", attribute: "description", width: 1350},
		{title: "Quantity", attribute: "quantity", width: 500, number: true},
		{title: "Cost Basis", attribute: "costBasis", width: 800, number: true},
		{title: "Close Price", attribute: "closePrice", width: 650, number: true},
		{title: "Value", attribute: "value", width: 750, number: true},
		{title: "Unrealized P/L", attribute: "unrealized", width: 750, number: true},
	}, fills)
}

func feeTable(l *ledger) table {
	fills := []func(*row){}
	for _, fee := range l.fees {
		fills = append(fills, func(r *row) {
			r.text(fee.day)
			r.text(fee.text)
			r.amount(fee.amount)
		})
	}
	fills = append(fills, func(r *row) {
		r.total = true
		r.text("Total")
		r.text("")
		r.amount(paid(l.fees))
	})
	return newTable("Fees", "Fees", "Fee", []column{
		{title: "Date", attribute: "date", width: 850},
		{title: "Description", attribute: "description", width: 2400},
		{title: "Amount", attribute: "amount", width: 1000, number: true},
	}, fills)
}

func dividendTable(l *ledger) table {
	fills := []func(*row){}
	for _, dividend := range l.dividends {
		fills = append(fills, func(r *row) {
			r.text(dividend.day)
			r.text(dividend.instrument.symbol)
			r.text(dividend.instrument.name + ", " + dividend.text)
			r.amount(dividend.amount)
		})
	}
	fills = append(fills, func(r *row) {
		r.total = true
		r.text("Total")
		r.text("")
		r.text("")
		r.amount(paid(l.dividends))
	})
	return newTable("Dividends", "Dividends", "Dividend", []column{
		{title: "Date", attribute: "date", width: 850},
		{title: "Symbol", attribute: "symbol", width: 450},
		{title: "Description", attribute: "description", width: 2950},
		{title: "Amount", attribute: "amount", width: 1000, number: true},
	}, fills)
}
