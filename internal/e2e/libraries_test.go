package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// library is a program that makes one call of a library, in a script in testdata.
func library(interpreter, script string) program {
	call := func(c *client, name string, args ...string) string { return c.call(interpreter, script, name, args...) }
	return program{
		version:   func(c *client) string { return strings.TrimSpace(call(c, "version")) },
		list:      func(c *client) string { return call(c, "list") },
		get:       func(c *client, remote, local string) { call(c, "get", remote, local) },
		put:       func(c *client, local, remote string) { call(c, "put", local, remote) },
		resumeGet: func(c *client, remote, local string) { call(c, "resume_get", remote, local) },
		resumePut: func(c *client, remote, local string) { call(c, "resume_put", local, remote) },
		rename:    func(c *client, from, to string) { call(c, "rename", from, to) },
		mkdir:     func(c *client, name string) { call(c, "mkdir", name) },
		rmdir:     func(c *client, name string) { call(c, "rmdir", name) },
		remove:    func(c *client, name string) { call(c, "remove", name) },
	}
}

// call runs a script, with what it shall do on its standard input: there, nobody
// else on the machine sees the password.
func (c *client) call(interpreter, script, name string, args ...string) string {
	c.g.t.Helper()
	request, err := json.Marshal(map[string]any{
		"host": c.at.host, "port": c.at.port, "user": c.at.user,
		"key": c.key, "password": c.at.password, "mode": c.at.mode, "ca": c.at.ca,
		"call": name, "args": args,
	})
	if err != nil {
		c.g.t.Fatal(err)
	}
	cmd := c.command(interpreter, here(c, "testdata/"+script))
	cmd.Stdin = strings.NewReader(string(request))
	cmd.Env = append(cmd.Env, "NODE_PATH="+nodeModules(c))
	return string(must(c.g.t, cmd))
}

// nodeModules is where deploy/setup puts what testdata/node/package-lock.json names.
func nodeModules(c *client) string {
	c.g.t.Helper()
	dir := here(c, "../../.build/node/node_modules")
	if _, err := os.Stat(dir); err != nil {
		c.g.t.Fatalf("%v; `make setup` fills it", err)
	}
	return dir
}

// here is a path beside this file. Programs run in the client's folder.
func here(c *client, path string) string {
	c.g.t.Helper()
	full, err := filepath.Abs(path)
	if err != nil {
		c.g.t.Fatal(err)
	}
	return full
}

// python is Debian's, which has Debian's libraries.
const python = "/usr/bin/python3"

func paramiko() program {
	p := library(python, "paramiko_client.py")
	p.name, p.keyType = "paramiko", "rsa"
	return p
}

func asyncSSH() program {
	p := library(python, "asyncssh_client.py")
	p.name, p.keyType = "AsyncSSH", "ecdsa"
	return p
}

func ssh2SFTPClient() program {
	p := library("node", "node/sftp.js")
	p.name, p.keyType = "Node ssh2-sftp-client", "rsa"
	return p
}

// jsch is the version from 2016 that Debian has, and many a bank too.
func jsch() program {
	run := func(c *client, name string) string {
		cmd := c.command("java", "-cp", "/usr/share/java/jsch.jar", here(c, "testdata/JSchClient.java"), name, c.at.host, c.at.port, c.at.user, c.key)
		return strings.TrimSpace(string(must(c.g.t, cmd)))
	}
	return program{
		name: "JSch", keyType: "ecdsa",
		version: func(c *client) string { return run(c, "version") },
		refused: func(c *client) cell {
			if out := run(c, "list"); !strings.Contains(out, "Algorithm negotiation fail") {
				c.g.t.Errorf("JSch says %q", out)
			}
			mustLog(c.g.t, c.g, "no-common-algorithm")
			return "does not get in: its newest key exchange uses NIST curves, and the gateway offers Curve25519 only. Its continuation `com.github.mwiede:jsch` knows Curve25519; it was not run"
		},
	}
}
