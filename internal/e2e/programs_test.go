package e2e

import (
	"fmt"
	"net/url"
	"os/exec"
	"strings"
)

func openSSH() program {
	do := func(format string, args ...any) func(c *client) string {
		return func(c *client) string { return c.sftp(fmt.Sprintf(format, args...) + "\n") }
	}
	return program{
		name: "OpenSSH sftp", version: printed("ssh", "-V"), keyType: "rsa",
		list:      do("ls -la"),
		get:       func(c *client, remote, local string) { do("get %q %q", remote, local)(c) },
		put:       func(c *client, local, remote string) { do("put -p %q %q", local, remote)(c) },
		resumeGet: func(c *client, remote, local string) { do("reget %q %q", remote, local)(c) },
		resumePut: func(c *client, remote, local string) { do("reput %q %q", local, remote)(c) },
		rename:    func(c *client, from, to string) { do("rename %q %q", from, to)(c) },
		mkdir:     func(c *client, name string) { do("mkdir %q\ndf -h", name)(c) },
		rmdir:     func(c *client, name string) { do("rmdir %q", name)(c) },
		remove:    func(c *client, name string) { do("rm %q", name)(c) },
	}
}

func psftpBatch(c *client, format string, args ...any) string {
	c.g.t.Helper()
	if _, err := exec.LookPath("puttygen"); err != nil {
		c.g.t.Fatal(err)
	}
	ppk := c.key + ".ppk"
	c.run("", "puttygen", c.key, "-O", "private", "-o", ppk)
	hostKey := strings.Fields(c.run("", "ssh-keygen", "-lf", c.g.dir+"/data/hostkeys/ssh_host_ed25519_key.pub"))[1]
	batch := c.write("batch", []byte(fmt.Sprintf(format, args...)+"\n"))
	return c.run("", "psftp", "-batch", "-hostkey", hostKey, "-P", c.at.port, "-i", ppk, "-b", batch, c.at.user+"@"+c.at.host)
}

func psftp() program {
	do := psftpBatch
	return program{
		name: "PuTTY psftp", version: printed("psftp", "-V"), keyType: "ed25519",
		list:      func(c *client) string { return do(c, "ls") },
		get:       func(c *client, remote, local string) { do(c, `get "%s" "%s"`, remote, local) },
		put:       func(c *client, local, remote string) { do(c, `put "%s" "%s"`, local, remote) },
		resumeGet: func(c *client, remote, local string) { do(c, `reget "%s" "%s"`, remote, local) },
		resumePut: func(c *client, remote, local string) { do(c, `reput "%s" "%s"`, local, remote) },
		rename:    func(c *client, from, to string) { do(c, `mv "%s" "%s"`, from, to) },
		mkdir:     func(c *client, name string) { do(c, `mkdir "%s"`, name) },
		rmdir:     func(c *client, name string) { do(c, `rmdir "%s"`, name) },
		remove:    func(c *client, name string) { do(c, `rm "%s"`, name) },
	}
}

func lftpScript(c *client, format string, args ...any) string {
	c.g.t.Helper()
	ssh := fmt.Sprintf("ssh -a -x -F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o IdentitiesOnly=yes -i %s", c.key)
	script := fmt.Sprintf("set cmd:fail-exit yes; set net:max-retries 1; set sftp:connect-program %q; open -u %s,x sftp://%s; ", ssh, c.at.user, c.at.hostPort())
	return c.run("", "lftp", "-c", script+fmt.Sprintf(format, args...))
}

func lftp() program {
	p := lftpCommands(lftpScript)
	p.keyType = "ecdsa"
	return p
}

// lftpCommands are the same over both protocols.
func lftpCommands(do func(c *client, format string, args ...any) string) program {
	return program{
		name: "lftp", version: printed("lftp", "--version"),
		list: func(c *client) string { return do(c, "ls") },
		// lftp drops the connection with its last file open; the listing gives it
		// time to close it, without which a download does not count as collected.
		get:       func(c *client, remote, local string) { do(c, "get %q -o %q; ls", remote, local) },
		put:       func(c *client, local, remote string) { do(c, "put %q -o %q", local, remote) },
		resumeGet: func(c *client, remote, local string) { do(c, "get -c %q -o %q", remote, local) },
		resumePut: func(c *client, remote, local string) { do(c, "put -c %q -o %q", local, remote) },
		rename:    func(c *client, from, to string) { do(c, "mv %q %q", from, to) },
		mkdir:     func(c *client, name string) { do(c, "mkdir %q", name) },
		rmdir:     func(c *client, name string) { do(c, "rmdir %q", name) },
		remove:    func(c *client, name string) { do(c, "rm %q", name) },
	}
}

func curl() program {
	do := func(c *client, name string, args ...string) string {
		c.g.t.Helper()
		at := (&url.URL{Scheme: "sftp", Host: c.at.hostPort(), Path: "/" + name}).String()
		return c.run("", "curl", append([]string{
			"--silent", "--show-error", "--insecure", "--user", c.at.user + ":", "--key", c.key, "--pubkey", c.key + ".pub", at,
		}, args...)...)
	}
	quote := func(format string, args ...any) func(c *client) {
		return func(c *client) { do(c, "", "--output", "/dev/null", "--quote", fmt.Sprintf(format, args...)) }
	}
	return program{
		// Debian 12's libssh2 signs with an RSA key by SHA-1 only.
		name: "curl", version: printed("curl", "--version"), keyType: "ed25519",
		list:      func(c *client) string { return do(c, "") },
		get:       func(c *client, remote, local string) { do(c, remote, "--output", local) },
		put:       func(c *client, local, remote string) { do(c, remote, "--upload-file", local) },
		resumeGet: func(c *client, remote, local string) { do(c, remote, "--output", local, "--continue-at", "-") },
		resumePut: func(c *client, remote, local string) { do(c, remote, "--upload-file", local, "--continue-at", "-") },
		rename:    func(c *client, from, to string) { quote("rename %q %q", "/"+from, "/"+to)(c) },
		mkdir:     func(c *client, name string) { quote("mkdir %q", "/"+name)(c) },
		rmdir:     func(c *client, name string) { quote("rmdir %q", "/"+name)(c) },
		remove:    func(c *client, name string) { quote("rm %q", "/"+name)(c) },
	}
}

func rclone() program {
	do := func(c *client, args ...string) string {
		c.g.t.Helper()
		return c.run("", "rclone", append(args, "--config", "/dev/null", "--retries", "1")...)
	}
	remote := func(c *client, name string) string {
		host, _, _ := strings.Cut(c.at.hostPort(), ":"+c.at.port) // rclone wants IPv6 in brackets
		return fmt.Sprintf(":sftp,host=%q,port=%s,user=%s,key_file=%q,shell_type=none:%s", host, c.at.port, c.at.user, c.key, name)
	}
	p := rcloneCommands(do, remote)
	p.keyType = "ed25519"
	return p
}

// rcloneCommands are the same over both protocols; remote names a file in rclone's
// way.
func rcloneCommands(do func(c *client, args ...string) string, remote func(c *client, name string) string) program {
	return program{
		name: "rclone", version: printed("rclone", "version"),
		cannot: map[column]cell{
			resumeDownload: "rclone starts a file over",
			resumeUpload:   "rclone starts a file over",
		},
		list:   func(c *client) string { return do(c, "lsf", remote(c, "")) },
		get:    func(c *client, name, local string) { do(c, "copyto", remote(c, name), local) },
		put:    func(c *client, local, name string) { do(c, "copyto", local, remote(c, name)) },
		rename: func(c *client, from, to string) { do(c, "moveto", remote(c, from), remote(c, to)) },
		mkdir:  func(c *client, name string) { do(c, "mkdir", remote(c, name)) },
		rmdir:  func(c *client, name string) { do(c, "rmdir", remote(c, name)) },
		remove: func(c *client, name string) { do(c, "deletefile", remote(c, name)) },
	}
}
