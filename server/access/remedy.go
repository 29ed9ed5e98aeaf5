package access

// Remedy says what to do about a refusal of which only the record is left: the
// client, its address and the protocol. It is what `sealdrop why` says, but for
// what only the attempt itself could tell.
func (r Reason) Remedy(client, address, protocol string) string {
	_, remedy := explanation(r, facts{user: client, address: address, ftp: protocol == FTP})
	return remedy
}
