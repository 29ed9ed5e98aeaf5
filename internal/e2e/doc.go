// Package e2e drives the real program with the real client programs that
// clients use: OpenSSH, PuTTY, FileZilla, lftp, curl, wget, rclone, tnftp, ncftp,
// and the libraries that clients' own programs are written with, from Python, Node
// and Java. It is tests only. `make setup` installs them; one that is missing fails
// its test.
//
// The tables in docs/clients.md are what the programs did. A test fails where they
// differ; this writes them anew:
//
//	go test ./internal/e2e -run TestClientTable -update
//
// docs/diagnosis.md is written in the same way by TestDiagnosis, which makes
// everything go wrong that can, and looks whether the operator is told why.
package e2e
