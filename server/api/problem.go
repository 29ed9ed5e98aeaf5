package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/intake/producer"
)

// Problem is an error as the API shows it: problem details of RFC 9457.
type Problem struct {
	// Type is the path of a page about this kind of problem. It is stable.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Remedy is what the producer or its operator can do.
	Remedy string `json:"remedy"`

	// wait is when it is worth trying again, 0 for the usual.
	wait time.Duration
}

func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// Hint says what the producer or its operator can do.
func (p *Problem) Hint() string { return p.Remedy }

// problemPath is what the types of problems begin with.
const problemPath = "/v1/problems/"

// kind is the name of a kind of problem, the end of its type.
type kind string

const (
	notFound       kind = "not-found"
	badMethod      kind = "method-not-allowed"
	unauthorized   kind = "unauthenticated"
	unknownClient  kind = "unknown-client"
	unknownReport  kind = "unknown-report"
	badName        kind = "invalid-name"
	badParameter   kind = "invalid-parameter"
	badDigest      kind = "invalid-digest"
	otherDigest    kind = "digest-mismatch"
	badKey         kind = "invalid-idempotency-key"
	reusedKey      kind = "idempotency-key-reused"
	keyInUse       kind = "idempotency-key-in-use"
	lockedOut      kind = "too-many-attempts"
	tooSlow        kind = "too-slow"
	noLength       kind = "length-required"
	encoded        kind = "encoded-body"
	incomplete     kind = "incomplete-body"
	stalled        kind = "stalled-body"
	tooLarge       kind = "too-large"
	overQuota      kind = "over-quota"
	onHold         kind = "on-legal-hold"
	noSpace        kind = "no-space"
	busy           kind = "too-many-uploads"
	stopping       kind = "interrupted"
	unknownOutcome kind = "unknown-outcome"
	internal       kind = "internal-error"
)

// kinds returns all that can go wrong, without details.
func kinds() map[kind]Problem {
	return map[kind]Problem{
		notFound:      {Status: 404, Title: "there is nothing here", Remedy: "GET /v1/openapi.json tells what there is"},
		badMethod:     {Status: 405, Title: "the method does not go with this path", Remedy: "GET /v1/openapi.json tells which one does"},
		unauthorized:  {Status: 401, Title: "the producer has not proved who it is", Remedy: "send a token that `sealdrop token add` has made as Authorization: Bearer, or a client certificate that was added with it; it may have expired or been revoked: `sealdrop token list`"},
		unknownClient: {Status: 404, Title: "this producer delivers to no such client", Remedy: "check the client's id; `sealdrop token list` shows for which clients the producer was added"},
		unknownReport: {Status: 404, Title: "the client has no such report", Remedy: "check the id; a report that retention has purged is gone"},
		badName:       {Status: 400, Title: "a report can't have this name", Remedy: "send one name without folders, in UTF-8, percent-encoded"},
		badParameter:  {Status: 400, Title: "the request has a parameter or a header that it can't have", Remedy: "GET /v1/openapi.json tells what there is"},
		badDigest:     {Status: 400, Title: "Content-Digest can't be understood", Remedy: "send sha-256=:BASE64: or sha-512=:BASE64:, once each"},
		otherDigest:   {Status: 400, Title: "the body has another digest than Content-Digest says; nothing was published", Remedy: "the report was changed on the way or while it was read: send it again"},
		badKey:        {Status: 400, Title: "Idempotency-Key can't be understood", Remedy: "send 1 to 255 visible ASCII characters, once"},
		reusedKey:     {Status: 422, Title: "Idempotency-Key was used for another delivery; nothing was published", Remedy: "make a new key for each report, and keep it for trying again only"},
		keyInUse:      {Status: 409, Title: "a delivery with this Idempotency-Key is under way", Remedy: "wait for its answer, or send it again in a while: if the first one succeeds, its answer is repeated"},
		lockedOut:     {Status: 429, Title: "this address is locked out after failed attempts", Remedy: "correct the token or certificate; the gateway's operator can lift it: `sealdrop ban lift`"},
		tooSlow:       {Status: 408, Title: "the body came too slowly; nothing was published", Remedy: "send it again, with the same Idempotency-Key; the gateway's operator can lower api.limits.min_rate"},
		noLength:      {Status: 411, Title: "the request has no body", Remedy: "send Content-Length, 0 for an empty report, or the body in chunks"},
		encoded:       {Status: 415, Title: "the body is encoded", Remedy: "send the report as it is, without Content-Encoding"},
		incomplete:    {Status: 400, Title: "the body is not whole; nothing was published", Remedy: "send it again, with the same Idempotency-Key"},
		stalled:       {Status: 408, Title: "nothing came for too long; nothing was published", Remedy: "send it again, with the same Idempotency-Key"},
		tooLarge:      {Status: 413, Title: "the report is larger than the gateway takes", Remedy: "the gateway's operator can raise api.limits.report_size"},
		overQuota:     {Status: 507, Title: "the client's quota is used up; nothing was published", Remedy: "the gateway's operator can raise it"},
		onHold:        {Status: 409, Title: "what this would take the place of is on legal hold", Remedy: "deliver it without replace"},
		noSpace:       {Status: 507, Title: "the gateway has no room left; nothing was published", Remedy: "the gateway's operator must make room; then send it again"},
		busy:          {Status: 503, Title: "too many uploads are under way", Remedy: "send it again in a while"},
		stopping:      {Status: 503, Title: "the delivery was interrupted; nothing was published", Remedy: "send it again, with the same Idempotency-Key"},
		unknownOutcome: {
			Status: 500, Title: "it is not sure whether the report was published",
			Remedy: "send it again, with the same Idempotency-Key: if it was published, it is not published twice",
		},
		internal: {Status: 500, Title: "the gateway has failed; nothing was published", Remedy: "the gateway's operator finds the cause in its log"},
	}
}

// problem makes the problem of a kind.
func problem(k kind, detail string) *Problem {
	p := kinds()[k]
	p.Type, p.Detail = problemPath+string(k), detail
	return &p
}

// explain puts an error of a delivery into the API's terms. What is not on the list
// is an internal error, which the log tells of and the producer doesn't.
func explain(err error) *Problem {
	var p *Problem
	var tooLong *http.MaxBytesError
	var quota *reports.QuotaError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tooLong):
		return problem(tooLarge, fmt.Sprintf("%d bytes at most", tooLong.Limit))
	case errors.As(err, &quota):
		return problem(overQuota, "")
	case errors.Is(err, reports.ErrUnknownClient):
		return problem(unknownClient, "")
	case errors.Is(err, reports.ErrName):
		return problem(badName, err.Error())
	case errors.Is(err, producer.ErrKeyReused):
		return problem(reusedKey, "")
	case errors.Is(err, producer.ErrUnknown):
		return problem(unauthorized, "")
	case errors.Is(err, reports.ErrOnHold):
		return problem(onHold, "")
	case errors.Is(err, reports.ErrNoSpace), errors.Is(err, database.ErrFull):
		return problem(noSpace, "")
	case errors.Is(err, database.ErrUnknownOutcome):
		return problem(unknownOutcome, "")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem(stalled, "")
	case errors.Is(err, context.Canceled):
		return problem(stopping, "")
	case errors.Is(err, errBroken):
		return problem(incomplete, "")
	}
	return problem(internal, "")
}

// send answers with the problem.
func (p *Problem) send(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="sealdrop"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "5")
	case http.StatusTooManyRequests:
		h.Set("Retry-After", strconv.FormatInt(max(1, int64(math.Ceil(p.wait.Seconds()))), 10))
	}
	if p.Type == problemPath+string(keyInUse) {
		h.Set("Retry-After", "2")
	}
	if p.Type == problemPath+string(badDigest) {
		h.Set("Want-Content-Digest", "sha-256=10, sha-512=5")
	}
	sendJSON(w, p.Status, p)
}

// sendJSON answers with a value. That the peer has gone away is nobody's concern
// any more.
func sendJSON(w http.ResponseWriter, status int, value any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_ = writeJSON(w, value)
}

func writeJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}
