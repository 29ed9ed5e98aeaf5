package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports"
)

// heldView is how a held report is shown.
type heldView struct {
	reportView
	Reason string `json:"held_because"`
	Remedy string `json:"remedy"`
	Age    int64  `json:"held_seconds"`
}

// heldReasons tells why clients' reports are held, and what to do, asking once for each
// client.
type heldReasons struct {
	g     *gateway
	known map[reports.ClientID]heldReason
}

type heldReason struct{ text, remedy string }

func (h *heldReasons) reason(ctx context.Context, client reports.ClientID) heldReason {
	reason, ok := h.known[client]
	if ok {
		return reason
	}
	if _, err := h.g.register.Recipients(ctx, client); err != nil {
		reason = heldReason{err.Error(), h.remedy(ctx, client)}
	} else {
		reason = heldReason{
			fmt.Sprintf("client %s has a usable key by now", client),
			"nothing: the running gateway releases it within a second, or else the client's next delivery does",
		}
	}
	h.known[client] = reason
	return reason
}

// remedy is what to do for a client that has no key to seal to. What takes the least
// comes first.
func (h *heldReasons) remedy(ctx context.Context, client reports.ClientID) string {
	list, err := h.g.register.Keys(ctx, client)
	if err != nil {
		return "mend the catalog first: " + err.Error()
	}
	last := map[keys.State]keys.Key{}
	for _, k := range list {
		if k.Kind == keys.PGP {
			last[k.State(now())] = k
		}
	}
	send := fmt.Sprintf("`sealdrop key import --client %s FILE`", client)
	if k, ok := last[keys.Pending]; ok {
		return fmt.Sprintf("have another operator compare the fingerprint with the client's word, and then `sealdrop key approve %s`", k.ID)
	}
	if k, ok := last[keys.Retired]; ok {
		return "ask the client for its current public PGP key, or if this one is, take it back into use: " + fmt.Sprintf("`sealdrop key import --client %s FILE` with the key %s", client, k.Fingerprint)
	}
	if k, ok := last[keys.Expired]; ok {
		return fmt.Sprintf("ask the client to extend its key (`gpg --quick-set-expire %s 2y`) and to send the public half again, then %s", k.Fingerprint, send)
	}
	if len(last) > 0 {
		return "ask the client for a new public PGP key, then " + send
	}
	return "ask the client for its public PGP key, then " + send
}

// showHeld lists held reports with the reason and the age.
func (a *app) showHeld(ctx context.Context, g *gateway, list []reportView) error {
	reasons := heldReasons{g: g, known: map[reports.ClientID]heldReason{}}
	views := make([]heldView, 0, len(list))
	at := now()
	for _, v := range list {
		reason := reasons.reason(ctx, v.Client)
		views = append(views, heldView{reportView: v, Reason: reason.text, Remedy: reason.remedy, Age: int64(at.Sub(v.Received).Seconds())})
	}
	return a.show(views, func(w io.Writer) {
		row(w, "REPORT", "CLIENT", "NAME", "SIZE", "HELD FOR", "BECAUSE")
		for _, v := range views {
			row(w, v.ID, v.Client, v.Name, size(v.Size), age(time.Duration(v.Age)*time.Second), strings.ReplaceAll(v.Reason, "\n", "; "))
		}
		if len(views) > 0 {
			fmt.Fprintln(w, "\nTo have them released:")
		}
		for i, v := range views {
			if !slices.ContainsFunc(views[:i], func(before heldView) bool { return before.Client == v.Client }) {
				fmt.Fprintf(w, "  %s: %s\n", plain(v.Client.String()), plain(v.Remedy))
			}
		}
	})
}

// age is how long ago something was, to the unit that matters.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
