// Package courier sends sealed reports to the clients that have chosen to get them by
// email. [Courier.Deliver] sends one report to one address.
//
// # The forms
//
// Attachment: the mail says what it brings, and the report goes with it as the file
// NAME.pgp, byte for byte what the client's folder has. Mail programs that know OpenPGP
// (Thunderbird among them) offer to decrypt an attachment of such a name; everybody else
// saves it and does what is done with a fetched file.
//
// PGP/MIME (RFC 3156): what is to be said and the attachment are sealed again to the
// client's certificates, as the MIME entity that the standard wants. The client's
// mail program opens that by itself, and shows the attachment, which is still the
// folder's NAME.pgp, sealed. It hides the report's name and the text from all who carry
// the mail, at the price of decrypting twice. The report itself can't be the standard's
// encrypted part: RFC 3156 wants headers of MIME within it, which a report does not
// begin with, and a mail program would take its first lines for them. To write them in
// one would have to open the report, which the gateway can't and shall not.
//
// # What it promises
//
//   - Nothing but sealed bytes leaves, and only those that some certificate which is
//     usable now can open. A held report, which is sealed to the gateway's own hold key,
//     is never sent.
//   - What arrives is what the catalog vouches for: the digest is checked while the
//     file is read, and a mail with other bytes is cut off before the server takes it.
//   - What is larger than MaxSize, or than the server takes, is told of instead, and so
//     is what no certificate can open any more, or a key that was revoked can.
//   - A client that is disabled is sent nothing.
//   - The subject holds no report's name. An attachment has it: who has reports sent by
//     email has chosen that.
//
// # Receipts
//
// The mail server's 250 means that it has the mail, not that the client has: so there is
// a receipt, with protocol "email" and the server's address, and the report is not
// collected by it. It stays in the folder until its time is over, and reminders are sent
// for it as for any other. A crash between the 250 and the receipt loses the receipt.
package courier
