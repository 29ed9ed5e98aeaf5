package config

import (
	"slices"
	"strconv"
	"strings"
)

// suggest returns the name among candidates that an operator most likely meant
// by wrong, or "" if none is near.
func suggest(wrong string, candidates []string) string {
	const limit = 64 // no key is longer; a longer text is no misspelt key
	if len(wrong) > limit {
		return ""
	}
	wrong = strings.ReplaceAll(strings.ToLower(wrong), "-", "_")
	best, bestDistance := "", 3
	for _, c := range candidates {
		d := distance(wrong, strings.ToLower(c))
		if d < bestDistance && d <= len(c)/2 {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove, change or swap with
// their neighbour that lead from a to b (optimal string alignment).
func distance(a, b string) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

// keyHint is the hint for an unknown key below parent: the sibling that was
// meant, or the place where a key of that name belongs, or all that is known.
func keyHint(parent, wrong string, known, everywhere []string) string {
	if near := suggest(wrong, known); near != "" {
		return "did you mean " + join(parent, near) + "?"
	}
	if listen := listenKey(parent); slices.Contains([]string{"port", "address", "addr", "bind", "host"}, wrong) && slices.Contains(everywhere, listen) {
		return "did you mean " + listen + `? It takes the address and the port, as in ":32"`
	}
	for _, full := range everywhere {
		if full == wrong || strings.HasSuffix(full, "."+wrong) {
			return "did you mean " + full + "?"
		}
	}
	return "known here: " + strings.Join(known, ", ")
}

// listenKey is the key that says where the section listens; of what is in no section,
// sFTP's.
func listenKey(section string) string {
	if section == "" {
		return "sftp.listen"
	}
	return section + ".listen"
}

// indexed is the key of the i-th entry of the list under key.
func indexed(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// join puts a key below its parent.
func join(parent, key string) string {
	if parent == "" {
		return key
	}
	return parent + "." + key
}
