"""A producer that uses paramiko: HOST PORT USER KEY FILE."""
import sys

import paramiko

host, port, user, key, local = sys.argv[1:]
transport = paramiko.Transport((host, int(port)))
transport.start_client()
transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(key))
sftp = paramiko.SFTPClient.from_transport(transport)


def refused(what, call, *args):
    try:
        call(*args)
    except (OSError, EOFError) as e:
        print(what + ":", e)
    else:
        sys.exit(what + " was not refused")


# As WinSCP does it: it uploads under another name, sets the time, and renames.
with open(local, "rb") as source, sftp.open("/acme/winscp.bin.filepart", "wb") as target:
    target.set_pipelined(True)
    while data := source.read(256 * 1024):
        target.write(data)
sftp.utime("/acme/winscp.bin.filepart", (1700000000, 1700000000))
assert "winscp.bin.filepart" in sftp.listdir("/acme")
sftp.rename("/acme/winscp.bin.filepart", "/acme/winscp.bin")
assert "winscp.bin" not in sftp.listdir("/acme")
refused("reading", lambda: sftp.open("/acme/winscp.bin", "rb").read())
refused("another client", sftp.listdir, "/globex")


def out_of_order():
    with sftp.open("/acme/torn.bin", "wb") as target:
        target.seek(5 * 1024 * 1024)
        target.write(b"the end comes first")
        target.seek(0)
        target.write(b"the beginning")


def again():
    with sftp.open("/acme/torn.bin", "wb") as target:
        target.write(b"the beginning")
        target.seek(4)
        target.write(b"other")


refused("out of order", out_of_order)
refused("rewriting", again)

# A file that was never renamed, and one that was never closed.
sftp.putfo(open(local, "rb"), "/acme/left.part", confirm=False)
left = sftp.open("/acme/open.bin", "wb")
left.write(b"some of it")
transport.close()
