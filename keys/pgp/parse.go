package pgp

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sealdrop/sealdrop/internal/keytext"
)

// Limits on a stranger's file. They bound what vetting costs; real certificates
// stay far below.
const (
	maxCertificates   = 100
	maxPackets        = 20000    // a key flooded with third-party signatures has thousands
	maxSubkeys        = 100      // a verification each, or several
	maxSelfSignatures = 1000     // what the library may have to verify
	maxKeyBody        = 4 * 1024 // octets: RSA of 16384 bits is half of it
)

// Parse reads every certificate in a file that a client sent: armored or binary,
// one key or several, in one block or several. It returns all of them or an error,
// never a part.
//
// The errors are [ErrNotPGP], a [*PrivateKeyError], a [*ParseError], an
// [*UnusableError] with [ReasonUnsupported] for a version or algorithm that can't be
// read, and a [*keytext.TooLargeError]. A certificate that Parse returns is
// well-formed; whether one may seal to it is what [Certificate.Usable] tells.
func Parse(data []byte) ([]Certificate, error) {
	certs, revocations, err := ParseAll(data)
	if err == nil && len(revocations) > 0 {
		return nil, &ParseError{Problem: "this is a signature or a revocation certificate, not a public key", next: hintExport}
	}
	return certs, err
}

// ParseAll is [Parse] for a file that may also hold revocation certificates, in
// blocks of their own or at the beginning of one.
func ParseAll(data []byte) ([]Certificate, []Revocation, error) {
	if len(data) > keytext.MaxSize {
		return nil, nil, &keytext.TooLargeError{Name: "the key file"}
	}
	if what, found := keytext.Private(data); found {
		return nil, nil, &PrivateKeyError{What: what}
	}
	bodies, err := keyBodies(data)
	if err != nil {
		return nil, nil, err
	}
	var packets []rawPacket
	var revocations []Revocation
	for _, body := range bodies {
		some, err := splitPackets(body)
		if holdsSecret(some) {
			return nil, nil, &PrivateKeyError{What: "a PGP private key"}
		}
		if err != nil {
			return nil, nil, malformed(err)
		}
		bare, rest := takeRevocations(some)
		if len(bare)+len(revocations) > maxCertificates {
			return nil, nil, &ParseError{Problem: fmt.Sprintf("the file holds more than %d revocation certificates", maxCertificates), next: "ask the client for its own key alone"}
		}
		for _, p := range bare {
			r, err := readRevocation(p)
			if err != nil {
				return nil, nil, err
			}
			revocations = append(revocations, r)
		}
		packets = append(packets, rest...)
	}
	if len(packets) == 0 && len(revocations) > 0 {
		return nil, revocations, nil
	}
	certs, err := readCertificates(packets)
	if err != nil {
		return nil, nil, err
	}
	return certs, revocations, nil
}

func readCertificates(packets []rawPacket) ([]Certificate, error) {
	groups, err := groupKeys(packets)
	if err != nil {
		return nil, err
	}
	certs := make([]Certificate, 0, len(groups))
	seen := make(map[string]bool)
	for _, group := range groups {
		cert, err := newCertificate(group)
		if err != nil {
			return nil, err
		}
		if seen[cert.Fingerprint()] {
			return nil, &ParseError{
				Problem: fmt.Sprintf("the file holds the key %s twice", cert.Fingerprint()),
				next:    "ask the client to export it again: `gpg --armor --export " + cert.Fingerprint() + "`",
			}
		}
		seen[cert.Fingerprint()] = true
		certs = append(certs, cert)
	}
	return certs, nil
}

// keyBodies returns the packet sequences of a file: the one of a binary file, or
// those of its armored blocks.
func keyBodies(data []byte) ([][]byte, error) {
	if looksBinary(data) {
		return [][]byte{data}, nil
	}
	if bytes.Contains(data, []byte("\n:-----BEGIN "+labelPublicKey)) {
		return nil, errRevocationKept // Normalize would undo the colon
	}
	text := keytext.Normalize(data)
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errEmpty
	}
	blocks, err := decodeArmor(text)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	for _, block := range blocks {
		switch block.label {
		case labelPublicKey:
			bodies = append(bodies, block.body)
		case "PGP SIGNATURE": // the end of a signed mail, or a revocation as Sequoia writes it
			if revokes(block.body) {
				bodies = append(bodies, block.body)
			}
		case "PGP MESSAGE":
			return nil, &ParseError{Problem: "this is an encrypted or signed message, not a public key", next: hintExport}
		default:
			return nil, &ParseError{Problem: "the file holds a pgp block of an unknown kind", next: hintExport}
		}
	}
	if len(bodies) == 0 {
		if len(blocks) > 0 {
			return nil, &ParseError{Problem: "this is a signature, not a public key", next: hintExport}
		}
		return nil, ErrNotPGP
	}
	return bodies, nil
}

// looksBinary tells unarmored packets from text that starts with a letter beyond
// ASCII: the first packet is one that can start a key file, and is not longer than
// the file.
func looksBinary(data []byte) bool {
	h, err := readHeader(bytes.NewReader(data))
	if err != nil || h.partial {
		return false
	}
	switch h.tag {
	case tagSecretKey, tagPublicKey, tagSecretSubkey, tagPublicSubkey, tagSignature, tagMarker, tagEncryptedKey:
	default:
		return false
	}
	body := data[len(h.raw):]
	if len(body) == 0 || h.length > keytext.MaxSize {
		return false
	}
	// All of them start with a version, except the marker, which says PGP.
	return body[0] >= 2 && body[0] <= 6 || h.tag == tagMarker && body[0] == 'P'
}

func holdsSecret(packets []rawPacket) bool {
	for _, p := range packets {
		if p.tag == tagSecretKey || p.tag == tagSecretSubkey {
			return true
		}
	}
	return false
}

func malformed(err error) error {
	problem := "the key is damaged: its packets don't fit together"
	if errors.Is(err, io.ErrUnexpectedEOF) {
		problem = "the key is cut off"
	}
	return &ParseError{Problem: problem, next: hintExport, cause: err}
}

// groupKeys puts the packets of each certificate together (RFC 9580, section
// 10.1.1) and leaves out what is local to a key ring.
func groupKeys(packets []rawPacket) ([][]rawPacket, error) {
	if len(packets) > maxPackets {
		return nil, &ParseError{Problem: "the key carries too many signatures", next: "ask the client for `gpg --armor --export-options export-minimal --export ADDRESS`"}
	}
	var groups [][]rawPacket
	for _, p := range packets {
		switch {
		case p.tag == tagPublicKey:
			if len(groups) == maxCertificates {
				return nil, &ParseError{Problem: fmt.Sprintf("the file holds more than %d keys", maxCertificates), next: "ask the client for its own key alone"}
			}
			groups = append(groups, nil)
		case p.tag == tagMarker, p.tag == tagTrust, p.tag == tagPadding, p.tag >= tagFirstNonCritical:
			continue
		case p.tag != tagSignature && p.tag != tagUserID && p.tag != tagUserAttribute && p.tag != tagPublicSubkey:
			return nil, &ParseError{Problem: "the file holds openpgp data that is not a public key", next: hintExport}
		case len(groups) == 0 && p.tag == tagSignature:
			return nil, &ParseError{Problem: "this is a signature, not a public key", next: hintExport}
		case len(groups) == 0:
			return nil, &ParseError{Problem: "the key is damaged: it does not start with a primary key", next: hintExport}
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], p)
	}
	if len(groups) == 0 {
		return nil, &ParseError{Problem: "the file holds no key", next: hintExport}
	}
	return groups, nil
}

// readEntity has the library read one certificate, whose first packet is the
// primary key.
func readEntity(group []rawPacket) (*openpgp.Entity, []byte, error) {
	subkeys := 0
	for _, p := range group {
		if p.tag != tagPublicKey && p.tag != tagPublicSubkey {
			continue
		}
		if len(p.body) > maxKeyBody {
			return nil, nil, unsupported("the key is larger than any in use")
		}
		if p.tag == tagPublicSubkey {
			subkeys++
		}
	}
	if subkeys > maxSubkeys {
		return nil, nil, unsupported(fmt.Sprintf("the key has more than %d subkeys", maxSubkeys))
	}
	if err := checkVersion(group[0].body); err != nil {
		return nil, nil, err
	}
	var raw []byte
	for _, p := range group {
		raw = append(raw, p.raw...)
	}
	var entity *openpgp.Entity
	err := guard(func() (err error) {
		entity, err = openpgp.ReadEntity(packet.NewReader(bytes.NewReader(raw)))
		return err
	})
	if err != nil {
		return nil, nil, readFault(group[0].body, err)
	}
	if n := selfSignatures(entity); n > maxSelfSignatures {
		return nil, nil, unsupported("the key carries too many self-signatures")
	}
	return entity, raw, nil
}

// checkVersion refuses the versions that are not of RFC 4880 or RFC 9580.
func checkVersion(primary []byte) error {
	if len(primary) == 0 {
		return malformed(io.ErrUnexpectedEOF)
	}
	switch primary[0] {
	case 4, 6:
		return nil
	case 2, 3:
		return unsupported("the key is of version 3, from the 1990s, and no longer secure")
	case 5:
		return unsupported("the key is of version 5, which only newer GnuPG releases know and which never became a standard")
	default:
		return unsupported(fmt.Sprintf("the key is of the unknown version %d", primary[0]))
	}
}

// readFault says why the library could not read a certificate.
func readFault(primary []byte, err error) error {
	const algorithmAt = 5 // version, four octets of time
	if len(primary) > algorithmAt {
		algorithm := packet.PublicKeyAlgorithm(primary[algorithmAt])
		if !algorithm.CanSign() && !algorithm.CanEncrypt() {
			return unsupported(fmt.Sprintf("the key uses algorithm %d, which is not supported", algorithm))
		}
		if !algorithm.CanSign() {
			return unsupported("the primary key can't certify: such a key can't be vetted")
		}
	}
	if errors.As(err, new(pgperrors.UnsupportedError)) {
		return unsupported("the key uses an algorithm or curve that is not supported")
	}
	return &ParseError{Problem: "the key is damaged: it has no user id with a signature of its own, or can't be read", next: hintExport, cause: err}
}

// selfSignatures counts what the library may have to verify.
func selfSignatures(entity *openpgp.Entity) int {
	n := len(entity.Revocations) + len(entity.DirectSignatures)
	for _, identity := range entity.Identities {
		n += len(identity.SelfCertifications) + len(identity.Revocations)
	}
	for _, subkey := range entity.Subkeys {
		n += len(subkey.Bindings) + len(subkey.Revocations)
	}
	return n
}
