package message

import "strings"

// spec says what a text may hold.
type spec struct {
	plural bool // it has a form for each plural of the language
	fields []string
}

// Placeholders that texts share.
const (
	always     = "Client ClientName Gateway Host Contact"
	aboutFiles = always + " Count Size Until Date In"
	aboutKey   = always + " Key Label Fingerprint Until Date In"
)

// specs lists every text that there is.
func specs() map[string]spec {
	all := map[string]spec{}
	add := func(fields string, plural bool, ids ...string) {
		for _, id := range ids {
			all[id] = spec{plural, strings.Fields(fields)}
		}
	}
	const one, many = false, true

	add("Day Month Year", one, "date")
	add("Date Time Zone", one, "datetime")
	for _, id := range months() {
		add("", one, id)
	}
	add("Count", many, "in", "names.more")
	add("", one, "in.today", "key.ssh", "key.pgp", "key.password")
	add(always, one, "greeting", "greeting.operator", "ask", "automatic", "test.subject", "test.what", "test.next", "test.short")
	add(aboutKey, one, "credential", "credential.fingerprint")

	for _, kind := range []Kind{ReportReady, ReportHeld, ReportUncollected} {
		id := string(kind)
		add(aboutFiles, many, id+".subject", id+".what", id+".next", id+".short", "operator."+id)
	}
	add(aboutFiles, many, "report.ready.keep", "report.uncollected.keep")
	add(aboutFiles, one, "report.ready.attached", "report.ready.attached.next", "report.ready.toolarge")

	add(aboutKey, one, "key.expiring.subject", "key.expiring.what", "key.expiring.short", "key.expiring.short.password",
		"key.expiring.next.ssh", "key.expiring.next.pgp", "key.expiring.next.password", "operator.key.expiring")

	add(always, one, "access.changed.subject", "access.changed.next", "access.changed.short")
	add(always+" Change Key Label Network", one, "operator.access.changed")
	for _, change := range Changes() {
		add(always+" Key Label Network", one, "access.changed.what."+string(change))
	}

	add(always, one, "access.refused.subject", "access.refused.next")
	add(always+" Count", many, "access.refused.what", "access.refused.short")
	add(always+" Count Reason", many, "operator.access.refused")
	add("Gateway Host Count", many, "operator.message.dead")
	for _, kind := range []Kind{ReportHeld, AccessRefused} {
		for _, reason := range Reasons(kind) {
			add(always, one, reasonID(kind, reason))
		}
	}

	add(always+" Count", many, "digest.subject", "digest.operator.subject")
	add(always, one, "digest.what", "digest.operator.what")
	return all
}

func months() []string {
	return []string{
		"month.1", "month.2", "month.3", "month.4", "month.5", "month.6",
		"month.7", "month.8", "month.9", "month.10", "month.11", "month.12",
	}
}

// Changes lists all changes of access.
func Changes() []Change {
	return []Change{KeyImported, KeyRetired, KeyRevoked, KeyApproved, PasswordSet, NetworkAllowed, NetworkDenied}
}

// Reasons lists what [Message.Reason] can be said for a kind: why a report is held, or
// which of the reasons of server/access a client can do something about. Another reason
// is passed over.
func Reasons(k Kind) []string {
	switch k {
	case ReportHeld:
		return []string{"no-key", "key-expired", "key-revoked", "key-retired", "key-unusable"}
	case AccessRefused:
		return []string{
			"client-disabled", "address-not-allowed", "key-unknown", "key-retired", "key-revoked", "key-expired", "key-too-weak",
			"algorithm-refused", "signature-invalid", "too-many-attempts", "too-many-sessions", "no-common-algorithm",
			"closed-before-login", "login-timed-out", "gateway-fault", "password-missing", "password-wrong", "password-expired",
			"protocol-not-enabled", "tls-required", "plain-not-allowed", "tls-failed", "passive-port-unreachable",
			"key-pending", "wrong-protocol", "too-many-connections", "data-not-resumed", "data-tls-failed", "data-in-the-clear",
		}
	}
	return nil
}

func reasonID(k Kind, reason string) string { return string(k) + ".reason." + reason }
