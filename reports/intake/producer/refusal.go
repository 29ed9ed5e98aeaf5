package producer

// Reason is why somebody was not taken for a producer. The log and the audit tell
// it, the answer doesn't.
type Reason string

// The reasons, a closed list.
const (
	ProofMissing       Reason = "proof-missing"   // neither a token nor a certificate
	ProofMalformed     Reason = "proof-malformed" // an Authorization that is no token, or two
	TokenUnknown       Reason = "token-unknown"
	TokenExpired       Reason = "token-expired"
	TokenRevoked       Reason = "token-revoked"
	CertificateRefused Reason = "certificate-refused" // not of an authority that is trusted, or not valid now
	CertificateUnknown Reason = "certificate-unknown" // of nobody's name
	CertificateExpired Reason = "certificate-expired" // the producer's time is over, not the certificate's
	CertificateRevoked Reason = "certificate-revoked"
)

// Guessing reports whether the reason is one that trying things out meets with. A
// job that was not told of its token's end is no attack.
func (r Reason) Guessing() bool {
	switch r {
	case ProofMalformed, TokenUnknown, TokenRevoked, CertificateRefused, CertificateUnknown, CertificateRevoked:
		return true
	}
	return false
}

// Refusal is an [ErrUnknown] with its reason.
type Refusal struct {
	Reason Reason
	// Name is who it would be, "" if that is not known. For a certificate it is what
	// this says, which need not be anybody's.
	Name string
}

func (e *Refusal) Error() string { return ErrUnknown.Error() + ": " + string(e.Reason) }

// Is makes it an [ErrUnknown].
func (e *Refusal) Is(target error) bool { return target == ErrUnknown }

// refusal is that of a producer in a state that is not good.
func refusal(p Producer, state State) error {
	reasons := map[State]Reason{Expired: TokenExpired, Revoked: TokenRevoked}
	if p.Certificate {
		reasons = map[State]Reason{Expired: CertificateExpired, Revoked: CertificateRevoked}
	}
	return &Refusal{Reason: reasons[state], Name: p.Name}
}
