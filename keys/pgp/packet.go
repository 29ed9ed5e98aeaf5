package pgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Packet type ids, RFC 9580, section 5.
const (
	tagEncryptedKey     = 1
	tagSignature        = 2
	tagPassphraseKey    = 3
	tagOnePassSignature = 4
	tagSecretKey        = 5
	tagPublicKey        = 6
	tagSecretSubkey     = 7
	tagCompressed       = 8
	tagMarker           = 10
	tagLiteral          = 11
	tagTrust            = 12
	tagUserID           = 13
	tagPublicSubkey     = 14
	tagUserAttribute    = 17
	tagSealedData       = 18 // symmetrically encrypted, integrity protected
	tagPadding          = 21
	tagFirstNonCritical = 40
)

// maxLength is the longest body that a definite length can state.
const maxLength = 1<<32 - 1

var (
	errNotPacket     = errors.New("not an openpgp packet")
	errIndeterminate = errors.New("openpgp packet of indeterminate length")
)

// header is the start of a packet, RFC 9580, section 4.2.
type header struct {
	tag     int
	length  int64 // of the body, or of its first part
	partial bool
	raw     []byte // as it was read
}

// readHeader returns io.EOF if there is no further packet, and
// io.ErrUnexpectedEOF if there is half a header.
func readHeader(r io.ByteReader) (header, error) {
	first, err := r.ReadByte()
	if err != nil {
		return header{}, err
	}
	if first&0x80 == 0 {
		return header{}, errNotPacket
	}
	h := header{raw: []byte{first}}
	if first&0x40 != 0 {
		h.tag = int(first & 0x3f)
		h.length, h.partial, h.raw, err = readLength(r, h.raw)
		return h, err
	}
	h.tag = int(first >> 2 & 0x0f)
	if first&3 == 3 {
		return h, errIndeterminate
	}
	for range 1 << (first & 3) {
		octet, err := r.ReadByte()
		if err != nil {
			return h, unexpected(err)
		}
		h.raw = append(h.raw, octet)
		h.length = h.length<<8 | int64(octet)
	}
	return h, nil
}

// readLength reads one length of the present format and appends it to raw.
func readLength(r io.ByteReader, raw []byte) (length int64, partial bool, _ []byte, err error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, false, raw, unexpected(err)
	}
	raw = append(raw, first)
	more := 0
	switch {
	case first < 192:
		return int64(first), false, raw, nil
	case first < 224:
		length, more = int64(first)-192+1, 1
	case first < 255:
		return 1 << (first & 0x1f), true, raw, nil
	default:
		more = 4
	}
	for range more {
		octet, err := r.ReadByte()
		if err != nil {
			return 0, false, raw, unexpected(err)
		}
		raw = append(raw, octet)
		length = length<<8 | int64(octet)
	}
	if more == 1 {
		length -= 64 // ((first - 192) << 8) + octet + 192
	}
	return length, false, raw, nil
}

// unexpected turns the end of the input into an error where more was announced.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendHeader appends the header of a packet of definite length.
func appendHeader(b []byte, tag int, length int64) []byte {
	return appendLength(append(b, 0xc0|byte(tag)), length)
}

func appendLength(b []byte, length int64) []byte {
	switch {
	case length < 192:
		return append(b, byte(length))
	case length < 8384:
		length -= 192
		return append(b, 192+byte(length>>8), byte(length))
	default:
		return binary.BigEndian.AppendUint32(append(b, 255), uint32(length))
	}
}

// rawPacket is a packet that lies in memory whole.
type rawPacket struct {
	tag  int
	raw  []byte // with the header
	body []byte
}

// splitPackets takes the packets of a key file apart. A packet that is cut off or
// malformed comes last, with the body that there is, beside the error: what it
// claims to be may still matter.
func splitPackets(data []byte) ([]rawPacket, error) {
	var packets []rawPacket
	r := bytes.NewReader(data)
	for {
		start := len(data) - r.Len()
		h, err := readHeader(r)
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if errors.Is(err, errNotPacket) {
			return packets, err
		}
		at := len(data) - r.Len()
		end := at + int(min(h.length, int64(len(data)-at)))
		packets = append(packets, rawPacket{tag: h.tag, raw: data[start:end], body: data[at:end]})
		switch {
		case err != nil:
			return packets, err
		case h.partial:
			// RFC 9580, section 4.2.1.4: for data packets only.
			return packets, fmt.Errorf("packet %d has a partial length", h.tag)
		case int64(end-at) < h.length:
			return packets, io.ErrUnexpectedEOF
		}
		_, _ = r.Seek(int64(end), io.SeekStart) // within the reader, cannot fail
	}
}
