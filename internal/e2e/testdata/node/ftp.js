// One call of basic-ftp, told on standard input.
const fs = require('fs');
const ftp = require('basic-ftp');

const calls = {
  list: async (client) => console.log((await client.list()).map((file) => file.name).join('\n')),
  get: (client, remote, local) => client.downloadTo(local, remote),
  put: (client, local, remote) => client.uploadFrom(local, remote),
  resume_get: (client, remote, local) => client.downloadTo(local, remote, fs.statSync(local).size),
  resume_put: async (client, local, remote) => client.appendFrom(local, remote, {
    localStart: await client.size(remote),
  }),
  rename: (client, from, to) => client.rename(from, to),
  mkdir: (client, name) => client.send('MKD ' + name),
  rmdir: (client, name) => client.removeEmptyDir(name),
  remove: (client, name) => client.remove(name),
};

async function main({ host, port, user, password, mode, ca, call, args }) {
  if (call === 'version') return console.log(require('basic-ftp/package.json').version);
  const client = new ftp.Client();
  try {
    await client.access({
      host, port: Number(port), user, password,
      secure: { plain: false, 'explicit FTPS': true, 'implicit FTPS': 'implicit' }[mode],
      // The certificate is for localhost too: Node 18 can't compare an IPv6 address with one.
      secureOptions: mode === 'plain' ? undefined : { ca: fs.readFileSync(ca), servername: 'localhost' },
    });
    await calls[call](client, ...(args || []));
  } finally {
    client.close();
  }
}

main(JSON.parse(fs.readFileSync(0, 'utf8'))).catch((err) => {
  console.error(err);
  process.exit(1);
});
