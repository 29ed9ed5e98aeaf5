package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

// heldView is how a held report is shown.
type heldView struct {
	reportView
	Reason string `json:"held_because"`
	Age    int64  `json:"held_seconds"`
}

// heldReasons tells why clients' reports are held, asking once for each client.
type heldReasons struct {
	g     *gateway
	known map[reports.ClientID]string
}

func (h *heldReasons) reason(ctx context.Context, client reports.ClientID) string {
	text, ok := h.known[client]
	if ok {
		return text
	}
	if _, err := h.g.register.Recipients(ctx, client); err != nil {
		text = err.Error()
	} else {
		text = fmt.Sprintf("client %s has a usable key by now; the running gateway releases it, or its next delivery", client)
	}
	h.known[client] = text
	return text
}

// showHeld lists held reports with the reason and the age.
func (a *app) showHeld(ctx context.Context, g *gateway, list []reportView) error {
	reasons := heldReasons{g: g, known: map[reports.ClientID]string{}}
	views := make([]heldView, 0, len(list))
	at := now()
	for _, v := range list {
		views = append(views, heldView{
			reportView: v, Reason: reasons.reason(ctx, v.Client), Age: int64(at.Sub(v.Received).Seconds()),
		})
	}
	return a.show(views, func(w io.Writer) {
		row(w, "REPORT", "CLIENT", "NAME", "SIZE", "HELD FOR", "BECAUSE")
		for _, v := range views {
			row(w, v.ID, v.Client, v.Name, size(v.Size), age(time.Duration(v.Age)*time.Second), strings.ReplaceAll(v.Reason, "\n", "; "))
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
