package config

// Shutdown is the section shutdown.
type Shutdown struct {
	Drain Duration
}

func shutdownSettings() []field[Config] {
	return []field[Config]{{
		key: "shutdown.drain", kind: "duration", def: "1m", rare: true,
		doc:   "How long a gateway that stops or is restarted lets transfers under way go on. What is then still under way is cut, and can be resumed. It ends as soon as all sessions are quiet; whoever connects meanwhile waits for the next start where systemd holds the sockets, and is refused otherwise.",
		value: one(func(c *Config) *Duration { return &c.Shutdown.Drain }, parsePeriod),
	}}
}
