package e2e

func ftplib(m mode) program {
	p := library(python, "ftplib_client.py")
	p.name = "Python ftplib"
	if m == implicit {
		return program{name: p.name, version: p.version, refused: func(*client) cell { return "knows explicit FTPS only" }}
	}
	return p
}

// basicFTP is Node's. With an empty file it is through before TLS is, and hangs up
// in the middle of the handshake, more often the busier the machine is.
func basicFTP(m mode) program {
	p := library("node", "node/ftp.js")
	p.name, p.neverEmpty = "Node basic-ftp", m != plain
	return p
}
