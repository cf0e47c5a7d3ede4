/** `tsp-peer swarm`, as real processes on real sockets: IDs, hosts that die or lie, who waits for whom. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { seedFile, staticMetadata } from '../../../peer/swarm/static-swarm.js';
import { SwarmNode } from '../../../peer/swarm/swarm-node.js';
import { UdpWire } from '../../../peer/swarm/udp-wire.js';
import { decodeDatagram } from '../../../protocol/ppspp/codec.js';
import { wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import { systemClock } from '../../../src/clock.js';
import { freePort } from '../../support/free-port.js';
import { NarrowLine } from '../../support/narrow-line.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { spawnCommand } from '../../support/spawn-command.js';
import { ANYWHERE, contentIn, get, got, seed } from '../../support/swarm-commands.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';

/** A peer that changes a bit of every chunk. */
async function liar(t: Teardown, path: string): Promise<{ host: string; peer: string[] }> {
  const node = new SwarmNode({
    clock: systemClock,
    logger: new RecordingLogger(),
    randomBytes,
    wire: new UdpWire(),
  });
  const { signal } = new AbortController();
  const file = (await seedFile({
    path,
    hash: 'sha256',
    chunkBytes: 1_024,
    signal,
    onLoaded: () => node.wake(),
    onBroken: () => {},
  }))!;
  const read = (chunk: number): Uint8Array | undefined =>
    file.store.read(chunk)?.map((byte, i) => (i === 7 ? byte ^ 1 : byte));
  node.join({ swarm: { ...file.swarm, source: { read } } });
  const { port } = await node.start({ host: '127.0.0.1', port: 0 });
  t.teardown(async () => {
    await node.stop();
    await file.close();
  });
  return { host: `127.0.0.1:${port}`, peer: ['--peer', `127.0.0.1:${port}`] };
}

t.test('IDs are those of the vectors', async t => {
  const folder = await tempFolder(t);
  for (const [size, hash, id] of [
    ['1025', 'sha256', 'bdaf4f16f2106d5807886f560e865c02b811213b765c3398b19b149468124b46'],
    ['7162', 'sha1', '771baa14ad60d82025d037c350f26942bd5b7f5a'],
  ] as const) {
    const file = join(folder, size);
    const words = ['swarm', 'hash', '--create', '--size', size, '--hash', hash, file];
    const made = await spawnCommand(t, 'tsp-peer', words);
    t.equal(await made.exitCode(), 0);
    t.same(made.lines, [`${id}  ${file}`]);
    const again = await spawnCommand(t, 'tsp-peer', words);
    t.equal(await again.exitCode(), 1, 'what is there is not written over');
  }
});

t.test('two hosts, of which one is killed', async t => {
  const { folder, path, content } = await contentIn(t, 3_000_001);
  const [a, b] = await Promise.all([
    seed(t, path, '--max-upload', '600k'),
    seed(t, path, '--max-upload', '600k'),
  ]);
  const out = join(folder, 'out');
  const getter = await get(t, a.id, out, ...a.peer, ...b.peer);
  await until('something is here', () => existsSync(`${out}.part.json`) || existsSync(out));
  a.command.kill('SIGKILL');
  t.equal(await getter.exitCode(), 0);
  t.ok(Buffer.compare(readFileSync(out), content) === 0, 'byte by byte');
  t.match(got(getter), { bytes: content.length, swarm: a.id, verified: true });
  t.notOk(existsSync(`${out}.part`) || existsSync(`${out}.part.json`), 'nothing is left behind');
  t.equal(await b.command.end(), 0);
});

t.test('a liar is named, and the file is what it should be', async t => {
  const { folder, path, content } = await contentIn(t, 1_000_000);
  const [honest, lying] = await Promise.all([seed(t, path), liar(t, path)]);
  const out = join(folder, 'out');
  // Who is honest might have given everything before the liar is asked.
  honest.command.kill('SIGSTOP');
  const getter = await get(t, honest.id, out, ...lying.peer, ...honest.peer);
  const named = `tsp-peer: ${lying.host} sent what is not in the file: it is left alone.`;
  await until('the liar is named, at once', () => getter.stderr.includes(named));
  honest.command.kill('SIGCONT');
  t.equal(await getter.exitCode(), 0);
  t.equal(getter.stderr, `${named}\n`, 'once');
  t.ok(Buffer.compare(readFileSync(out), content) === 0, 'byte by byte');
  const told = got(getter);
  t.same(
    told.failed.map(({ host, lied }) => ({ host, lied })),
    [{ host: lying.host, lied: true }],
  );
  t.notOk(
    told.sources.some(({ host }) => host === lying.host),
    'nothing of its is in it',
  );
});

t.test(
  'three hosts on lines of 2 Mbit/s fill them, and 90 % of that are chunks; one more is killed, and one lies',
  async t => {
    const { folder, path, content } = await contentIn(t, 12_000_000);
    const seeds = await Promise.all([1, 2, 3, 4].map(() => seed(t, path)));
    const lines = await Promise.all(seeds.map(({ port }) => NarrowLine.start(t, port, 250_000)));
    const [killed, ...hosts] = lines as [NarrowLine, ...NarrowLine[]];
    const lying = await liar(t, path);
    const { id } = seeds[0]!;
    const format = wireFormatOf(staticMetadata(Buffer.from(id, 'hex'), 'sha256', 1_024), ['rfc7574']);
    const peers = lines.flatMap(({ port }) => ['--peer', `127.0.0.1:${port}`]);
    const out = join(folder, 'out');
    const getter = await get(t, id, out, ...lying.peer, ...peers);

    await new Promise<void>(resolve => {
      killed.onCarried = datagram => datagram.length > 1_024 && resolve();
    });
    seeds[0]!.command.kill('SIGKILL');

    // Bytes that crossed the three lines while none of them had nothing to carry; of these, chunks that had not come before.
    let crossed = 0;
    let chunks = 0;
    let best = 0;
    const came = new Set<number>();
    const begin = (): void => {
      crossed = 0;
      chunks = 0;
    };
    const carried = (datagram: Buffer): void => {
      crossed += datagram.length;
      for (const message of decodeDatagram(datagram, format).messages) {
        if (message.type !== 'DATA' || came.has(message.chunk)) continue;
        came.add(message.chunk);
        chunks += message.bytes.length;
      }
      if (crossed < 1_000_000) return;
      best = Math.max(best, chunks / crossed);
      begin();
    };
    for (const line of hosts) Object.assign(line, { onIdle: begin, onCarried: carried });
    await until(
      () => `at best ${100 * best} % of what crossed full lines, a million bytes at a time`,
      () => best >= 0.9 || !getter.running,
    );
    t.ok(best >= 0.9, `${100 * best} % are chunks`);

    for (const line of hosts) line.widen();
    t.equal(await getter.exitCode(), 0, getter.stderr);
    t.ok(Buffer.compare(readFileSync(out), content) === 0, 'byte by byte');
    t.match(
      got(getter).failed.filter(({ lied }) => lied),
      [{ host: lying.host }],
    );
  },
);

t.test('a size that is not the file’s makes nobody a liar', async t => {
  const { folder, path, content } = await contentIn(t, 30_000);
  const { id, peer } = await seed(t, path);
  const out = join(folder, 'out');
  const getter = await get(t, id, out, ...peer, '--size', '29999');
  t.equal(await getter.exitCode(), 0, getter.stderr);
  t.ok(Buffer.compare(readFileSync(out), content) === 0, 'byte by byte');
});

t.test('over TCP, and onwards into a pipe', async t => {
  const { path, content } = await contentIn(t, 1_500_001);
  const source = await seed(t, path, '--tcp');
  const playing = ['--tcp', '--buffer', '100k', '--ahead', '200k', '--skip', '60'];
  const getter = await spawnCommand(t, 'tsp-peer', [
    'swarm',
    'get',
    source.id,
    '-o',
    '-',
    ...playing,
    ...source.peer,
  ]);
  t.equal(await getter.exitCode(), 0);
  t.ok(getter.bytes.equals(content), 'byte by byte');
  t.match(getter.stderr, /100 % 127\.0\.0\.1:\d+ · all verified/);
  t.equal(await source.command.end(), 0);
});

t.test(
  'that there is no room for what goes into a pipe is told of the folder where it is missing',
  async t => {
    const { path, folder } = await contentIn(t, 10_000);
    const { id, peer } = await seed(t, path);
    const TMPDIR = join(folder, 'gone');
    const getter = await spawnCommand(t, 'tsp-peer', ['swarm', 'get', id, '-o', '-', ...peer], {
      env: { TMPDIR },
    });
    t.equal(await getter.exitCode(), 1);
    t.match(getter.stderr, `tsp-peer: ${TMPDIR}: there is no such file or folder.\n  TMPDIR names another`);
  },
);

t.test('nobody there is told', async t => {
  const { path, folder } = await contentIn(t, 10_000);
  const gone = await seed(t, path);
  await gone.command.end();
  const ask = async (out: string, ...way: string[]): Promise<void> => {
    const getter = await get(t, gone.id, join(folder, out), ...gone.peer, ...way);
    t.equal(await getter.exitCode(), 69);
    t.match(getter.stderr, /(no peer is left|no peer answers).*--tcp/s);
    t.notOk(existsSync(`${join(folder, out)}.part`), 'where nothing came nothing stays');
  };
  await Promise.all([ask('a'), ask('b', '--tcp')]);
});

t.test('who waits for a peer says so, and when one is there', async t => {
  const { path, folder } = await contentIn(t, 500_000);
  const id = (await seed(t, path)).id;
  const ports = [await freePort('udp'), await freePort('udp')];
  const [rows, words] = await Promise.all([
    get(t, id, join(folder, 'out'), '--listen', `127.0.0.1:${ports[0]}`),
    spawnCommand(t, 'tsp-peer', ['swarm', 'get', id, '-o', '-', '--listen', `127.0.0.1:${ports[1]}`]),
  ]);
  await rows.complains(/^\{"error":\{.*"message":"no peer answers: waiting for one\.","hint":"Seeds .*\n/);
  await words.complains(/^tsp-peer: no peer answers: waiting for one\.\nSeeds .*--tcp.*\n/s);
  const peers = ports.flatMap(port => ['--peer', `127.0.0.1:${port}`]);
  // Slow enough to be seen at it.
  await seed(t, path, '--max-upload', '300k', ...peers);
  t.equal(await rows.exitCode(), 0);
  t.equal(await words.exitCode(), 0);
  t.match(rows.stderr, /\n\{"event":"peers","peers":\d+\}\n$/);
  t.match(words.stderr, /\ntsp-peer: a peer is there\.\n/);
});

t.test('two that wait, and have nothing for each other, say so', async t => {
  const { path, folder } = await contentIn(t, 500_000);
  const { id } = await seed(t, path);
  const [here, there] = [await freePort('udp'), await freePort('udp')].map(port => `127.0.0.1:${port}`) as [
    string,
    string,
  ];
  const rows = await get(t, id, join(folder, 'out'), '--listen', here);
  const words = await get(t, id, join(folder, 'other'), '--listen', there, '--peer', here);
  await rows.complains(/"message":"no peer has more of it: waiting for one that has\."/);
  t.equal(await words.exitCode(), 69);
  t.match(words.stderr, /the peers that answered have nothing more/);
  await seed(t, path, '--peer', here);
  t.equal(await rows.exitCode(), 0);
  t.match(rows.stderr, /\n\{"event":"peers","peers":\d+\}\n$/);
});

t.test(
  'a file that is empty has no ID, and like one that is not there is no reason not to give the others',
  async t => {
    const { folder, path } = await contentIn(t, 3_000);
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    const hashed = await spawnCommand(t, 'tsp-peer', ['swarm', 'hash', empty, path]);
    t.equal(await hashed.exitCode(), 1);
    t.match(hashed.stderr, /empty is empty: it has no swarm ID\./);
    t.match(hashed.lines, [/^[0-9a-f]{64} {2}.*content$/]);
    t.equal(hashed.lines.length, 1);
    const seeding = await seed(t, empty, join(folder, 'gone'), folder, path);
    t.match(
      seeding.command.stderr,
      /empty is empty: it is not given\..*gone: there is no such file.* is no file: it/s,
    );
    t.match(seeding.command.lines[0], /content$/);
    const nothing = await spawnCommand(t, 'tsp-peer', ['swarm', 'seed', empty, ...ANYWHERE]);
    t.equal(await nothing.exitCode(), 1);
    t.match(nothing.stderr, /There is nothing to give\./);
  },
);

t.test('a seed whose last file has changed ends', async t => {
  const { folder, path } = await contentIn(t, 30_000);
  const other = join(folder, 'other');
  writeFileSync(other, randomBytes(30_000));
  const { command, id, peer } = await seed(t, path, other);
  const otherId = command.lines[1]!.split(' ')[0]!;
  truncateSync(path, 1_000);
  await get(t, id, join(folder, 'out'), ...peer);
  await command.complains(/content is not given any more/);
  truncateSync(other, 1_000);
  await get(t, otherId, join(folder, 'out-other'), ...peer);
  t.equal(await command.exitCode(), 1);
  t.match(command.stderr, /other is not given any more.*There is nothing to give\./s);
});

t.test('who seeds a file that nobody can believe is told so', async t => {
  const { path } = await contentIn(t, 64);
  const one = await seed(t, path);
  t.match(one.command.stderr, /content: nobody can get it: its 64 bytes may as well be two hashes\./);
  const two = await seed(t, path, '--chunk-size', '32');
  t.equal(two.command.stderr, '');
});

t.test('a signal ends it while it hashes', async t => {
  const { path } = await contentIn(t, 1);
  truncateSync(path, 8_000_000_000);
  const command = await spawnCommand(t, 'tsp-peer', ['swarm', 'seed', path, ...ANYWHERE]);
  const read = () => Number(/rchar: (\d+)/.exec(readFileSync(`/proc/${command.pid}/io`, 'utf8'))![1]);
  await until('it hashes', () => read() > 20_000_000);
  command.kill('SIGTERM');
  t.equal(await command.exitCode(), 143);
});

t.test('wrong use is told', async t => {
  const run = async (...words: string[]) => {
    const command = await spawnCommand(t, 'tsp-peer', ['swarm', ...words]);
    return { code: await command.exitCode(), stderr: command.stderr };
  };
  t.match(await run('get', 'abc', '--peer', '127.0.0.1:9'), { code: 2, stderr: /no swarm ID/ });
  t.match(await run('get', 'ab'.repeat(32)), { code: 2, stderr: /--peer/ });
  t.match(await run('get', 'ab'.repeat(32), '--peer', '127.0.0.1:9', '--buffer', '1M'), {
    code: 2,
    stderr: /-o -/,
  });
  t.match(await run('give', 'x'), { code: 2, stderr: /no command swarm give/ });
  t.match(await run('hash', 'x', '--chunk-size', '65536'), { code: 2, stderr: /from 1 to 64000/ });
  t.match(await run('get', 'ab'.repeat(32), '--peer', '[fe80::1%nolo]:6790'), {
    code: 2,
    stderr: /fe80::1 is an address of one link only/,
  });
  const help = await spawnCommand(t, 'tsp-peer', ['swarm', '--help']);
  await help.exitCode();
  t.match(help.stdout, /Examples:\n +tsp-peer swarm seed/);
  t.match(await run('seed', '/not/there', ...ANYWHERE), { code: 1, stderr: /no such file/ });
});
