package event

// Sections lists all events.
func Sections() []Section {
	return []Section{
		{"The gateway", life()},
		{"Logins, sessions and connections", logins()},
		{"Transfers", transfers()},
		{"Reports on their way in", intake()},
		{"Upkeep", upkeep()},
	}
}

func life() []Event {
	return []Event{
		{"start.configuration", "The configuration has something that is allowed and seldom meant.", "Read the warning; `sealdrop config check` repeats it."},
		{"start.host-key", "An SSH host key that clients see.", ""},
		{"start.next-host-key", "An SSH host key that is announced to clients and not used yet.", ""},
		{"start.socket-unused", "systemd hands over a socket that nothing is served on.", "Disable its unit, or set the protocol's listen."},
		{"systemd.not-told", "systemd could not be told how the gateway does.", "See the error; it goes on serving."},
		{"systemd.hung", "The gateway does not answer itself. systemd starts it anew.", "Report it, with the log before it."},
		{"start.certificate", "A TLS certificate that clients see.", ""},
		{"listener.open", "A protocol listens on an address.", ""},
		{"listener.ports-taken", "Another program has some of FTP's passive ports.", "Take them from it, or change ftp.passive_ports."},
		{"listener.failing", "A connection could not be accepted, as when the process has no file descriptor left; it is tried again.", "If it goes on, raise LimitNOFILE, or lower the limits of connections."},
		{"gateway.stopping", "SIGTERM or SIGINT came; transfers under way may finish.", ""},
		{"gateway.stopped", "The gateway has ended.", ""},
		{"client.declared", "A client that the configuration declares was added or changed.", ""},
		{"client.undeclared", "Clients that the configuration declared before, and no longer does, were locked out.", "Declare them again if that was not meant, and reload; their keys and reports are there."},
		{"reload.done", "SIGHUP came, and the declared clients were applied.", ""},
		{"reload.refused", "SIGHUP came, and the configuration has a fault. Nothing was changed.", "Mend it and send SIGHUP again; `sealdrop config check` shows all faults."},
		{"reload.restart-needed", "SIGHUP came; this section was changed, too, and is not applied by a reload.", "Restart the gateway when it suits."},
		{"ops.failed", "The admin listener ended. The gateway goes on without monitoring.", "Restart the gateway when it suits."},
		{"ops.no-figures", "The figures of a source could not be looked up for monitoring; they are left out.", "See the error."},
		{"certificate.expiring", "A TLS certificate has less than two weeks, or has ended.", "Renew it; the files are read again by themselves."},
		{"certificate.reread", "The files of a certificate have changed and were read again.", ""},
		{"certificate.unusable", "The files of a certificate have changed and can't be used; the one before stays in use.", "Check that both files are whole and belong together."},
		{"panic.connection", "A fault of the program ended one connection. The others go on.", "Report it, with the stack."},
		{"panic.command", "A fault of the program ended one FTP session. The others go on.", "Report it, with the stack."},
		{"panic.transfer", "A fault of the program ended one FTP transfer. The others go on.", "Report it, with the stack."},
		{"fault.catalog", "The catalog did not answer. What can't be decided is refused; sessions go on.", "See the error; `sealdrop fsck` checks the catalog."},
		{"fault.not-recorded", "Something could not be written to the audit.", "See the error: most often the disk is full."},
	}
}

func logins() []Event {
	return []Event{
		{"login.allowed", "A client has logged in.", ""},
		{"login.refused", "A login was refused: the first of its kind (address, client, reason) within ten minutes. The reasons are those of docs/diagnosis.md.", "The attribute remedy says it; `sealdrop why --client ID` tells more."},
		{"login.refused-again", "How often the same was refused within ten minutes, beyond the first time.", "As for login.refused."},
		{"login.fault", "A login was refused because it could not be decided on or recorded.", "See the error; clients are locked out until it is mended."},
		{"producer.refused", "A producer could not prove who it is over HTTP: the first of its kind within ten minutes.", "Check its token with `sealdrop token list`."},
		{"producer.certificate-refused", "A producer's TLS certificate is not good.", "Check it against api.tls.client_ca."},
		{"address.banned", "An address, an IPv6 network, or (client:ID) a client's password is locked out for a while after too many failed logins.", "`sealdrop ban list` shows all, `sealdrop ban lift` ends one."},
		{"session.ended", "A session was ended because it is not allowed any more: a key was revoked, an address taken off the list.", ""},
		{"connection.refused", "A connection was closed at accept, before a byte: the first within a minute. The causes: address-not-admitted (on nobody's list), too-many-connections, too-many-from-address, too-many-unauthenticated, address-unreadable.", "If the address is a client's, `sealdrop client allow CLIENT ADDRESS`."},
		{"connection.refused-again", "How many connections were closed at accept within a minute, beyond the first; one attribute for each cause.", "As for connection.refused."},
		{"connection.idle", "A session was silent for too long.", ""},
		{"connection.ended", "The gateway ends a session, and says why.", ""},
		{"connection.closed-before-login", "A connection ended without a login; the log has login.refused for it, too.", ""},
		{"connection.closed", "A connection has ended.", ""},
		{"data.refused", "FTP: a data connection was refused after the login.", "The attribute remedy says it."},
		{"data.unreachable", "FTP: a client has logged in, and never opened the port that was announced to it.", "The attribute remedy says it: a firewall, or ftp.public_address."},
		{"data.reached", "FTP: a client whose data port was unreachable has reached it.", ""},
		{"data.stalled", "FTP: a data connection was closed on which nothing moved.", ""},
		{"data.unexpected", "FTP: a data connection that nobody waits for was closed.", ""},
		{"ftp.injection", "FTP: commands were sent in the clear behind AUTH TLS, to be taken for encrypted ones. The connection was closed.", "Look who is between the client and the gateway."},
	}
}

func transfers() []Event {
	return []Event{
		{"upload.broken-off", "A client's upload did not come to its end. What arrived can be resumed for a day.", ""},
		{"upload.refused", "A client's upload was refused: its quota is used up, or it may not be that large.", "`sealdrop client show ID` has it; `sealdrop client set ID --quota 10GiB` changes it."},
		{"upload.disk-full", "A client's upload was refused: the disk is at its reserve.", "Make room. Downloads go on."},
		{"receipt.not-written", "A report was fetched or mailed, and its receipt could not be written. The report may not show as collected.", "See the error."},
		{"digest.not-stored", "Digests of uploads could not be stored; it is tried again.", "See the error."},
		{"digest.unreadable", "An upload's content can't be read.", "`sealdrop fsck`; look at the disk."},
		{"blob.not-deleted", "Content that no file shows could not be deleted. A sweep will.", ""},
		{"sftp.request-failed", "A request of an sFTP client failed for a reason of the gateway's own; the client is told only that it did.", "See the error."},
		{"sftp.session-broken", "An sFTP session ended in the middle of a message.", ""},
		{"sftp.host-key-unproved", "A host key that was announced to a client could not be proved to it.", "See the error; check the files of sftp.next_host_keys."},
		{"sftp.no-session", "A login was allowed and has no session. This can't be; the connection was closed.", "Report it."},
		{"ftp.command-failed", "A command of an FTP client failed for a reason of the gateway's own; the client is told only that it did.", "See the error."},
		{"ftp.download-failed", "An FTP download could not be closed.", "See the error."},
		{"ftp.library-failed", "The FTP library failed. The session was ended.", "Report it."},
	}
}

func intake() []Event {
	return []Event{
		{"spool.watching", "Reports are taken in from a spool folder.", ""},
		{"spool.taken", "A file was taken in from a spool folder: published, held (because), or known from before.", "If it is held, import a PGP key for its client."},
		{"spool.rejected", "A file can't be delivered and was moved aside.", "The attributes reason and hint say it; then `sealdrop spool retry`."},
		{"spool.retried", "A file could not be taken in now; it is tried again.", "See the error if it goes on."},
		{"spool.client-waits", "One client's files can't be taken in, and wait.", "The attribute hint says it."},
		{"spool.paused", "Nothing is taken in for now; files wait in their places.", "The attribute hint says it: most often the disk is nearly full."},
		{"spool.resumed", "Files are taken in again.", ""},
		{"spool.no-watch", "The kernel does not tell of new files; they are found by rescans, later.", "Raise fs.inotify.max_user_watches, or leave it."},
		{"delivery.refused", "A report was refused over HTTP; the producer was told why.", ""},
		{"api.request-failed", "A request over HTTP failed for a reason of the gateway's own.", "See the error."},
		{"release.done", "Reports that were held for want of a key were sealed for their client and published.", ""},
		{"release.failed", "Held reports could not be released; it is tried again.", "See the error; `sealdrop report list --state held` shows them."},
	}
}

func upkeep() []Event {
	return []Event{
		{"sweep.done", "A sweep purged what was due, or tidied up.", ""},
		{"sweep.failed", "A sweep was refused (too much at once, or a clock in doubt), or failed.", "See the error; `sealdrop retention plan`, then `sealdrop retention run --confirm`."},
		{"message.retried", "A notification could not be delivered; it is tried again.", "See the error if it goes on."},
		{"message.dead", "A notification was given up.", "The attribute remedy says it."},
		{"notify.failed", "Notifications could not be worked on; it is tried again.", "See the error."},
	}
}
