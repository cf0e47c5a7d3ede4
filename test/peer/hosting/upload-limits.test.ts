/**
 * The song server's limits over real sockets: slots, deadlines, listeners that take nothing, addresses, rates, stopping.
 * Time that would be long is a virtual clock's.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { queueKey, readSendQueues } from '../../../peer/hosting/send-queues.js';
import type { SongServer } from '../../../peer/hosting/song-server.js';
import { TransportError } from '../../../protocol/errors.js';
import { asId, hostSongs, isOver, MIB, over, play, songBytes } from '../../support/hosted-songs.js';
import { connectTsp, type TspClient } from '../../support/tsp-client.js';
import { until } from '../../support/until.js';
import { VirtualClock } from '../../support/virtual-clock.js';

t.test('STOP behind a full socket closes the connection and frees the slot', async t => {
  const host = await hostSongs(t, { 1: songBytes(24 * MIB) }, { slots: 1, cacheBytes: 32 * MIB });
  const client = await connectTsp(t, host.port);
  client.socket.pause();
  client.send(play(1));
  await until('the slot is taken', () => host.server.status().uploads === 1);
  client.send({ type: 'STOP', song: 0 });
  await until('the slot is free', () => host.server.status().uploads === 0);
  client.socket.resume();
  await over(client);
  t.equal(host.server.status().connections, 0);
});

t.test('slots: busy when all are taken, free when the connection ends or asks no song for 10 s', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(1_000) }, { slots: 1, clock });
  const [first, second] = [await connectTsp(t, host.port), await connectTsp(t, host.port)];
  first.send(play(1));
  await first.receive('SONG_DATA');
  second.send(play(1), { type: 'LIST' }, { type: 'HASHES', song: asId(1), level: 6 });
  t.match(await second.receive('ERROR'), {
    error: { code: 'busy', type: 0x03, retryAfterMs: Number, message: /one upload slot/ },
  });
  await second.receive('LIST_INFO');
  await second.receive('HASH_LIST');
  clock.advance(10_250);
  second.send(play(1));
  await second.receive('SONG_DATA');
  first.send(play(1));
  t.match(await first.receive('ERROR'), { error: { code: 'busy' } });
  second.destroy('reset');
  await until('the slot is free', () => host.server.status().uploads === 0);
  first.send(play(1));
  await first.receive('SONG_DATA');
});

t.test('a song that comes through its swarm, too, needs one slot for both', async t => {
  const host = await hostSongs(t, { 1: songBytes(1_000), 2: songBytes(2_000) }, { slots: 1 });
  const { slots } = host.server.uploads;
  const channel = { to: '127.0.0.1', song: host.songs.get(1)!.hash, way: 'channel' } as const;
  t.ok(slots.take(0, channel));
  const client = await connectTsp(t, host.port);
  client.send(play(2));
  t.match(await client.receive('ERROR'), { error: { code: 'busy' } });
  client.send(play(1));
  await client.receive('SONG_DATA');
  t.equal(slots.used, 1);
  client.send(play(2));
  await client.receive('SONG_DATA');
  t.equal(slots.used, 1, 'it had a slot already');
  slots.release(channel);
  client.destroy('reset');
  await until('the slot is free', () => slots.used === 0);
});

t.test('deadlines: a slow header, an idle connection', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, {}, { clock });
  const silent = await connectTsp(t, host.port);
  const dripping = await connectTsp(t, host.port);
  const idle = await connectTsp(t, host.port);
  idle.send({ type: 'PING', value: 1 });
  await idle.receive('PONG');
  dripping.write('\x40\0');
  await until('all are accepted', () => host.server.status().connections === 3);
  await until('the drip has come', async () => {
    clock.advance(250);
    return clock.now() >= 5_250;
  });
  t.match(await silent.next(), { type: 'ERROR', error: { code: 'too-slow' } });
  t.match(await dripping.next(), { type: 'ERROR', error: { code: 'too-slow' } });
  clock.advance(1_250);
  await until('a second later both are gone', () => host.server.status().connections === 1);
  clock.advance(60_000);
  await over(idle);
});

t.test('a listener that takes nothing is dropped after 60 s; one that takes a little is not', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(24 * MIB) }, { clock, cacheBytes: 32 * MIB });
  const [stuck, slow] = [await connectTsp(t, host.port), await connectTsp(t, host.port)];
  for (const client of [stuck, slow]) {
    client.socket.pause();
    client.send(play(1));
  }
  await until('both are sent to', () => host.server.status().uploads === 2);
  await until('the stuck one is dropped', async () => {
    await takeSome(slow.socket, 256 * 1024);
    await clock.advanceSlowly(5_000);
    return host.server.status().uploads === 1;
  });
  t.ok(clock.now() >= 60_000);
  await forgotten(host.port, stuck);
  await takeSome(slow.socket, 2 * MIB);
  t.equal(host.server.status().uploads, 1);
  slow.destroy();
  stuck.destroy();
});

t.test('while others wait for its slot, a listener that takes nothing is dropped after 10 s', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(24 * MIB) }, { clock, slots: 1, cacheBytes: 32 * MIB });
  const [stuck, waiting] = [await connectTsp(t, host.port), await connectTsp(t, host.port)];
  stuck.socket.pause();
  stuck.send(play(1));
  await until('the slot is taken', () => host.server.status().uploads === 1);
  const began = clock.now();
  await until('the slot is free', async () => {
    waiting.send({ type: 'RANGE', song: asId(1), offset: 0, count: 9 });
    const answer = await waiting.next();
    if (answer.type === 'SONG_DATA') return true;
    t.match(answer, { error: { code: 'busy' } });
    await clock.advanceSlowly(1_000);
    return false;
  });
  t.ok(clock.now() - began >= 10_000);
  t.ok(clock.now() - began < 30_000, 'well before the minute');
  stuck.destroy();
});

async function takeSome(socket: Socket, bytes: number): Promise<void> {
  const enough = socket.bytesRead + bytes;
  while (socket.bytesRead < enough) {
    socket.resume();
    await once(socket, 'data');
    socket.pause();
  }
}

t.test('slow listeners cost no memory of their own', async t => {
  const bytes = songBytes(8 * MIB);
  const host = await hostSongs(t, { 1: bytes }, { cacheBytes: 8 * MIB });
  const clients = await Promise.all(Array.from({ length: 50 }, () => connectTsp(t, host.port)));
  for (const client of clients) {
    client.socket.pause();
    client.send(play(1));
  }
  await until('all are sent to', () => host.server.status().uploads === 50);
  t.ok(host.server.status().cachedBytes <= 8 * MIB);
  for (const client of clients) client.destroy();
  await until('all are gone', () => host.server.status().connections === 0);
});

t.test('a listener that resets or leaves in the middle harms nobody', async t => {
  const bytes = songBytes(8 * MIB);
  const host = await hostSongs(t, { 1: bytes }, { slots: 20 });
  for (let round = 0; round < 20; round++) {
    const client = await connectTsp(t, host.port);
    client.send(play(1), play(1));
    await once(client.socket, 'data');
    client.destroy(round % 2 === 0 ? 'reset' : 'close');
  }
  await until('every slot is free', () => host.server.status().uploads === 0);
  const client = await connectTsp(t, host.port);
  client.send(play(1));
  t.ok((await client.receive('SONG_DATA')).payload.equals(bytes));
  t.strictSame(host.logger.messages('error'), []);
});

t.test(
  '500 connections at once from one address: 40 are admitted, the rest is told why or closed',
  async t => {
    const host = await hostSongs(
      t,
      { 1: songBytes(1_000) },
      { maxPerAddress: 64, clock: new VirtualClock() },
    );
    const outcomes = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const client = await connectTsp(t, host.port);
        client.send({ type: 'PING', value: 1 });
        try {
          const answer = await client.next();
          return answer.type === 'ERROR' ? answer.error.code : answer.type;
        } catch {
          return 'closed';
        }
      }),
    );
    const count = (what: string) => outcomes.filter(outcome => outcome === what).length;
    t.equal(count('PONG'), 40);
    t.ok(count('too-many') > 0);
    t.equal(count('PONG') + count('too-many') + count('closed'), 500);
  },
);

t.test('connections that say nothing are at most a quarter; the oldest makes room', async t => {
  const host = await hostSongs(t, {}, { maxConnections: 40 });
  const talking = await connectTsp(t, host.port);
  talking.send({ type: 'PING', value: 1 });
  await talking.receive('PONG');
  const silent: TspClient[] = [];
  for (let i = 0; i < 15; i++) silent.push(await connectTsp(t, host.port));
  await until('five of the silent ones are closed', () => silent.filter(isOver).length === 5);
  t.equal(host.server.status().connections, 11);
  t.ok(silent.slice(0, 5).every(isOver), 'the oldest');
});

t.test('--max-upload holds for all listeners together, and shares in turn', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(4 * MIB) }, { clock, maxUploadBytesPerSecond: 100_000 });
  const clients = await Promise.all([1, 2, 3, 4].map(() => connectTsp(t, host.port)));
  for (const client of clients) client.send(play(1));
  for (let sent = 25_000; sent < 425_000; sent += 5_000) {
    await until('what the rate allows is out', () => host.server.status().sentBytes === sent);
    clock.advance(49);
    t.equal(host.server.status().sentBytes, sent, 'and not more');
    clock.advance(1);
  }
  const shares = (): number[] => clients.map(client => client.socket.bytesRead);
  await until('all that is out has come', () => shares().reduce((sum, share) => sum + share) >= 425_000);
  t.ok(Math.max(...shares()) - Math.min(...shares()) <= 2 * 5_000 + 9, `${shares()}`);
  for (const client of clients) client.destroy('reset');
});

t.test('stop lets a song that is being sent come whole, and closes the idle at once', async t => {
  const bytes = songBytes(12 * MIB);
  const host = await hostSongs(t, { 1: bytes });
  const [busy, idle] = [await connectTsp(t, host.port), await connectTsp(t, host.port)];
  idle.send({ type: 'PING', value: 1 });
  await idle.receive('PONG');
  busy.send(play(1));
  await once(busy.socket, 'data');
  const stopped = host.server.stop();
  await over(idle);
  idle.destroy();
  t.ok((await busy.receive('SONG_DATA')).payload.equals(bytes));
  busy.destroy();
  await stopped;
  t.equal(host.server.status().connections, 0);
  const late = connect({ host: '127.0.0.1', port: host.port });
  await t.rejects(once(late, 'connect'), { code: 'ECONNREFUSED' });
});

t.test('stop waits ten seconds for a listener that takes nothing, no longer', async t => {
  const clock = new VirtualClock();
  const host = await hostSongs(t, { 1: songBytes(24 * MIB) }, { clock });
  const client = await connectTsp(t, host.port);
  client.socket.pause();
  client.send(play(1));
  await until('it is sent to', () => host.server.status().uploads === 1);
  const stopped = host.server.stop();
  await clock.advanceSlowly(9_999);
  t.equal(host.server.status().connections, 1);
  await clock.advanceSlowly(1);
  await stopped;
  t.equal(host.server.status().connections, 0);
});

/** A connection that was reset is nothing to the kernel; one that was ended, which keeps what the other side did not take. */
async function forgotten(port: number, { socket }: TspClient): Promise<void> {
  if (process.platform !== 'linux') return;
  const key = queueKey({ localPort: port, remotePort: socket.localPort! });
  await until('the kernel has nothing left for it', async () => !(await readSendQueues()).has(key));
}

t.test(
  'without a port it listens on 7461 or else a free one; a given port that is taken is an error',
  async t => {
    const servers: SongServer[] = [];
    t.teardown(() => Promise.all(servers.map(server => server.stop())));
    const make = async () => {
      const { server } = await hostSongs(t);
      await server.stop();
      servers.push(server);
      return server;
    };
    const [first, second] = [await make(), await make()];
    const one = await first.start();
    const two = await second.start();
    t.not(one.port, two.port);
    t.ok(one.port === 7461 || two.port !== 7461);
    await t.rejects((await make()).start({ port: two.port }), TransportError);
    const client = await connectTsp(t, two.port);
    client.send({ type: 'PING', value: 3 });
    await client.receive('PONG');
  },
);

t.test('a stopped server can be stopped again', async t => {
  const host = await hostSongs(t);
  await host.server.stop();
  await t.resolves(host.server.stop());
});
