// One call of ssh2-sftp-client, told on standard input.
const fs = require('fs');
const SFTP = require('ssh2-sftp-client');

const calls = {
  list: async (sftp) => console.log((await sftp.list('/')).map((file) => file.name).join('\n')),
  get: (sftp, remote, local) => sftp.fastGet(remote, local),
  put: (sftp, local, remote) => sftp.fastPut(local, remote),
  resume_get: (sftp, remote, local) => sftp.get(remote, fs.createWriteStream(local, { flags: 'a' }), {
    readStreamOptions: { start: fs.statSync(local).size },
  }),
  resume_put: async (sftp, local, remote) => sftp.append(
    fs.createReadStream(local, { start: (await sftp.stat(remote)).size }), remote),
  rename: (sftp, from, to) => sftp.rename(from, to),
  mkdir: (sftp, name) => sftp.mkdir(name),
  rmdir: (sftp, name) => sftp.rmdir(name),
  remove: (sftp, name) => sftp.delete(name),
};

async function main({ host, port, user, key, call, args }) {
  if (call === 'version') return console.log(require('ssh2-sftp-client/package.json').version);
  const sftp = new SFTP();
  await sftp.connect({ host, port: Number(port), username: user, privateKey: fs.readFileSync(key) });
  await calls[call](sftp, ...(args || []));
  await sftp.end();
}

main(JSON.parse(fs.readFileSync(0, 'utf8'))).catch((err) => {
  console.error(err);
  process.exit(1);
});
