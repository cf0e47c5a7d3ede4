/**
 * What the machine does to a tracker: few descriptors, a full disk, calls that fail, a clock that jumps, outputs that are
 * closed, signals. Those who register liars' addresses with it are here too: nobody is dialled who must not be.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import { besideOthers } from '../support/beside-others.js';
import { connectFrom, gone, range } from '../support/crowd.js';
import { failCalls, LMDB_REFUSED, noFaults } from '../support/failing-calls.js';
import { commandPath, type RunningCommand, spawnCommand, spawnProgram } from '../support/spawn-command.js';
import { descriptorsOf, stackTraceIn, watchSurvivor } from '../support/survivor.js';
import { tempFolder } from '../support/temp-folder.js';
import { connectTsp, listAt } from '../support/tsp-client.js';
import { type Teardown, until, untilDone } from '../support/until.js';
import { registerHost, registerKept, song } from '../tracker/tracker-fixture.js';

const WORDS = ['--host', '127.0.0.1', '--port', '0'];
const OPEN = ['--max-per-address', '0'];

// A test mostly waits.
t.jobs = 3;

for (const limit of [80, 256]) {
  t.test(`with ${limit} descriptors a crowd is cut, and the tracker serves on`, besideOthers(), async t => {
    const line = `ulimit -n ${limit}; exec "$@"`;
    const program = [process.execPath, commandPath('tsp-tracker'), ...WORDS, ...OPEN];
    const tracker = await spawnProgram(t, 'sh', ['-c', line, 'sh', ...program], {}, 'tsp-tracker');
    const { port } = await tracker.ready();
    const survivor = await watchSurvivor(tracker, () => listAt(t, port));
    const early = await connectTsp(t, port);
    early.send({ type: 'PING', value: 1 });
    await early.receive('PONG');
    const crowd = await Promise.all(range(400).map(index => connectFrom(t, port, index)));
    let answered = 0;
    const settled = new Set<Socket>();
    for (const socket of crowd) {
      socket.once('data', data => {
        if (data[0] === 0x07) answered += 1;
      });
      for (const event of ['data', 'end', 'close']) socket.once(event, () => settled.add(socket));
      socket.write(encode({ type: 'PING', value: 1 }));
    }
    await until('each is served or sent away', () => settled.size === crowd.length);
    t.ok(answered > 0 && answered < limit, `${answered} were served`);
    const { sockets } = descriptorsOf(tracker.pid);
    t.ok(sockets <= limit - Math.min(64, limit / 2), `${sockets} sockets, the rest is kept for files`);
    // An address is dialled and a store is written while no further connection would be let in.
    const host = await registerHost(t, { port }, { client: early, songs: [song(1)] });
    t.type(host.idOf(1), 'number');
    early.destroy();
    for (const socket of crowd) socket.destroy();
    await Promise.all(crowd.map(gone));
    await untilDone('there is room again', () => listAt(t, port));
    await survivor.survived();
  });
}

t.test('with fewer descriptors than are kept nobody begins: exit 78, and why', besideOthers(), async t => {
  for (const [name, words] of [
    ['tsp-tracker', WORDS],
    ['tsp-peer', ['--headless', '--port', '0']],
  ] as const) {
    const line = 'unset NODE_OPTIONS NODE_V8_COVERAGE; ulimit -n 50; exec "$@"';
    const program = [process.execPath, commandPath(name), ...words];
    const command = await spawnProgram(t, 'sh', ['-c', line, 'sh', ...program], {}, name);
    t.equal(await command.exitCode(), 78, name);
    t.match(command.stderr, /Only 50 files may be open at once, and 64 are needed/);
  }
});

t.test('calls that fail for want of descriptors pass by', besideOthers(noFaults), async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
  const { port } = await tracker.ready();
  const survivor = await watchSurvivor(tracker, () => listAt(t, port));
  const fault = await failCalls(t, tracker.pid, { calls: 'accept4,socket', error: 'EMFILE', when: '1..20' });
  const crowd = await Promise.all(range(20).map(index => connectFrom(t, port, index)));
  await fault.lift();
  for (const socket of crowd) socket.destroy();
  // libuv turns away whoever waits when a call fails, and the lift may come in the middle of that.
  await untilDone('whoever comes again is served', () => listAt(t, port));
  await survivor.survived();
});

for (const error of ['ENOSPC', 'EIO']) {
  t.test(
    `${error} while IDs are written: said so, no ID given; later it is`,
    besideOthers(noFaults),
    async t => {
      const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
      const { port } = await tracker.ready();
      const survivor = await watchSurvivor(tracker, () => listAt(t, port));
      const kept = await registerKept(t, { port }, 1);
      const fault = await failCalls(t, tracker.pid, { calls: 'pwrite64,pwritev,fdatasync,fsync', error });
      await t.rejects(registerHost(t, { port }, { songs: [song(2)] }), { message: /"code":"unavailable"/ });
      t.match(await listAt(t, port), [{ title: 'Song 1' }]);
      await fault.lift();
      const host = await registerHost(t, { port }, { songs: [song(2)] });
      t.type(host.idOf(2), 'number');
      kept.client.destroy();
      host.client.destroy();
      await survivor.survived();
      t.notMatch(tracker.stderr, LMDB_REFUSED);
    },
  );
}

t.test('a disk that fails lmdb halfway: its store is opened anew', besideOthers(noFaults), async t => {
  const data = await tempFolder(t);
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN, '--data', data]);
  const { port } = await tracker.ready();
  const kept = await registerKept(t, { port }, 1);
  const path = join(data, 'registry', 'data.mdb');
  const fault = await failCalls(t, tracker.pid, { calls: 'fdatasync', error: 'EIO', path });
  for (const n of [2, 3])
    await t.rejects(registerHost(t, { port }, { songs: [song(n)] }), { message: /"code":"unavailable"/ });
  await fault.lift();
  const host = await registerHost(t, { port }, { songs: [song(2)] });
  t.type(host.idOf(2), 'number');
  kept.client.destroy();
  host.client.destroy();
  t.equal(await tracker.end(), 0);
  const next = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN, '--data', data]);
  const again = await registerHost(t, await next.ready(), { songs: [song(1), song(2)] });
  t.same([again.idOf(1), again.idOf(2)], [kept.idOf(1), host.idOf(2)]);
});

t.test('a clock that jumps hours both ways ends no lease and holds up no change', besideOthers(), async t => {
  const home = await tempFolder(t);
  const leaping = join(home, 'leaping.mjs');
  await writeFile(leaping, LEAPING_CLOCK);
  const program = [`--import=${leaping}`, commandPath('tsp-tracker'), ...WORDS];
  const tracker = await spawnProgram(t, process.execPath, program, { home }, 'tsp-tracker');
  const { port } = await tracker.ready();
  const survivor = await watchSurvivor(tracker, () => listAt(t, port));
  const first = await registerHost(t, { port }, { songs: [song(1)] });
  await first.client.await('BROADCAST_LIST', ({ rows }) => rows.some(({ id }) => id === first.idOf(1)));
  const second = await registerHost(t, { port }, { songs: [song(2)] });
  await first.client.await('BROADCAST_LIST', ({ rows }) => rows.some(({ id }) => id === second.idOf(2)));
  // Its deadlines were looked at, more than once, when it says that it is still there.
  await first.client.await('PING');
  second.client.send({ type: 'UPDATE', changes: [song(2, { title: 'Later' })] });
  await first.client.await('BROADCAST_LIST', ({ rows }) => rows.some(({ title }) => title === 'Later'));
  t.match(await listAt(t, port), [{ title: 'Song 1' }, { title: 'Later' }]);
  first.client.destroy();
  second.client.destroy();
  await survivor.survived();
  t.equal(await tracker.end(), 0);
});

/** Every look at the time of day finds another one. */
const LEAPING_CLOCK = `
const now = Date.now;
const HOUR = 3_600_000;
let looks = 0;
Date.now = () => now() + [0, 5, -5, 26, -26, 90_000, -90_000][looks++ % 7] * HOUR;
`;

t.test('a tracker whose outputs are closed goes on', besideOthers(), async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN, '--log-level', 'debug']);
  const { port } = await tracker.ready();
  tracker.endInput();
  tracker.child.stdout.destroy();
  tracker.child.stderr.destroy();
  for (const index of range(5)) {
    const rude = await connectFrom(t, port, index);
    rude.end(Buffer.alloc(100, 0x99));
    await gone(rude);
    await listAt(t, port);
  }
  t.ok(tracker.running);
});

/** A tracker, and a reader of forty lists, more than any system holds on its way, that has begun to read and stopped. */
async function trackerAtWork(t: Test): Promise<{ tracker: RunningCommand; port: number; reader: Socket }> {
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
  const { port } = await tracker.ready();
  const long = { title: 'x'.repeat(255), artist: 'y'.repeat(255) };
  await registerHost(t, { port }, { songs: range(2_000).map(n => song(n, long)) });
  await until('the songs are listed', async () => (await listAt(t, port)).length === 2_000);
  const reader = await connectFrom(t, port, 1);
  reader.write(Buffer.concat(range(FORTY).map(() => encode({ type: 'LIST' }))));
  await once(reader, 'readable');
  return { tracker, port, reader };
}
const FORTY = 40;

/** The signal was seen to act: nobody is let in any more. */
async function stopping(tracker: RunningCommand, t: Teardown, port: number): Promise<void> {
  await tracker.complains(/stopping/);
  await until('the door is closed', () =>
    connectFrom(t, port, 2).then(
      () => false,
      () => true,
    ),
  );
}

for (const [signal, code] of [
  ['SIGTERM', 0],
  ['SIGHUP', 129],
] as const) {
  t.test(
    `${signal} while a slow reader is sent a list: that list is whole, then it ends`,
    besideOthers(),
    async t => {
      const { tracker, port, reader } = await trackerAtWork(t);
      tracker.kill(signal);
      await stopping(tracker, t, port);
      t.ok(tracker.running, 'it waits for the reader');
      const answers = new Framer({ maxPayloadBytes: 64 * 1024 * 1024 });
      let lists = 0;
      reader.on('data', (chunk: Buffer) => {
        answers.push(chunk);
        for (let event = answers.next(); event !== undefined; event = answers.next())
          if (event.kind === 'end') lists += 1;
      });
      t.equal(await gone(reader), 'ended');
      answers.end();
      t.ok(lists > 0 && lists < FORTY, `${lists} lists came`);
      t.equal(await tracker.exitCode(), code);
      t.equal(stackTraceIn(tracker.stderr), undefined);
    },
  );
}

t.test('a second SIGTERM ends it at once, although a reader keeps it waiting', besideOthers(), async t => {
  const { tracker, port } = await trackerAtWork(t);
  tracker.kill('SIGTERM');
  await stopping(tracker, t, port);
  t.ok(tracker.running, 'the first waits for the reader');
  tracker.kill('SIGTERM');
  t.equal(await tracker.exitCode(), 143, 'by itself it would end with 0');
  t.equal(stackTraceIn(tracker.stderr), undefined);
});

t.test(
  'addresses that a liar gives are not listed, and nobody is dialled for him',
  besideOthers(),
  async t => {
    const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
    const { port } = await tracker.ready();
    const survivor = await watchSurvivor(tracker, () => listAt(t, port));
    let dials = 0;
    const victim = createServer(socket => {
      dials += 1;
      socket.on('error', () => {}).destroy();
    });
    t.teardown(() => victim.close());
    await once(victim.listen(0, '127.9.9.9'), 'listening');
    const { port: victims } = victim.address() as { port: number };
    const answers = new Set<string>();
    for (const advertise of [
      [`127.9.9.9:${victims}`],
      ['10.0.0.1:7461'],
      ['224.0.0.1:7461'],
      ['[fe80::1]:7461'],
    ]) {
      const client = await connectTsp(t, port);
      client.send({ type: 'HELLO', port: 9_999, hello: { tsp: 1, advertise } });
      await client.receive('LIST');
      client.sendRows({ type: 'LIST_INFO', revision: 0 }, [song(1)]);
      const { error } = await client.await('ERROR');
      answers.add(`${error.code}: ${error.message}`);
      for (const value of range(5)) client.send({ type: 'PONG', value });
      t.same((await client.await('WELCOME')).welcome.listed, []);
      client.destroy();
    }
    t.equal(answers.size, 1, 'one text for every failure');
    t.match([...answers][0], /^unreachable/);
    t.equal(dials, 0);
    t.same(await listAt(t, port), []);
    await survivor.survived();
  },
);

t.test('wrong PONGs prove nothing, the 64th ends the attempt', besideOthers(), async t => {
  const tracker = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN]);
  const { port } = await tracker.ready();
  const survivor = await watchSurvivor(tracker, () => listAt(t, port));
  const mute = createServer(socket => socket.on('error', () => {}).resume());
  t.teardown(() => mute.close());
  await once(mute.listen(0, '127.0.0.1'), 'listening');
  const client = await connectTsp(t, port);
  client.send({ type: 'INIT', port: (mute.address() as { port: number }).port });
  await client.receive('LIST');
  client.sendRows({ type: 'LIST_INFO', revision: 0 }, [song(1)]);
  client.send(...range(64).map(value => ({ type: 'PONG', value }) as const));
  t.equal((await client.await('ERROR')).error.code, 'unreachable');
  t.same(await listAt(t, port), []);
  client.destroy();
  await survivor.survived();
});

t.test(
  'quotas refuse row by row, and nobody changes or removes what is another’s',
  besideOthers(),
  async t => {
    const quotas = ['--max-songs-per-peer', '5', '--max-songs', '8', '--max-ids', '9', '--max-peers', '3'];
    const tracker: RunningCommand = await spawnCommand(t, 'tsp-tracker', [...WORDS, ...OPEN, ...quotas]);
    const { port } = await tracker.ready();
    const survivor = await watchSurvivor(tracker, () => listAt(t, port));
    const first = await registerHost(t, { port }, { songs: range(7).map(n => song(n)) });
    t.equal(first.ids.filter(({ error }) => error === 'refused').length, 2);
    const second = await registerHost(t, { port }, { songs: range(5).map(n => song(n + 4)) });
    t.equal(second.ids.filter(({ error }) => error === 'refused').length, 1, 'eight songs are listed');
    const payload = Buffer.from(
      `${JSON.stringify({ hash: song(1).hash, gone: true })}\n${JSON.stringify(song(4, { title: 'Mine' }))}\n`,
    );
    const head = Buffer.alloc(9);
    head[0] = 0x43;
    head.writeUInt32BE(payload.length, 5);
    second.client.write(Buffer.concat([head, payload]));
    await second.client.await('SONG_IDS');
    const rows = await listAt(t, port);
    t.match(
      rows.filter(({ id }) => id === first.idOf(1) || id === first.idOf(4)),
      [{ title: 'Song 1' }, { title: 'Song 4' }],
    );
    await registerHost(t, { port }, {});
    await t.rejects(registerHost(t, { port }, {}), { message: /too-many/ }, 'three peers');
    first.client.destroy();
    second.client.destroy();
    await survivor.survived();
  },
);
