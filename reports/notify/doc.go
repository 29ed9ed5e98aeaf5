// Package notify tells clients and operators what they have asked to be told of:
// by email, by webhook, and by text message through a webhook.
//
// What happened is put into the outbox in the transaction that made it so (see
// internal/outbox), and [Dispatcher.Run] does the rest: it makes messages of the
// events, one for each contact or one for a digest, and hands them over. What
// nobody does but time, such as a key that is about to expire, it finds itself
// about once an hour.
//
// It promises:
//
//   - An event whose transaction is committed becomes its messages exactly once,
//     whatever crashes: taking it out of the outbox and writing them is one
//     transaction.
//   - A message is handed over at least once, or it is dead, which operators are
//     told. Nothing is dropped in silence. It can be handed over twice if the
//     gateway dies between the receiver's answer and the next commit, and then
//     bears the same id: webhook-id, Message-ID, Idempotency-Key.
//   - Two gateways on one catalog don't send one message at the same time: who
//     sends has claimed it by a conditional update, for a time that outlasts the
//     longest attempt.
//   - A receiver that fails in whatever way holds up nobody else's messages.
//
// A message is a summary: how many, how large, until when. The name of a report
// is in it only if its client has chosen so, and content never. Targets are set
// by operators alone. Redirects are not followed, since they would let the
// receiver choose another target; no more of an answer is read than is shown.
package notify
