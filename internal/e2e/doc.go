// Package e2e drives the real program with the real client programs that
// clients use: OpenSSH, PuTTY, lftp, curl, rclone, paramiko, FileZilla. It is
// tests only. `make setup` installs the programs; one that is missing fails its
// test.
package e2e
