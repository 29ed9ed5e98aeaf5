package config

import (
	"log/slog"
	"net/netip"

	"github.com/sealdrop/sealdrop/reports"
)

// section is a mapping that groups keys. The template leaves the keys of a rare one out.
type section struct {
	key, doc string
	rare     bool
}

// sections returns the groups of [settings], in the same order: ways out, who gets in,
// what becomes of reports, ways in, who is told, the machine.
func sections() []section {
	return []section{
		{key: "sftp", doc: "The sFTP listener."},
		{key: "sftp.limits", doc: "What keeps one client, or a stranger, from using up the gateway.", rare: true},
		{key: "ftp", doc: "The FTP listener, for clients that know no sFTP. A client logs in with a password; see `sealdrop password`."},
		{key: "ftp.tls", doc: "Encryption of FTP."},
		{key: "ftp.limits", doc: "What keeps one client, or a stranger, from using up the gateway.", rare: true},
		{key: "access", doc: "What happens to an address whose logins keep failing."},
		{key: "keys", doc: "What is asked of clients' public keys."},
		{key: "sealing", doc: "How a report is encrypted to its client's PGP keys."},
		{key: "retention", doc: "When a report is purged, and what guards against purging by mistake."},
		{key: "quota", doc: "How much a client may have that has no quota of its own. All that is in its folder counts, and what is held for it; what was removed doesn't. Over it, deliveries and uploads are refused."},
		{key: "spool", doc: "Folders of this machine in which reports are handed in."},
		{key: "api", doc: "The HTTP API, through which programs hand in reports. See `sealdrop token`."},
		{key: "api.tls", doc: "Encryption of the API, and producers' certificates."},
		{key: "api.limits", doc: "What keeps one producer, or a stranger, from using up the gateway.", rare: true},
		{key: "notify", doc: "Who is told of what happens, and how. Clients have their own settings: see `sealdrop notify` and the key notify of clients."},
		{key: "notify.smtp", doc: "The way to send mail."},
		{key: "notify.email_delivery", doc: "What holds for the clients that have chosen to get the sealed reports themselves by email.", rare: true},
		{key: "notify.sms", doc: "The way to send text messages, through a provider's HTTP API.", rare: true},
		{key: "notify.retry", doc: "What happens to a message that can't be handed over.", rare: true},
		{key: "status", doc: "What `sealdrop status` takes for good and bad.", rare: true},
		{key: "ops", doc: "The admin listener, for monitoring."},
		{key: "shutdown", doc: "What happens to transfers when the gateway is stopped.", rare: true},
		{key: "log", doc: "What the gateway writes to standard error."},
		{key: "catalog", doc: "Where the catalog is kept, if not in the data folder."},
	}
}

// settings returns the table of all keys but the clients', in the order in
// which the template and the reference show them.
func settings() []field[Config] {
	table := []field[Config]{{
		key: "data", kind: "path", def: "./data", shown: true,
		doc:   "Folder of the catalog, the sealed reports and the gateway's own keys. Relative paths in this file are taken from the folder that this file is in.",
		value: one(func(c *Config) *string { return &c.Data }, parsePath),
	}}
	for _, more := range [][]field[Config]{
		roleSettings(), publicNameSettings(), sftpSettings(), limitSettings(), ftpSettings(), ftpLimitSettings(), accessSettings(), keysSettings(), sealingSettings(), retentionSettings(),
		quotaSettings(), spoolSettings(), apiSettings(), notifySettings(), statusSettings(), opsSettings(), shutdownSettings(), logSettings(), catalogSettings(),
	} {
		table = append(table, more...)
	}
	return append(table, field[Config]{
		key: "clients_from", kind: "list of paths", def: "clients.d/*.yaml",
		doc:   "Files that declare further clients. The file's name may have * and ?; a pattern may match nothing. Each file is a list of clients, or a mapping with the key clients.",
		value: many(func(c *Config) *[]string { return &c.ClientsFrom }, parsePath),
	})
}

func logSettings() []field[Config] {
	return []field[Config]{{
		key: "log.level", kind: "word", def: "info",
		doc:   "The least important message that is still written: debug, info, warn or error.",
		value: one(func(c *Config) *slog.Level { return &c.Log.Level }, parseLevel),
	}, {
		key: "log.format", kind: "word", def: "text",
		doc:   "text for people, json for machines.",
		value: one(func(c *Config) *string { return &c.Log.Format }, parseFormat),
	}}
}

func sftpSettings() []field[Config] {
	return []field[Config]{{
		key: "sftp.listen", kind: "list of host:port", def: ":32", shown: true,
		doc:   "Addresses to listen on. Without a host, every address of the machine. Ports below 1024 need the capability CAP_NET_BIND_SERVICE. Sockets that systemd hands over take their place: see sealdrop-sftp.socket.",
		value: many(func(c *Config) *[]string { return &c.SFTP.Listen }, parseListen),
	}, {
		key: "sftp.host_keys", kind: "list of paths", rare: true,
		doc:   "Files of the gateway's private SSH host keys. If empty: ssh_host_ed25519_key and ssh_host_rsa_key in the folder hostkeys of the data folder. A reload reads them again.",
		value: many(func(c *Config) *[]string { return &c.SFTP.HostKeys }, parsePath),
	}, {
		key: "sftp.next_host_keys", kind: "list of paths", rare: true,
		doc:   "Files of private SSH host keys that are to take the place of the others one day. They are announced to OpenSSH's clients, which remember them (UpdateHostKeys), and are not used yet. A reload reads them again.",
		value: many(func(c *Config) *[]string { return &c.SFTP.NextHostKeys }, parsePath),
	}, {
		key: "sftp.keep_interrupted", kind: "duration", def: "24h", rare: true,
		doc:   "How long an upload that broke off can be resumed; then its part is discarded.",
		value: one(func(c *Config) *Duration { return &c.SFTP.KeepInterrupted }, parsePeriod),
	}}
}

func limitSettings() []field[Config] {
	limit := func(at func(*Limits) *int) accessor[Config] {
		return one(func(c *Config) *int { return at(&c.SFTP.Limits) }, parseCount)
	}
	wait := func(at func(*Limits) *Duration) accessor[Config] {
		return one(func(c *Config) *Duration { return at(&c.SFTP.Limits) }, parsePeriod)
	}
	return []field[Config]{{
		key: "sftp.limits.connections", kind: "number", def: "4000",
		doc:   "Connections at one time, over all clients.",
		value: limit(func(l *Limits) *int { return &l.Connections }),
	}, {
		key: "sftp.limits.connections_per_address", kind: "number", def: "50",
		doc:   "Connections at one time from one IP address.",
		value: limit(func(l *Limits) *int { return &l.ConnectionsPerAddress }),
	}, {
		key: "sftp.limits.unauthenticated", kind: "number", def: "200",
		doc:   "Connections at one time that have not logged in yet. One network (IPv4 /24, IPv6 /48) may hold half of them.",
		value: limit(func(l *Limits) *int { return &l.Unauthenticated }),
	}, {
		key: "sftp.limits.login_timeout", kind: "duration", def: "30s",
		doc:   "How long a connection may take to log in.",
		value: wait(func(l *Limits) *Duration { return &l.LoginTimeout }),
	}, {
		key: "sftp.limits.idle_timeout", kind: "duration", def: "15m",
		doc:   "How long a session may be silent before it is closed.",
		value: wait(func(l *Limits) *Duration { return &l.IdleTimeout }),
	}, {
		key: "sftp.limits.tries", kind: "number", def: "6",
		doc:   "Keys that a client may try on one connection.",
		value: limit(func(l *Limits) *int { return &l.Tries }),
	}, {
		key: "sftp.limits.sessions_per_client", kind: "number", def: "50",
		doc:   "Sessions at one time of one client, from all its addresses.",
		value: limit(func(l *Limits) *int { return &l.SessionsPerClient }),
	}, {
		key: "sftp.limits.handles_per_session", kind: "number", def: "128",
		doc:   "Files and folders that one session may have open at one time.",
		value: limit(func(l *Limits) *int { return &l.HandlesPerSession }),
	}}
}

func sealingSettings() []field[Config] {
	return []field[Config]{{
		key: "sealing.compress", kind: "true or false", def: "true",
		doc:   "Compress a report before it is encrypted.",
		value: one(func(c *Config) *bool { return &c.Sealing.Compress }, parseBool),
	}, {
		key: "sealing.escrow", kind: "path", def: "",
		doc:   "File with a PGP public key to which every report is sealed as well as to its client, so that its holder can open all of them. Empty: no such key.",
		value: one(func(c *Config) *string { return &c.Sealing.Escrow }, parseOptionalPath),
	}, {
		key: "sealing.sign", kind: "true or false", def: "false",
		doc:   "Sign each report with the gateway's own PGP key.",
		value: one(func(c *Config) *bool { return &c.Sealing.Sign }, parseBool),
	}}
}

func retentionSettings() []field[Config] {
	period := func(at func(*Retention) *Duration) accessor[Config] {
		return one(func(c *Config) *Duration { return at(&c.Retention) }, parsePeriod)
	}
	return []field[Config]{{
		key: "retention.after", kind: "duration", def: "100d", shown: true,
		doc:   "How long a report is kept after its publication, unless its client has a retention of its own. A change applies to reports published from then on. Units: s, m, h, d, w; 1d12h is a day and a half.",
		value: period(func(r *Retention) *Duration { return &r.After }),
	}, {
		key: "retention.sweep", kind: "duration", def: "1h", shown: true,
		doc:   "Time between two sweeps, each of which purges all that is due.",
		value: period(func(r *Retention) *Duration { return &r.Sweep }),
	}, {
		key: "retention.max_share", kind: "percentage", def: "25%", rare: true,
		doc:   "A sweep that would purge more than this share of all reports at once (ten may always go) is refused until an operator runs `sealdrop retention run --confirm`: the clock may have jumped. From 1% to 100%.",
		value: one(func(c *Config) *Percent { return &c.Retention.MaxShare }, parsePercent),
	}, {
		key: "retention.max_gap", kind: "duration", def: "14d", rare: true,
		doc:   "The first sweep after a longer silence than this is refused in the same way.",
		value: period(func(r *Retention) *Duration { return &r.MaxGap }),
	}, {
		key: "retention.grace", kind: "duration", def: "24h", rare: true,
		doc:   "How long the sealed content outlives the purge of its report, for downloads in progress and for backups that copy the catalog first.",
		value: period(func(r *Retention) *Duration { return &r.Grace }),
	}}
}

func accessSettings() []field[Config] {
	return []field[Config]{{
		key: "access.failures", kind: "number", def: "20",
		doc:   "Failed logins from one address after which it is banned for a while.",
		value: one(func(c *Config) *int { return &c.Access.Failures }, parseCount),
	}, {
		key: "access.window", kind: "duration", def: "10m", rare: true,
		doc:   "The time within which these failures are counted.",
		value: one(func(c *Config) *Duration { return &c.Access.Window }, parsePeriod),
	}, {
		key: "access.ban", kind: "duration", def: "15m",
		doc:   "How long the ban lasts.",
		value: one(func(c *Config) *Duration { return &c.Access.Ban }, parsePeriod),
	}, {
		key: "access.learn", kind: "true or false", def: "false",
		doc:   "Lets addresses that are on nobody's list come as far as to prove who they are, 8 connections at a time. A client whose address has changed is then told so after it has proved its key, and `sealdrop client show` has the command that lets it in. Without it, such a connection is closed before a byte is exchanged.",
		value: one(func(c *Config) *bool { return &c.Access.Learn }, parseBool),
	}}
}

func quotaSettings() []field[Config] {
	return []field[Config]{{
		key: "quota.bytes", kind: "size", def: "unlimited",
		doc:   "Bytes, as they are stored: of reports, after compression and encryption. Such as 500MiB, 10GiB or 1TiB; or unlimited.",
		value: one(func(c *Config) *Size { return &c.Quota.Bytes }, ParseSize),
	}, {
		key: "quota.files", kind: "number", def: "unlimited",
		doc:   "Reports and uploads; or unlimited.",
		value: one(func(c *Config) *Count { return &c.Quota.Files }, ParseCount),
	}}
}

// clientsDoc explains the key clients, which is no field: its value is a list
// of mappings, each with the keys of [clientFields].
const clientsDoc = "Clients that this file declares. They are applied at start and on SIGHUP. What is declared here can be changed only here; the command line refuses and says where."

// clientFields returns the table of a client's keys. The default of each is what
// holds if the file does not declare it.
func clientFields() []field[Client] {
	return []field[Client]{{
		key: "id", kind: "text",
		doc:   "The client's user name: lower-case letters, digits, '-', '_' and '.'. Required.",
		value: one(func(c *Client) *reports.ClientID { return &c.ID }, parseID),
	}, {
		key: "name", kind: "text",
		doc:   "The client's name for people. Default: empty.",
		value: one(func(c *Client) *string { return &c.Name }, ParseName),
	}, {
		key: "allow", kind: "list of networks",
		doc:   "Networks and addresses from which the client may log in; an IPv6 one in quotes. Nobody gets in from elsewhere. Default: empty, from nowhere.",
		value: many(func(c *Client) *[]netip.Prefix { return &c.Allow }, ParseAllow),
	}, {
		key: "delivers_to", kind: "list of client ids",
		doc:   "Makes it a producer, who hands in reports over sFTP for these clients and gets none; or all. It may have id, name, allow and disabled besides. Default: empty, a client.",
		value: many(func(c *Client) *[]string { return &c.DeliversTo }, parseReach),
	}, {
		key: "retention", kind: "duration",
		doc:   "How long this client's reports are kept. Default: retention.after.",
		value: one(func(c *Client) *Duration { return &c.Retention }, parsePeriod),
	}, {
		key: "disabled", kind: "true or false",
		doc:   "The client may not log in; its reports are kept. Default: false.",
		value: one(func(c *Client) *bool { return &c.Disabled }, parseBool),
	}, {
		key: "ftp", kind: "word",
		doc:   "How the client may log in over FTP with its password: tls, over TLS only; plain, also in the clear, where anybody on the way can read it; off, not at all. sFTP is open to it in any case. Default: tls.",
		value: one(func(c *Client) *string { return &c.FTP }, ParseFTP),
	}, {
		key: "quota", kind: "size",
		doc:   "How many bytes the client may have, such as 10GiB; or unlimited. Default: quota.bytes.",
		value: one(func(c *Client) *Size { return &c.Quota }, ParseSize),
	}, {
		key: "quota_files", kind: "number",
		doc:   "How many reports and uploads the client may have; or unlimited. Default: quota.files.",
		value: one(func(c *Client) *Count { return &c.QuotaFiles }, ParseCount),
	}}
}
