package sshkey

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// Limits of a key's wire form, in bytes, far above any key's.
const (
	maxWireName  = 64
	maxWireField = 16 << 10
)

// decodeBase64 reads base64 with or without its padding, which some mail programs
// lose: the wire form itself says where it ends.
func decodeBase64(text string) ([]byte, error) {
	text = strings.TrimRight(text, "=")
	wire, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, &SyntaxError{Problem: "the key is damaged: its base64 can't be decoded"}
	}
	return wire, nil
}

// wireName returns the first string of a key's wire form, the name of its type.
func wireName(wire []byte) (string, bool) {
	if len(wire) < 4 {
		return "", false
	}
	n := binary.BigEndian.Uint32(wire)
	if n > maxWireName || int(n) > len(wire)-4 {
		return "", false
	}
	name := string(wire[4 : 4+n])
	return name, isAlgorithm(name)
}

// wireLength returns the length of a key's wire form as far as the bytes at hand
// tell: with fewer than that it is incomplete, and more of it may tell of a greater
// length still.
func wireLength(wire []byte) (int, error) {
	const prefix = 4
	name, ok := wireName(wire)
	if !ok {
		if len(wire) >= prefix {
			n := binary.BigEndian.Uint32(wire)
			if n <= maxWireName && int(n) > len(wire)-prefix {
				return prefix + int(n), nil
			}
			return 0, &SyntaxError{Problem: "the key is damaged: it doesn't begin with the name of its type"}
		}
		return prefix, nil
	}
	if err := checkAlgorithm(name); err != nil {
		return 0, err
	}
	length := 0
	for range fields(name) {
		if len(wire) < length+prefix {
			return length + prefix, nil
		}
		n := binary.BigEndian.Uint32(wire[length:])
		if n > maxWireField {
			return 0, &SyntaxError{Problem: "the key is damaged: a part of it claims to be larger than any key"}
		}
		length += prefix + int(n)
		if len(wire) < length {
			return length, nil
		}
	}
	return length, nil
}
