package api

import (
	_ "embed"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sealdrop/sealdrop/reports"
)

//go:embed openapi.json
var openapi []byte

// Report is a report as the API shows it.
type Report struct {
	ID       string           `json:"id"`
	Client   reports.ClientID `json:"client"`
	Name     reports.Name     `json:"name"`
	State    reports.State    `json:"state"`
	Size     int64            `json:"size"`   // of the sealed report, in bytes
	SHA256   string           `json:"sha256"` // of the sealed report
	SealedTo []string         `json:"sealed_to"`

	Received  *time.Time `json:"received,omitempty"`
	Published *time.Time `json:"published,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Collected *time.Time `json:"collected,omitempty"`

	// Known: the same was delivered before, and nothing was changed.
	Known       bool   `json:"known"`
	HeldBecause string `json:"held_because,omitempty"`
}

func view(r reports.Report) Report {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return Report{
		ID: r.ID, Client: r.Client, Name: r.Name, State: r.State, Size: r.Size, SHA256: r.SHA256, SealedTo: r.SealedTo,
		Received: at(r.Received), Published: at(r.Published), Expires: at(r.Expires), Collected: at(r.Collected),
	}
}

// route is one operation of the API.
type route struct {
	method, path string
	handle       func(http.ResponseWriter, *http.Request) *Problem
}

// routes returns all operations. The OpenAPI document describes them.
func (s *Server) routes() []route {
	return []route{
		{"PUT", "/v1/clients/{client}/reports/{name}", s.put},
		{"GET", "/v1/clients/{client}/reports/{id}", s.status},
		{"GET", "/v1/clients/{client}", s.client},
		{"GET", "/v1/openapi.json", s.document},
		{"GET", "/v1/problems/{name}", s.explanation},
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	paths := map[string]bool{}
	for _, route := range s.routes() {
		mux.HandleFunc(route.method+" "+route.path, func(w http.ResponseWriter, r *http.Request) {
			if p := route.handle(w, r); p != nil {
				p.send(w)
			}
		})
		// One pattern per path, whatever its last part is called.
		path := strings.NewReplacer("{name}", "{last}", "{id}", "{last}").Replace(route.path)
		if !paths[path] {
			mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { problem(badMethod, "").send(w) })
		}
		paths[path] = true
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { problem(notFound, "").send(w) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if len(r.TransferEncoding) > 0 {
			// It may have had a length besides, which net/http drops: behind such a body
			// a proxy may see another request than we do (RFC 9112, section 6.3).
			w.Header().Set("Connection", "close")
		}
		if r.ContentLength != 0 {
			// A body that nobody wants is read to its end, too, up to a bound of net/http's.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.StallTimeout)) // every connection can
		}
		mux.ServeHTTP(w, r)
	})
}

// delivery is what a request asks for.
type delivery struct {
	producer string
	client   reports.ClientID
	name     reports.Name
	modified time.Time
	replace  bool
	key      string
	digests  digests
}

// addressed finds who asks, and about which client.
func (s *Server) addressed(r *http.Request) (d delivery, p *Problem) {
	who, err := s.identify(r)
	if err != nil {
		return d, s.failed(r, err)
	}
	d.producer = who.Name
	d.client, err = reports.ParseClientID(r.PathValue("client"))
	if err != nil || !who.May(d.client) {
		return d, problem(unknownClient, "")
	}
	if err := s.Client(r.Context(), d.client); err != nil {
		return d, s.failed(r, err)
	}
	return d, nil
}

// failed puts an error into the API's terms, and into the log if the API doesn't
// tell it.
func (s *Server) failed(r *http.Request, err error) *Problem {
	p := explain(err)
	if p.Status >= http.StatusInternalServerError {
		s.Log.Error("a request to the API failed", "event", "api.request-failed", "method", r.Method, "path", r.URL.Path, "problem", p.Type, "error", err)
	}
	return p
}

func (s *Server) put(w http.ResponseWriter, r *http.Request) *Problem {
	d, p := s.addressed(r)
	if p != nil {
		return p
	}
	if p := d.read(r, s.Now()); p != nil {
		return p
	}
	if r.ContentLength > s.MaxReport {
		return explain(&http.MaxBytesError{Limit: s.MaxReport})
	}
	end, p := s.flights.begin(d)
	if p != nil {
		return p
	}
	defer end()
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return problem(busy, "")
	}
	o, err := s.take(r.Context(), d, s.newBody(r.Context(), w, r, d))
	if err == nil {
		err = o.send(w, d.client)
	}
	if err != nil {
		s.Log.Info("a delivery was refused", "event", "delivery.refused", "producer", d.producer, "client", d.client, "name", d.name, "error", err)
		return s.failed(r, err)
	}
	return nil
}

// read takes in what the request says of the report.
func (d *delivery) read(r *http.Request, now time.Time) *Problem {
	var err error
	if d.name, err = reports.ParseSegment(r.PathValue("name")); err != nil {
		return problem(badName, err.Error())
	}
	if r.ContentLength == 0 && len(r.Header["Content-Length"]) == 0 && len(r.TransferEncoding) == 0 {
		return problem(noLength, "")
	}
	if len(r.Header["Content-Encoding"]) > 0 {
		return problem(encoded, "")
	}
	if len(r.Header["Content-Range"]) > 0 {
		return problem(badParameter, "Content-Range: a report is sent as a whole")
	}
	if p := d.readQuery(r.URL.RawQuery, now); p != nil {
		return p
	}
	if keys := r.Header.Values("Idempotency-Key"); len(keys) > 0 {
		if len(keys) > 1 || !isIdempotencyKey(keys[0]) {
			return problem(badKey, "")
		}
		d.key = keys[0]
	}
	var p *Problem
	d.digests, p = parseDigest(r.Header.Values("Content-Digest"))
	return p
}

// isIdempotencyKey reports whether s may be a key: visible ASCII, so that quotes
// around it, as newer drafts have them, are part of it.
func isIdempotencyKey(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func (d *delivery) readQuery(raw string, now time.Time) *Problem {
	d.modified = now
	query, err := url.ParseQuery(raw)
	if err != nil {
		return problem(badParameter, "the query can't be understood")
	}
	for name, values := range query {
		if len(values) != 1 {
			return problem(badParameter, name+" is there twice")
		}
		switch name {
		case "modified":
			if d.modified, err = time.Parse(time.RFC3339, values[0]); err != nil || d.modified.Unix() < 0 || d.modified.Unix() >= 1<<32 {
				return problem(badParameter, "modified is a time such as 2026-11-20T17:30:00Z")
			}
		case "replace":
			if !slices.Contains([]string{"true", "false"}, values[0]) {
				return problem(badParameter, "replace is true or false")
			}
			d.replace = values[0] == "true"
		default:
			return problem(badParameter, "there is no parameter "+name)
		}
	}
	return nil
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) *Problem {
	d, p := s.addressed(r)
	if p != nil {
		return p
	}
	report, err := s.Report(r.Context(), r.PathValue("id"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && (report.Client != d.client || report.Kind != reports.KindReport) {
		return problem(unknownReport, "")
	}
	if err != nil {
		return s.failed(r, err)
	}
	sendJSON(w, http.StatusOK, view(report))
	return nil
}

func (s *Server) client(w http.ResponseWriter, r *http.Request) *Problem {
	d, p := s.addressed(r)
	if p == nil {
		sendJSON(w, http.StatusOK, map[string]string{"id": d.client.String()})
	}
	return p
}

func (s *Server) document(w http.ResponseWriter, _ *http.Request) *Problem {
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
	_, _ = w.Write(openapi) // the peer may have gone away
	return nil
}

func (s *Server) explanation(w http.ResponseWriter, r *http.Request) *Problem {
	k := kind(r.PathValue("name"))
	if _, found := kinds()[k]; !found {
		return problem(notFound, "")
	}
	sendJSON(w, http.StatusOK, problem(k, ""))
	return nil
}
