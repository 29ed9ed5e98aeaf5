"""One call of paramiko's SFTPClient, told on standard input."""
import json
import sys

import paramiko

request = json.load(sys.stdin)
if request["call"] == "version":
    sys.exit(print(paramiko.__version__))

transport = paramiko.Transport((request["host"], int(request["port"])))
transport.start_client()
key = paramiko.RSAKey.from_private_key_file(request["key"])
transport.auth_publickey(request["user"], key)
sftp = paramiko.SFTPClient.from_transport(transport)


def resume_get(remote, local):
    with sftp.open(remote, "rb") as source, open(local, "ab") as target:
        source.seek(target.tell())
        target.write(source.read())


def resume_put(local, remote):
    with open(local, "rb") as source, sftp.open(remote, "ab") as target:
        target.set_pipelined(True)
        source.seek(sftp.stat(remote).st_size)
        target.write(source.read())


calls = {
    "list": lambda: print("\n".join(sftp.listdir("."))),
    "get": sftp.get,
    "put": sftp.put,
    "resume_get": resume_get,
    "resume_put": resume_put,
    "rename": sftp.rename,
    "mkdir": sftp.mkdir,
    "rmdir": sftp.rmdir,
    "remove": sftp.remove,
}
calls[request["call"]](*request["args"] or [])
transport.close()
