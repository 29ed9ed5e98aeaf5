package config

import "slices"

// Facts returns, by key, the settings that name nothing and nobody: numbers, sizes,
// durations, shares, truth values and words from a list. Of every other setting it
// tells how many values there are. That is what may leave the house.
func (c *Config) Facts() map[string]any {
	harmless := []string{"number", "size", "duration", "percentage", "true or false", "word"}
	facts := map[string]any{}
	for _, f := range settings() {
		v := f.value.show(c)
		if slices.Contains(harmless, f.kind) {
			facts[f.key] = v
			continue
		}
		n := 0
		switch v := v.(type) {
		case []any:
			n = len(v)
		case []string:
			n = len(v)
		case string:
			n = min(len(v), 1)
		}
		facts[f.key] = map[string]int{"values": n}
	}
	facts["clients"] = map[string]int{"values": len(c.Clients)}
	return facts
}
