// Package config reads the gateway's configuration: one YAML file, the files of
// clients that it names, and environment variables that override it. Start with
// [Find] and [Load].
//
// # What it promises
//
// A [Config] that Load returns is whole and valid: every field is set, from the
// environment before the file before the default, and is parsed into the type
// that its user needs. Paths are absolute; relative ones are taken from the
// configuration file's folder. Load changes nothing and opens nothing but the
// YAML files, so it serves `config check` and a reload alike: after a fault the
// old configuration still stands.
//
// All faults are reported at once, as [Faults], each with file, line, key, what
// is wrong and, where there is one, the next step. What is allowed but seldom
// meant is in [Config.Warnings].
//
// # What it refuses
//
// The reading is strict: an unknown key, a key set twice, a value of the wrong
// kind, an empty value, a second YAML document, a custom tag and an unknown
// SEALDROP_ variable are all faults. A value counts as it is written: 010 is not
// 8, and yes is not true. Anchors, aliases and merge keys (<<) work, within a
// limit on what they unfold to. A file above 4 MiB is refused, as is a file of
// clients above 64 MiB.
//
// Messages quote the value of a known key, shortened, because it is what the
// operator has to mend. What stands under an unknown key or in an unknown
// variable is never quoted: it may be a secret that was put in the wrong place.
//
// # How it is built
//
// One table (table.go) has every key with its default, its meaning and the
// function that parses it. The reader, the names of the environment variables,
// [Template], [Reference] and [Config.Effective] all follow from it. Viper lays
// the environment over the file over the defaults; the YAML itself is read as
// nodes, which know their lines.
package config
