package demo

import (
	"os"
	"path/filepath"
	"strings"
)

// tools is a set of client programs.
type tools uint

const (
	sshKeygen tools = 1 << iota
	puttygen
	sftp
	gpg
	curl
	// sshKeys is either program that makes an SSH key.
	sshKeys
)

// findTools looks for the client programs on the PATH of the environment.
func findTools(environ []string) tools {
	var found tools
	path := valueOf(environ, "PATH")
	for _, p := range []struct {
		tool tools
		name string
	}{
		{sshKeygen | sshKeys, "ssh-keygen"},
		{puttygen | sshKeys, "puttygen"},
		{sftp, "sftp"},
		{gpg, "gpg"},
		{curl, "curl"},
	} {
		if onPath(path, p.name) {
			found |= p.tool
		}
	}
	return found
}

func (t tools) have(all tools) bool { return t&all == all }

// missing says what is not there, and what comes of that.
func (t tools) missing() []string {
	var notes []string
	for _, m := range []struct {
		tool tools
		note string
	}{
		{sftp, "sftp is missing (Debian: apt-get install openssh-client): nothing is fetched, and no stranger tries the door"},
		{sshKeygen, "ssh-keygen is missing (Debian: apt-get install openssh-client)"},
		{puttygen, "puttygen is missing (Debian: apt-get install putty-tools)"},
		{sshKeys, "with neither ssh-keygen nor puttygen there is no SSH key, and nobody can log in"},
		{gpg, "gpg is missing (Debian: apt-get install gnupg): the clients have no PGP keys, so that their statements stay held, and nothing is decrypted"},
		{curl, "curl is missing (Debian: apt-get install curl): of FTP only Windows Explorer's part is shown"},
	} {
		if !t.have(m.tool) {
			notes = append(notes, m.note)
		}
	}
	return notes
}

func valueOf(environ []string, name string) string {
	value := ""
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); k == name {
			value = v
		}
	}
	return value
}

// onPath is [os/exec.LookPath] for a PATH that is not the process's own.
func onPath(path, name string) bool {
	for _, dir := range filepath.SplitList(path) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return true
		}
	}
	return false
}
