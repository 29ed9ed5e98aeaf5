// Package mail hands messages to an SMTP server, which brings them on their way.
// It never delivers to a recipient's own server by itself.
//
// # Where to start
//
//	sender, err := mail.New(mail.Config{Host: "smtp.example.com", From: "Reports <reports@example.com>"})
//	handed, err := sender.Send(ctx, mail.Mail{ID: id, To: []string{"ops@acme.example"}, Subject: …, Body: …, Date: now})
//
// # What it promises
//
//   - With [Required], which is the default, and [Implicit] nothing is sent but over
//     TLS whose certificate was verified for Host: neither a mail nor a user name. A
//     server that offers no STARTTLS, be it because somebody has cut it out on the way,
//     gets nothing. With [Optional] TLS is used where it is offered, and is verified then.
//   - The password goes only over TLS in a form that can be read back (PLAIN, LOGIN);
//     without TLS there is SCRAM or no login. It is read from its file for each
//     connection, so that a new one takes effect at once, and is in no error.
//   - What was handed over was handed over whole: a mail whose attachment can't be read
//     to its end is cut off before the server takes it.
//   - A mail has the same Message-ID however often it is sent, so that one which the
//     server took without its answer arriving can be told from its repetition.
//   - Nothing in a header can begin another: a line break or a control character in an
//     address, a subject or a name is refused. Addresses are bare, ASCII, RFC 5321.
//   - A connection that was used is kept for a moment for the next mail.
//
// # Errors
//
// Every error is an [*Error], which keeps the server's own words. It is permanent if the
// server refused this recipient or this mail for good (5xx), or if the mail is not one.
// Everything else is worth another try: a connection that fails, a certificate or a
// password that is no good, a sender that is refused. Those are faults of the set-up, and
// what waits must not be lost by them.
package mail
