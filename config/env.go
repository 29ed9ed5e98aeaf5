package config

import (
	"slices"
	"strings"
)

// envPrefix begins the name of every variable that overrides a key.
const envPrefix = "SEALDROP_"

// readEnviron returns the settings that the environment makes. environ has the
// form of [os.Environ]; of a name given twice the last counts. SEALDROP_CONFIG
// is the command line's, and what begins SEALDROP_TEST_ is the tests'.
func (r *report) readEnviron(environ []string, table []field[Config]) map[string]setting {
	given := make(map[string]string)
	var names []string
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envPrefix+"CONFIG" || strings.HasPrefix(name, envPrefix+"TEST_") {
			continue
		}
		if _, twice := given[name]; !twice {
			names = append(names, name)
		}
		given[name] = value
	}
	slices.Sort(names)
	known := make([]string, len(table))
	for i, f := range table {
		known[i] = f.variable()
	}
	settings := make(map[string]setting)
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			r.fault(Fault{File: environment, Key: printable(name), Message: "unknown variable", Hint: variableHint(name, known)})
			continue
		}
		settings[table[i].key] = setFromText(table[i], given[name], environment, name, place{file: name})
	}
	return settings
}

func variableHint(name string, known []string) string {
	if name == envPrefix+"CLIENTS" {
		return "clients are declared in a file only; name it with " + envPrefix + "CLIENTS_FROM"
	}
	if strings.HasPrefix(name, envPrefix+"SERVICE_") || strings.HasPrefix(name, envPrefix+"PORT") {
		return "if Kubernetes sets it for a Service named sealdrop, set enableServiceLinks: false in the pod"
	}
	if near := suggest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return "a variable is " + envPrefix + " and a key of the configuration in capitals, with _ for each dot; unset this one"
}
