package torture

// attack is a way to bother the gateway, and what it may cost.
type attack struct {
	name string
	run  func(*lane) error
	// connections at full size, and in an ordinary run.
	connections, few int
	// volume after which an attack may end: bytes, requests or logins, at full size
	// and in an ordinary run.
	volume, little int64
	// most is how many of the attack's connections the gateway can have, and each
	// is what one may cost it, in KiB.
	most, each int
}

// base is what the gateway may take for itself and a few honest clients, in MiB.
const base = 160

// Limits as they are shipped: how many connections of each protocol may be without
// a login, and how many sessions a client may have.
const (
	loginSlots = 200
	sessions   = 50
)

// attackList is every attack, in the order in which they are tried.
func attackList() []attack {
	return []attack{
		{"slowloris on SSH", slowSSH, 2000, 250, 50_000, 1000, loginSlots, 64},
		{"slowloris on FTP and TLS", slowFTP, 2000, 250, 50_000, 1000, 2 * loginSlots, 64},
		{"key exchanges that stall", stallKex, 2000, 250, 1, 1, loginSlots, 128},
		{"key exchanges at speed", stormKex, 50, 20, 20_000, 200, loginSlots, 128},
		{"floods in the key exchange", floodKex, 100, 20, 1 << 30, 8 << 20, loginSlots, 256},
		{"silent connections, admitted", silence, 10_000, 300, 10_000, 300, 3 * loginSlots, 64},
		{"silent connections, foreign", foreignSilence, 10_000, 300, 10_000, 300, 0, 0},
		{"garbage", garbage, 60, 12, 1 << 30, 8 << 20, 3 * loginSlots, 64},
		{"endless FTP command", endlessLine, 60, 12, 1 << 30, 8 << 20, 2*loginSlots + sessions, 128},
		{"wrong keys at speed", wrongKeys, 50, 20, 5000, 100, loginSlots, 128},
		{"wrong passwords at speed", wrongPasswords, 180, 40, 500, 40, loginSlots, 128},
		{"keys exchanged again and again", rekey, 20, 4, 20_000, 100, sessions, 256},
		{"floods of requests", floodRequests, 48, 8, 200_000, 2000, sessions, 1024},
		{"garbage in sessions", garbledSession, 48, 8, 1 << 30, 8 << 20, sessions, 4096},
		{"reads without reading", deafReads, sessions, 8, 100_000, 2000, sessions, 4 * 5 << 10},
		{"reads at speed", greedyReads, 20, 4, 100_000, 500, sessions, 10 << 10},
		{"listings without reading", deafListings, sessions, 4, 100_000, 2000, sessions, 4 * 5 << 10},
		{"handles", hoardHandles, sessions, 8, 100_000, 2000, sessions, 2048},
		{"renames of wide folders", rename, 4, 4, 1000, 50, 4, 1024},
		{"folders at speed", makeFolders, sessions, 8, 50_000, 500, sessions, 4096},
		{"FTP data connections", abusePorts, sessions, 8, 100_000, 500, sessions, 1024},
	}
}

// attacks are the attacks by name.
func attacks() map[string]func(*lane) error {
	byName := map[string]func(*lane) error{}
	for _, a := range attackList() {
		byName[a.name] = a.run
	}
	return byName
}
