package pgp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// Armor labels, RFC 9580, section 6.2.1.
const (
	labelPublicKey  = "PGP PUBLIC KEY BLOCK"
	labelPrivateKey = "PGP PRIVATE KEY BLOCK"
)

const (
	armorColumns = 64
	crcInit      = 0xb704ce
	crcPoly      = 0x1864cfb
)

// armorBlock is one block of an armored text.
type armorBlock struct {
	label string
	body  []byte
}

// decodeArmor returns all OpenPGP blocks of a text in the canonical layout that
// keytext.Normalize makes, or an error for the first that is damaged. A checksum
// may be missing (RFC 9580, section 6.1), but not wrong: keys are pasted by hand,
// and it is what tells a bad paste from a good one.
func decodeArmor(text []byte) ([]armorBlock, error) {
	var blocks []armorBlock
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		label, ok := armorLabel(lines[i], "BEGIN")
		if !ok || label == "PGP SIGNED MESSAGE" {
			continue // prose, or the cleartext of a signed mail
		}
		end := i + 1
		for end < len(lines) && !strings.HasPrefix(lines[end], "-----") {
			end++
		}
		if end == len(lines) {
			return nil, errArmorCut
		}
		if closing, ok := armorLabel(lines[end], "END"); !ok || closing != label {
			return nil, errArmorDamaged
		}
		body, err := decodeArmorBody(lines[i+1 : end])
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, armorBlock{label: label, body: body})
		i = end
	}
	return blocks, nil
}

func armorLabel(line, word string) (string, bool) {
	label, ok := strings.CutPrefix(line, "-----"+word+" ")
	if !ok {
		return "", false
	}
	label, ok = strings.CutSuffix(label, "-----")
	return label, ok && strings.HasPrefix(label, "PGP ")
}

func decodeArmorBody(lines []string) ([]byte, error) {
	for len(lines) > 0 && strings.Contains(lines[0], ":") {
		lines = lines[1:] // base64 has no colon, a header always has
	}
	text := strings.Join(lines, "")
	// "=" five characters before the end is not padding, of which there are at most
	// two: it starts the checksum.
	checksum := ""
	if at := len(text) - 5; at >= 0 && text[at] == '=' {
		text, checksum = text[:at], text[at+1:]
	}
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(body) == 0 {
		return nil, errArmorDamaged
	}
	if checksum == "" {
		return body, nil
	}
	sum, err := base64.StdEncoding.DecodeString(checksum)
	if err != nil || !bytes.Equal(sum, appendCRC(nil, body)) {
		return nil, errArmorChecksum
	}
	return body, nil
}

// encodeArmor is the inverse, with the checksum.
func encodeArmor(label string, body []byte) string {
	var text strings.Builder
	text.WriteString("-----BEGIN " + label + "-----\n\n")
	encoded := base64.StdEncoding.EncodeToString(body)
	for len(encoded) > 0 {
		n := min(armorColumns, len(encoded))
		text.WriteString(encoded[:n] + "\n")
		encoded = encoded[n:]
	}
	text.WriteString("=" + base64.StdEncoding.EncodeToString(appendCRC(nil, body)) + "\n")
	text.WriteString("-----END " + label + "-----\n")
	return text.String()
}

// appendCRC appends the CRC-24 of RFC 9580, section 6.1.1.
func appendCRC(b, data []byte) []byte {
	crc := uint32(crcInit)
	for _, octet := range data {
		crc ^= uint32(octet) << 16
		for range 8 {
			crc <<= 1
			if crc&0x1000000 != 0 {
				crc ^= crcPoly
			}
		}
	}
	return append(b, binary.BigEndian.AppendUint32(nil, crc)[1:]...)
}
