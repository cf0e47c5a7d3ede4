/**
 * Songs whose hosts are listed and are no hosts any more: nobody listens there, nobody answers there, somebody speaks HTTP
 * there. Beside a good host the song arrives byte for byte; without one the listener is told so, with exit code 69.
 *
 *     registered and proven ──▶ killed, stopped, or as it always was ──▶ listeners come
 */
import t, { type Test } from 'tap';
import { mp3Bytes } from '../support/mp3.js';
import { hashOf, type Network, openNetwork } from '../support/network.js';
import { type RunningCommand, spawnProgram } from '../support/spawn-command.js';
import { stackTraceIn } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';

/** So many bad ones beside a good one, that it is rarely asked first. */
const BAD_HOSTS = 2;

/** Tells its port, and then the value of every PING; answers everything as a web server does. */
const WEB_SERVER = `
const server = require('node:net').createServer(socket => {
  socket.on('error', () => {}).on('data', bytes => {
    if (bytes[0] === 6) console.log('ping ' + bytes.readUInt32BE(1));
    socket.end('HTTP/1.1 400 Bad Request\\r\\nConnection: close\\r\\n\\r\\n');
  });
});
server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));
`;

/** A process that is listed as a host of `song`, and has nothing but its port. */
async function listedHost(t: Test, network: Network, song: Buffer): Promise<RunningCommand> {
  const host = await spawnProgram(t, process.execPath, ['-e', WEB_SERVER]);
  const port = Number((await host.says(/port (\d+)\n/))[1]);
  const registration = await connectTsp(t, network.trackerPort);
  registration.send({ type: 'HELLO', port, hello: { tsp: 1, name: 'bad', broadcasts: false } });
  await registration.receive('LIST');
  registration.sendRows({ type: 'LIST_INFO', revision: 0 }, [{ hash: hashOf(song), size: song.length }]);
  registration.send({ type: 'PONG', value: Number((await host.says(/ping (\d+)\n/))[1]) });
  await registration.await('WELCOME');
  await network.listed(song, port);
  return host;
}

const BAD: Record<string, (host: RunningCommand) => unknown> = {
  'nobody listens any more': async host => {
    host.kill('SIGKILL');
    await host.exited;
  },
  'connections are taken and never answered': host => host.kill('SIGSTOP'),
  'somebody speaks HTTP': () => {},
};

// A test mostly waits.
t.jobs = 3;
const world = await openNetwork(t, ['--max-per-address', '0']);

const tests = Object.entries(BAD).map(([name, spoil], nth) =>
  t.test(`hosts where ${name}`, { buffered: true }, async t => {
    const network = world.during(t);
    const song = mp3Bytes({ seconds: 30, bitrate: 320_000, seed: nth + 1, title: `Bulería ${nth}` });
    const hosts = Array.from({ length: BAD_HOSTS }, () => listedHost(t, network, song));
    for (const host of await Promise.all(hosts)) await spoil(host);
    const id = String(await network.idOf(song));
    const get = ['get', id, '-o', '-'];
    const play = ['play', id, '--output', 'stdout', '--raw'];

    const alone = await network.run(get);
    t.equal(await alone.exitCode(), 69, alone.stderr);
    t.equal(alone.bytes.length, 0, 'nothing that is not the song');
    t.match(alone.stderr, /127\.0\.0\.1:\d+/, 'who was asked is named');
    t.equal(stackTraceIn(alone.stderr), undefined);
    await network.host({ songs: { 'a.mp3': song } });
    for (const beside of await Promise.all([get, play].map(words => network.run(words)))) {
      t.equal(await beside.exitCode(), 0, beside.stderr);
      t.ok(beside.bytes.equals(song), 'byte-exact');
      t.equal(stackTraceIn(beside.stderr), undefined);
    }
  }),
);
await Promise.all(tests);
