"""One call of AsyncSSH's SFTPClient, told on standard input."""
import asyncio
import json
import sys

import asyncssh


async def resume_get(sftp, remote, local):
    async with sftp.open(remote, "rb") as source:
        with open(local, "ab") as target:
            target.write(await source.read(offset=target.tell()))


async def resume_put(sftp, local, remote):
    at = await sftp.getsize(remote)
    with open(local, "rb") as source:
        source.seek(at)
        async with sftp.open(remote, "r+b") as target:
            await target.write(source.read(), offset=at)


async def names(sftp):
    print("\n".join(await sftp.listdir(".")))


calls = {
    "list": names,
    "get": lambda sftp, remote, local: sftp.get(remote, local),
    "put": lambda sftp, local, remote: sftp.put(local, remote),
    "resume_get": resume_get,
    "resume_put": resume_put,
    "rename": lambda sftp, old, new: sftp.rename(old, new),
    "mkdir": lambda sftp, name: sftp.mkdir(name),
    "rmdir": lambda sftp, name: sftp.rmdir(name),
    "remove": lambda sftp, name: sftp.remove(name),
}


async def main(request):
    if request["call"] == "version":
        return print(asyncssh.__version__)
    async with asyncssh.connect(
        request["host"], int(request["port"]), config=None, username=request["user"],
        client_keys=[request["key"]], known_hosts=None,
    ) as connection, connection.start_sftp_client() as sftp:
        await calls[request["call"]](sftp, *request["args"] or [])


asyncio.run(main(json.load(sys.stdin)))
