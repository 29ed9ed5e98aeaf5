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
// The digest may also come behind the body, in a trailer that was announced.
//
// An Idempotency-Key is bound to the content that it was first used for before that
// is published, so it can't come to stand for two, not even across a crash; what
// is kept of the content is a keyed hash. The answer is recorded in the transaction
// that publishes, and a repeat gets it, byte for byte, whatever became of the report
// or the disk since. While a delivery is under way, another with its key is refused
// with 409. Refusals are not recorded: after one, the same may be tried again.
//
// # Who may
//
// A producer proves itself with a bearer token or a client certificate that leads
// to the operator's authority, and who talks through the unix socket is known to
// the kernel. Each request is decided on by itself, and once more when the body is
// whole: a producer that was revoked meanwhile publishes nothing, and a certificate
// is verified each time with the authorities as they are then. A client that a
// producer may not deliver to is answered like one that there is not.
//
// [Guard] records who could not prove it, with the reason, which the answer doesn't
// tell; an address that goes on guessing is locked out (429) before its next proof is
// looked at.
//
// # What holds no place
//
// A body may take its time, but neither pause ([Config].StallTimeout) nor trickle
// (MinRate), and one producer can't take up the places of all.
//
// # What it refuses
//
// HTTP in the clear over TCP, HTTP/2, bodies with a Content-Encoding or a
// Content-Range, parameters that it doesn't know. Errors are problem details (RFC
// 9457) of a closed list, with what to do in "remedy"; what went wrong inside is in
// the log only.
package api
