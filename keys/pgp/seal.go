package pgp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Options says how to seal.
type Options struct {
	// Recipients can each open the file. All must be usable.
	Recipients []Certificate

	// Signer signs the file, if it is not nil. Recipients without its certificate
	// get a warning from their software, and gpg exits with status 2.
	Signer *PrivateKey

	// FileName and ModTime travel inside, encrypted. A name longer than 255 octets
	// is cut; times that OpenPGP can't express (before 1970, after 2106) are left out.
	FileName string
	ModTime  time.Time

	// Compress is for text. What is compressed already only costs time.
	Compress bool

	// Size is how many octets will be written, or -1 if that is not known. If it is
	// known, writing more or less than that is an error.
	Size int64

	// Now decides which keys are valid, and dates the signature.
	Now time.Time
}

// SizeError says that a report was not as long as it was said to be: it changed
// while it was sealed. What was written is not a valid message.
type SizeError struct {
	Want, Got int64 // octets; Got is what came until the error
}

func (e *SizeError) Error() string {
	if e.Got > e.Want {
		return fmt.Sprintf("sealing: the report is longer than the announced %d bytes: it changed while it was read", e.Want)
	}
	return fmt.Sprintf("sealing: the report ended after %d of %d bytes: it changed while it was read", e.Got, e.Want)
}

// Hint says what to do next.
func (e *SizeError) Hint() string { return "deliver it again when it is written to its end" }

// Writer seals what is written to it. It is not for concurrent use.
type Writer struct {
	size    int64
	written int64
	err     error // sticks

	content io.Writer        // of the literal data packet
	sign    *signer          // or nil
	layers  []io.WriteCloser // from the literal data packet outwards
}

// NewWriter starts a sealed file on dst. It fails if there is no recipient
// ([ErrNoRecipients]) or one is not usable ([*UnusableError]); nothing is written then.
//
// dst gets few, large writes, the first when some content is sealed. It is never
// closed.
func NewWriter(dst io.Writer, o Options) (*Writer, error) {
	keys, err := recipientKeys(o.Recipients, o.Now)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	var sign *signer
	if o.Signer != nil {
		if sign, err = newSigner(o.Signer, o.Now); err != nil {
			return nil, fmt.Errorf("sealing: %w", err)
		}
	}
	w := &Writer{size: max(o.Size, unknownLength), sign: sign}
	if err := w.open(dst, o, keys); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return w, nil
}

// open builds the layers, from the outside in: encryption, compression, signature,
// literal data (RFC 9580, section 10.3).
func (w *Writer) open(dst io.Writer, o Options, keys []*packet.PublicKey) error {
	session := make([]byte, packet.CipherAES256.KeySize())
	if _, err := rand.Read(session); err != nil {
		return err
	}
	defer clear(session)
	version := sealVersionFor(keys)
	sessionKeys, err := sessionKeyPackets(keys, session, packet.CipherAES256, version)
	if err != nil {
		return err
	}
	start := newStart(dst, sessionKeys)
	w.push(start)
	about := literalHeader(o.FileName, o.ModTime)
	literal, sealed := w.lengths(int64(len(about)), o.Compress)

	out, err := openSealed(start, session, version, sealed)
	if err != nil {
		return err
	}
	w.push(out)
	if o.Compress {
		body, err := newBody(out, tagCompressed, unknownLength)
		if err != nil {
			return err
		}
		if _, err := body.Write([]byte{byte(packet.CompressionZIP)}); err != nil {
			return err
		}
		w.push(body)
		deflate := newDeflater(body)
		w.push(deflate)
		out = deflate
	}
	if w.sign != nil {
		if err := w.sign.begin(out); err != nil {
			return err
		}
		w.push(w.sign)
	}
	body, err := newBody(out, tagLiteral, literal)
	if err != nil {
		return err
	}
	w.push(body)
	w.content = body
	_, err = body.Write(about)
	return err
}

// push adds a layer inside those that there are: it is the next to be closed.
func (w *Writer) push(layer io.WriteCloser) {
	w.layers = append([]io.WriteCloser{layer}, w.layers...)
}

// lengths returns the length of the literal data packet's body and of the content of
// the sealed data packet, or unknownLength. A signature's length is only known when
// it is made, and that of compressed data too.
func (w *Writer) lengths(about int64, compress bool) (literal, sealed int64) {
	if w.size == unknownLength || w.size > maxLength-about {
		return unknownLength, unknownLength
	}
	literal = about + w.size
	sealed = int64(len(appendHeader(nil, tagLiteral, literal))) + literal
	if compress || w.sign != nil || sealed > maxLength-sealOverhead {
		sealed = unknownLength
	}
	return literal, sealed
}

// openSealed starts the packet of encrypted data.
func openSealed(dst io.Writer, session []byte, version int, length int64) (io.WriteCloser, error) {
	if version == sealVersion {
		return newSealer(dst, session, length)
	}
	suite := packet.CipherSuite{Cipher: packet.CipherAES256, Mode: packet.AEADModeOCB}
	return packet.SerializeSymmetricallyEncrypted(dst, packet.CipherAES256, true, suite, session, libraryConfig(time.Time{}))
}

// startWriter holds the start of a file back until some content follows: session keys
// alone are something that gpg opens without an error, to nothing. It also spares dst
// the small writes of packet headers.
type startWriter struct {
	dst  io.Writer
	held []byte // the session keys, and what follows
	most int    // octets that are held
	open bool   // they have gone out
}

func newStart(dst io.Writer, sessionKeys []byte) *startWriter {
	const content = 4 << 10 // more than all headers
	return &startWriter{dst: dst, held: sessionKeys, most: len(sessionKeys) + content}
}

func (w *startWriter) Write(p []byte) (int, error) {
	if w.open {
		return w.dst.Write(p)
	}
	w.held = append(w.held, p...)
	if len(w.held) < w.most {
		return len(p), nil
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close writes what is held back.
func (w *startWriter) Close() error {
	if w.open {
		return nil
	}
	_, err := w.dst.Write(w.held)
	w.held, w.open = nil, true
	return err
}

// Write seals p. An error of the destination comes back as it is, wrapped, and from
// every later call too.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.size != unknownLength && w.written+int64(len(p)) > w.size {
		w.err = &SizeError{Want: w.size, Got: w.written + int64(len(p))}
		return 0, w.err
	}
	if w.sign != nil {
		w.sign.hash.Write(p)
	}
	n, err := w.content.Write(p)
	w.written += int64(n)
	if err != nil {
		w.err = fmt.Errorf("sealing: %w", err)
	}
	return n, w.err
}

// Close completes the message. Only when it has returned nil is the file sealed; dst
// is the caller's to make durable. To give up, don't call it: drop the writer, and
// throw away what dst has.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.size != unknownLength && w.written != w.size {
		w.err = &SizeError{Want: w.size, Got: w.written}
		return w.err
	}
	for _, layer := range w.layers {
		if err := layer.Close(); err != nil {
			w.err = fmt.Errorf("sealing: %w", err)
			return w.err
		}
	}
	w.layers, w.content, w.err = nil, nil, ErrClosed
	return nil
}

// recipientKeys returns the key to seal to of each certificate, each key once.
func recipientKeys(certs []Certificate, now time.Time) ([]*packet.PublicKey, error) {
	var keys []*packet.PublicKey
	seen := make(map[string]bool)
	for _, cert := range certs {
		key, err := cert.encryptionKey(now)
		if err != nil {
			return nil, err
		}
		if fingerprint := string(key.Fingerprint); !seen[fingerprint] {
			seen[fingerprint] = true
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, ErrNoRecipients
	}
	return keys, nil
}

// sealVersionFor returns the version of the sealed data packet that all recipients
// can read, whatever features they advertise.
func sealVersionFor(keys []*packet.PublicKey) int {
	for _, key := range keys {
		if key.Version != 6 {
			return sealVersion
		}
	}
	return sealVersionAEAD
}

// sealVersionAEAD is SEIPD version 2, RFC 9580, section 5.13.2.
const sealVersionAEAD = 2

// sessionKeyPackets returns a PKESK packet for each key.
func sessionKeyPackets(keys []*packet.PublicKey, session []byte, algorithm packet.CipherFunction, version int) ([]byte, error) {
	var packets bytes.Buffer
	for _, key := range keys {
		err := guard(func() error {
			return packet.SerializeEncryptedKeyAEAD(&packets, key, algorithm, version == sealVersionAEAD, session, nil)
		})
		if err != nil {
			return nil, fmt.Errorf("encrypting the session key to %s: %w", keyID(key.KeyId), err)
		}
	}
	return packets.Bytes(), nil
}

// literalHeader returns what precedes the content in a literal data packet, RFC 9580,
// section 5.9: binary, so that no program touches line ends.
func literalHeader(name string, modTime time.Time) []byte {
	const most = 255
	if len(name) > most {
		end := most
		for end > 0 && !utf8.RuneStart(name[end]) {
			end--
		}
		name = name[:end]
	}
	if name == "_CONSOLE" {
		name = "" // would mean: for the screen only
	}
	header := append([]byte{'b', byte(len(name))}, name...)
	seconds := modTime.Unix()
	if modTime.IsZero() || seconds < 0 || seconds > math.MaxUint32 {
		seconds = 0
	}
	return binary.BigEndian.AppendUint32(header, uint32(seconds))
}
