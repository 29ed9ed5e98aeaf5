package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// ftpPrograms are the programs that speak FTP, each with every kind of encryption.
func ftpPrograms() []program {
	var list []program
	for _, one := range []func(mode) program{
		curlFTP, lftpFTP, wget, tnftp, ncftp, rcloneFTP, fileZillaFTP, ftplib, basicFTP,
	} {
		for _, m := range []mode{plain, explicit, implicit} {
			p := one(m)
			p.mode = m
			p.name += ", " + string(m)
			list = append(list, p)
		}
	}
	return list
}

// noTLS is a program that knows plain FTP only, asked for more.
func noTLS(p program) program {
	return program{name: p.name, version: p.version, refused: func(*client) cell { return "knows no FTPS" }}
}

// ftpURL names a file in the way that most programs take it. For them ftps is
// FTPS from the first byte.
func (c *client) ftpURL(name string) string {
	scheme := "ftp"
	if c.at.mode == implicit {
		scheme = "ftps"
	}
	return (&url.URL{Scheme: scheme, Host: c.at.hostPort(), Path: "/" + name}).String()
}

func curlFTP(m mode) program {
	do := func(c *client, name string, args ...string) string {
		c.g.t.Helper()
		config := c.write("curlrc", fmt.Appendf(nil, "user = \"%s:%s\"\n", c.at.user, c.at.password))
		args = append(args, "--config", config, "--silent", "--show-error", c.ftpURL(name))
		if m != plain {
			args = append(args, "--ssl-reqd", "--cacert", c.at.ca)
		}
		return c.run("", "curl", args...)
	}
	quote := func(c *client, commands ...string) {
		c.g.t.Helper()
		args := []string{"--output", "/dev/null"}
		for _, command := range commands {
			args = append(args, "--quote", command)
		}
		do(c, "", args...)
	}
	return program{
		name: "curl", version: printed("curl", "--version"),
		list:      func(c *client) string { return do(c, "") },
		get:       func(c *client, remote, local string) { do(c, remote, "--output", local) },
		put:       func(c *client, local, remote string) { do(c, remote, "--upload-file", local) },
		resumeGet: func(c *client, remote, local string) { do(c, remote, "--output", local, "--continue-at", "-") },
		resumePut: func(c *client, remote, local string) { do(c, remote, "--upload-file", local, "--continue-at", "-") },
		rename:    func(c *client, from, to string) { quote(c, "RNFR "+from, "RNTO "+to) },
		mkdir:     func(c *client, name string) { quote(c, "MKD "+name) },
		rmdir:     func(c *client, name string) { quote(c, "RMD "+name) },
		remove:    func(c *client, name string) { quote(c, "DELE "+name) },
	}
}

func lftpFTP(m mode) program {
	settings := map[mode]string{
		plain:    "set ftp:ssl-allow no\n",
		explicit: "set ftp:ssl-force yes\nset ftp:ssl-protect-data yes\n",
		implicit: "set ftp:ssl-protect-data yes\n",
	}[m]
	do := func(c *client, format string, args ...any) string {
		c.g.t.Helper()
		script := "set cmd:fail-exit yes\nset net:max-retries 1\n" + settings
		if m != plain {
			script += fmt.Sprintf("set ssl:ca-file %q\n", c.at.ca)
		}
		script += fmt.Sprintf("open -u %s,%s %s\n", c.at.user, c.at.password, c.ftpURL(""))
		return c.run("", "lftp", "-f", c.write("script", fmt.Appendf([]byte(script), format+"\n", args...)))
	}
	return lftpCommands(do)
}

func wget(m mode) program {
	do := func(c *client, name string, args ...string) {
		c.g.t.Helper()
		config := c.write("wgetrc", fmt.Appendf(nil, "ftp_user = %s\nftp_password = %s\n", c.at.user, c.at.password))
		at := c.ftpURL(name)
		switch m {
		case explicit:
			at = strings.Replace(at, "ftp:", "ftps:", 1)
			args = append(args, "--ca-certificate", c.at.ca)
		case implicit:
			args = append(args, "--ca-certificate", c.at.ca, "--ftps-implicit")
		}
		c.run("", "wget", append(args, "--config", config, "--no-verbose", "--tries=1", "--timeout=20", at)...)
	}
	const why = "wget only downloads"
	return program{
		name: "wget", version: printed("wget", "--version"),
		list: func(c *client) string {
			do(c, "", "--no-remove-listing", "--output-document", "/dev/null")
			listing, err := os.ReadFile(filepath.Join(c.home, ".listing"))
			if err != nil {
				c.g.t.Fatal(err)
			}
			return string(listing)
		},
		get:       func(c *client, remote, local string) { do(c, remote, "--output-document", local) },
		resumeGet: func(c *client, remote, local string) { do(c, remote, "--output-document", local, "--continue") },
		cannot: map[column]cell{
			upload: why, resumeUpload: why, rename: why, folders: why, remove: why,
		},
	}
}

func tnftp(m mode) program {
	do := func(c *client, format string, args ...any) string {
		c.g.t.Helper()
		script := fmt.Sprintf("open %s %s\nuser %s %s\nbinary\n", c.at.host, c.at.port, c.at.user, c.at.password)
		return c.run(script+fmt.Sprintf(format, args...)+"\nbye\n", "tnftp", "-n", "-i")
	}
	p := program{
		name: "tnftp", version: debian("tnftp"),
		list:      func(c *client) string { return do(c, "ls") },
		get:       func(c *client, remote, local string) { do(c, `get "%s" "%s"`, remote, local) },
		put:       func(c *client, local, remote string) { do(c, `put "%s" "%s"`, local, remote) },
		resumeGet: func(c *client, remote, local string) { do(c, `reget "%s" "%s"`, remote, local) },
		resumePut: func(c *client, remote, local string) {
			do(c, "restart %d\nput \"%s\" \"%s\"", c.files()[remote].Size, local, remote)
		},
		rename: func(c *client, from, to string) { do(c, `rename "%s" "%s"`, from, to) },
		mkdir:  func(c *client, name string) { do(c, `mkdir "%s"`, name) },
		rmdir:  func(c *client, name string) { do(c, `rmdir "%s"`, name) },
		remove: func(c *client, name string) { do(c, `delete "%s"`, name) },
	}
	if m != plain {
		return noTLS(p)
	}
	return p
}

func ncftp(m mode) program {
	do := func(c *client, format string, args ...any) string {
		c.g.t.Helper()
		// By itself it takes what is called .txt for text, and sends its lines with CRLF.
		script := fmt.Sprintf("set auto-ascii no\nopen -u %s -p %s -P %s %s\n", c.at.user, c.at.password, c.at.port, c.at.host)
		return c.run(script+fmt.Sprintf(format, args...)+"\nquit\n", "ncftp")
	}
	p := program{
		name: "ncftp", version: debian("ncftp"),
		list:      func(c *client) string { return do(c, "ls") },
		get:       func(c *client, remote, local string) { do(c, `get -z "%s" "%s"`, remote, local) },
		put:       func(c *client, local, remote string) { do(c, `put -z "%s" "%s"`, local, remote) },
		resumeGet: func(c *client, remote, local string) { do(c, `get -z "%s" "%s"`, remote, local) },
		resumePut: func(c *client, remote, local string) { do(c, `put -z "%s" "%s"`, local, remote) },
		rename:    func(c *client, from, to string) { do(c, `rename "%s" "%s"`, from, to) },
		mkdir:     func(c *client, name string) { do(c, `mkdir "%s"`, name) },
		rmdir:     func(c *client, name string) { do(c, `rmdir "%s"`, name) },
		remove:    func(c *client, name string) { do(c, `rm "%s"`, name) },
		cannot:    map[column]cell{ipv6: "knows IPv4 only"},
	}
	if m != plain {
		return noTLS(p)
	}
	return p
}

func rcloneFTP(m mode) program {
	do := func(c *client, args ...string) string {
		c.g.t.Helper()
		host, _, _ := strings.Cut(c.at.hostPort(), ":"+c.at.port) // rclone wants IPv6 in brackets
		cmd := c.command("rclone", append(args, "--config", "/dev/null", "--retries", "1")...)
		cmd.Env = append(cmd.Env,
			"RCLONE_FTP_HOST="+host, "RCLONE_FTP_PORT="+c.at.port, "RCLONE_FTP_USER="+c.at.user,
			"RCLONE_FTP_PASS="+strings.TrimSpace(c.run(c.at.password, "rclone", "obscure", "-")),
			fmt.Sprintf("RCLONE_FTP_EXPLICIT_TLS=%t", m == explicit), fmt.Sprintf("RCLONE_FTP_TLS=%t", m == implicit),
			"SSL_CERT_FILE="+c.at.ca)
		return string(must(c.g.t, cmd))
	}
	return rcloneCommands(do, func(_ *client, name string) string { return ":ftp:" + name })
}
