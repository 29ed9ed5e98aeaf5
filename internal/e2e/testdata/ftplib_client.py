"""One call of Python's ftplib, told on standard input."""
import ftplib
import json
import ssl
import sys


def connect(host, port, user, password, mode, ca):
    if mode == "plain":
        ftp = ftplib.FTP()
    else:
        ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=ca))
    ftp.connect(host, int(port), timeout=60)
    ftp.login(user, password)
    if mode != "plain":
        ftp.prot_p()
    return ftp


def get(remote, local):
    with open(local, "wb") as target:
        ftp.retrbinary(f"RETR {remote}", target.write)


def put(local, remote):
    with open(local, "rb") as source:
        ftp.storbinary(f"STOR {remote}", source)


def resume_get(remote, local):
    with open(local, "ab") as target:
        ftp.retrbinary(f"RETR {remote}", target.write, rest=target.tell())


def resume_put(local, remote):
    ftp.voidcmd("TYPE I")
    at = ftp.size(remote)
    with open(local, "rb") as source:
        source.seek(at)
        ftp.storbinary(f"STOR {remote}", source, rest=at)


def names():
    print("\n".join(name for name, facts in ftp.mlsd()))


request = json.load(sys.stdin)
call, args = request.pop("call"), request.pop("args") or []
if call == "version":
    sys.exit(print(sys.version.split()[0]))
request.pop("key")
ftp = connect(**request)
calls = {
    "list": names,
    "get": get,
    "put": put,
    "resume_get": resume_get,
    "resume_put": resume_put,
    "rename": ftp.rename,
    "mkdir": ftp.mkd,
    "rmdir": ftp.rmd,
    "remove": ftp.delete,
}
calls[call](*args)
ftp.quit()
