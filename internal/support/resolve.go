package support

import (
	"context"

	"github.com/sealdrop/sealdrop/internal/audit"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/catalog"
)

// Meaning is what an alias stands for.
type Meaning struct {
	Alias     string `json:"alias"`
	StandsFor string `json:"stands_for"`
}

// Resolve tells what aliases stand for, of what the catalog still has.
func Resolve(ctx context.Context, s Source, aliases []string) ([]Meaning, error) {
	r := resolver{asked: map[string]bool{}, found: map[string]string{}}
	for _, a := range aliases {
		r.asked[a] = true
	}
	for _, look := range []func(context.Context, Source) error{r.clients, r.keys, r.records, r.reports} {
		if len(r.found) == len(r.asked) {
			break
		}
		if err := look(ctx, s); err != nil {
			return nil, err
		}
	}
	list := []Meaning{}
	for _, a := range aliases {
		if thing, ok := r.found[a]; ok {
			list = append(list, Meaning{Alias: a, StandsFor: thing})
		}
	}
	return list, nil
}

type resolver struct {
	asked map[string]bool
	found map[string]string
}

func (r resolver) see(alias, thing string) {
	if r.asked[alias] {
		r.found[alias] = thing
	}
}

func (r resolver) clients(ctx context.Context, s Source) error {
	return s.Register.Clients(ctx, func(c keys.Client) bool {
		r.see(s.Aliases.Client(c.ID.String()), c.ID.String())
		return true
	})
}

func (r resolver) keys(ctx context.Context, s Source) error {
	all, err := s.Register.Keys(ctx, reports.ClientID{})
	for _, k := range all {
		r.see(s.Aliases.Key(k.Fingerprint), k.Fingerprint)
		r.see(s.Aliases.Key(k.ID), k.Fingerprint)
	}
	return err
}

func (r resolver) records(ctx context.Context, s Source) error {
	for filter := (audit.Filter{Limit: 1000}); ; {
		page, err := audit.List(ctx, s.DB.Read(), filter)
		if err != nil {
			return err
		}
		for _, record := range page {
			for _, text := range []string{record.Detail["address"], record.Subject} {
				r.see(s.Aliases.Address(text), text)
			}
		}
		if int64(len(page)) < filter.Limit || len(r.found) == len(r.asked) {
			return nil
		}
		filter.Before = page[len(page)-1].Seq
	}
}

func (r resolver) reports(ctx context.Context, s Source) error {
	for filter := (catalog.Filter{Limit: 500}); ; {
		page, err := s.Catalog.Reports(ctx, filter)
		if err != nil {
			return err
		}
		for _, one := range page {
			r.see(s.Aliases.Report(one.ID), one.ID)
		}
		if len(page) < filter.Limit || len(r.found) == len(r.asked) {
			return nil
		}
		filter.Before = &page[len(page)-1]
	}
}
