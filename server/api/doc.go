// Package api takes reports in over HTTP. Start with [New]; [Server.ServeConn]
// serves a connection of a TCP listener, always with TLS, and [Server.Serve] a
// unix socket.
//
//	PUT /v1/clients/{client}/reports/{name}   the body is the report
//	GET /v1/clients/{client}/reports/{id}     what became of it
//	GET /v1/clients/{client}                  whether this producer may deliver to it
//	GET /v1/openapi.json                      all of this, for programs
//	GET /v1/problems/{name}                   what an error means
//
// # What it promises
//
// A report that is answered with 201, 200 (the same was there before) or 202 (held)
// is durable. In any other case there is none, but after 500 "unknown-outcome",
// where sending it again finds out: a report is known again by its content. A body
// that is cut off, stalls, has another length than was announced, or another digest
// than Content-Digest says (RFC 9530) publishes nothing.
//
// An Idempotency-Key is bound to the content that it was first used for before that
// is published, so it can't come to stand for two, not even across a crash; what
// is kept of the content is a keyed hash.
//
// # Who may
//
// A producer proves itself with a bearer token or a client certificate that leads
// to the operator's authority, and who talks through the unix socket is known to
// the kernel. Each request is decided on by itself, and once more when the body is
// whole: a producer that was revoked meanwhile publishes nothing. A client that a
// producer may not deliver to is answered like one that there is not.
//
// # What it refuses
//
// HTTP in the clear over TCP, HTTP/2, bodies with a Content-Encoding or a
// Content-Range, parameters that it doesn't know. Errors are problem details (RFC
// 9457) of a closed list, with what to do in "remedy"; what went wrong inside is in
// the log only.
package api
