/**
 * Listeners that break every rule, at one real `tsp-peer` that hosts: it drips, floods, lies about lengths, asks ten
 * thousand times, vanishes. After each, the same process serves the next listener and holds nothing of the last ones.
 */
import { once } from 'node:events';
import t from 'tap';
import { queueKey, readSendQueues } from '../../peer/hosting/send-queues.js';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { connectFrom, gone, inTurns, randomNumbers, range } from '../support/crowd.js';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { watchSurvivor } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const SONG = mp3Bytes({ seconds: 240, bitrate: 320_000, seed: 1, title: 'Fandango' });
const SHORT = mp3Bytes({ seconds: 0.2, bitrate: 32_000, seed: 2, title: 'Bulería' });

const noQueues = process.platform !== 'linux' && 'only Linux tells what a socket holds';

const network = await openNetwork(t);
const host = await network.host({
  songs: { 'fandango.mp3': SONG, 'bulería.mp3': SHORT },
  args: ['--slots', '0', '--log-level', 'info'],
});
const { port } = host;
const [song, short] = [await network.idOf(SONG), await network.idOf(SHORT)];

/** What an honest listener gets, from an address that nobody misused. */
async function downloads(): Promise<void> {
  const listener = await connectTsp(t, port);
  listener.send({ type: 'PLAY', song });
  const { payload } = await listener.receive('SONG_DATA');
  if (!payload.equals(SONG)) throw new Error('the song came wrong');
  listener.destroy();
}
const survivor = await watchSurvivor(host.command, downloads);

t.test('silence, and headers and payloads that drip, end after their five seconds', async t => {
  const hello = Buffer.concat([Buffer.of(0x40, 0, 0, 0, 0, 0, 0, 0x0f, 0xa0), Buffer.from('{"tsp":1,')]);
  const speeches = [
    { at: 0, bytes: [] },
    { at: 0, bytes: [0x41, 0, 0, 0] },
    { at: 0, bytes: [0x41, 0, 0, 0, 1, 0, 0, 0] },
    { at: 9, bytes: hello },
  ];
  await inTurns([...speeches, ...speeches, ...speeches, ...speeches], 16, async ({ at, bytes }) => {
    const socket = await connectFrom(t, port, 1);
    socket.write(Uint8Array.from(bytes.slice(0, at)));
    const drip = (next: number): void => {
      if (next >= bytes.length || socket.destroyed) return;
      socket.write(Uint8Array.of(bytes[next]!), () => setTimeout(drip, 600, next + 1));
    };
    drip(at);
    const [answer] = await once(socket, 'data');
    t.match(answer.toString('latin1'), /"too-slow"/);
    await gone(socket);
  });
  await survivor.survived();
});

t.test('every type with odd IDs and odd payloads is answered, skipped or refused, never fatal', async t => {
  const ids = [0, 1, song, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff];
  const u64 = (n: bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(n);
    return bytes;
  };
  const payloads: readonly Buffer[] = [
    Buffer.alloc(0),
    Buffer.of(0xff),
    Buffer.of(6),
    Buffer.concat([u64(0n), u64(1n)]),
    Buffer.concat([u64(2n ** 64n - 1n), u64(2n ** 64n - 1n)]),
    Buffer.concat([u64(5n), u64(2n ** 63n), Buffer.alloc(32, 0xab)]),
    Buffer.from(JSON.stringify({ tsp: 1, agent: {}, since: 7, name: '\u202e\0\ud800' })),
    Buffer.from('['.repeat(4_096)),
    Buffer.alloc(4_096, 0xc0),
  ];
  const cases = range(256).flatMap(type => payloads.map(payload => ({ type, payload })));
  const seen = new Map<string, number>();
  await inTurns(cases, 32, async ({ type, payload }) => {
    const socket = await connectFrom(t, port, 2 + (type << 4) + (payload.length & 0xf));
    const answers = new Framer({ maxPayloadBytes: 64 * 1024 * 1024 });
    socket.on('data', chunk => {
      answers.push(chunk);
      for (let event = answers.next(); event !== undefined; event = answers.next()) {
        if (event.kind === 'unknown') throw new Error(`the host said ${event.type}`);
        const what = event.kind === 'message' ? event.message.type : event.kind;
        seen.set(what, (seen.get(what) ?? 0) + 1);
      }
    });
    const messages = ids.map(id => {
      const head = Buffer.alloc(9);
      head[0] = type;
      head.writeUInt32BE(id, 1);
      head.writeUInt32BE(payload.length, 5);
      return Buffer.concat([head.subarray(0, type < 0x40 ? 5 : 9), payload]);
    });
    socket.end(Buffer.concat(messages));
    await gone(socket);
    answers.end();
  });
  for (const what of ['PONG', 'ERROR', 'WELCOME', 'stream']) t.ok(seen.has(what), `${what} was said`);
  await survivor.survived();
});

t.test('a length past the limit is refused before a byte of the payload has come', async t => {
  for (const [type, length] of [
    [0x40, 4_097],
    [0x41, 0xffff_ffff],
    [0x43, 65_537],
    [0x5a, 0x8000_0000],
    [0x81, 0xffff_ffff],
    [0x83, 0xffff_ffff],
    [0xc3, 4_097],
    [0xff, 0x0100_0000],
  ] as const) {
    const client = await connectTsp(t, port);
    const head = Buffer.alloc(9);
    head[0] = type;
    head.writeUInt32BE(length, 5);
    client.write(head);
    t.match((await client.receive('ERROR')).error.code, /^(too-large|bad-message)$/, `type ${type}`);
    client.end();
    await client.closed;
  }
  await survivor.survived();
});

t.test(
  'noise on three thousand connections, while an honest listener gets its song byte for byte',
  async t => {
    let isNoisy = true;
    const honest = (async () => {
      let songs = 0;
      for (; isNoisy; songs += 1) await downloads();
      return songs;
    })();
    await inTurns(range(3_000), 64, async index => {
      const random = randomNumbers(index);
      const socket = await connectFrom(t, port, 10_000 + index);
      const noise = Buffer.from(range(1 + (random() % 300)).map(() => random()));
      // Half of them begin with a type that there is, so that the noise gets further in.
      if (index % 2 === 0) noise[0] = [0x01, 0x02, 0x03, 0x06, 0x40, 0x41, 0x44][random() % 7]!;
      if (index % 3 === 0) socket.write(noise, () => socket.resetAndDestroy());
      else socket.end(noise);
      await gone(socket);
    });
    isNoisy = false;
    t.ok((await honest) > 0);
    await survivor.survived();
  },
);

t.test('ten thousand PLAY in one write are answered, all of them, in turn', async t => {
  const nobodys = 999_999 as SongId;
  const asked = range(10_000).map(index => (index % 3 === 2 ? nobodys : short));
  const socket = await connectFrom(t, port, 3);
  const answers = new Framer({ maxPayloadBytes: SHORT.length });
  const got: SongId[] = [];
  let right = 0;
  socket.on('data', chunk => {
    answers.push(chunk);
    for (let event = answers.next(); event !== undefined; event = answers.next()) {
      if (event.kind === 'stream') {
        got.push(short);
        right = 0;
      } else if (event.kind === 'data') {
        if (!SHORT.subarray(right, right + event.bytes.length).equals(event.bytes)) t.fail('foreign bytes');
        right += event.bytes.length;
      } else if (event.kind === 'message' && event.message.type === 'ERROR') got.push(nobodys);
    }
  });
  socket.write(Buffer.concat(asked.map(id => encode({ type: 'PLAY', song: id }))));
  await until('all answers', () => got.length === asked.length && right === SHORT.length);
  t.same(got, asked);
  socket.destroy();
  await survivor.survived();
});

t.test('STOP behind a full socket is heard, and what was queued is dropped', { skip: noQueues }, async t => {
  await inTurns(range(20), 20, async index => {
    const socket = await connectFrom(t, port, 4 + index);
    socket.pause();
    const play = encode({ type: 'PLAY', song });
    socket.write(Buffer.concat([play, play, play]));
    const key = queueKey({ localPort: port, remotePort: socket.localPort! });
    await until('the kernel holds what the listener does not take', async () => {
      return ((await readSendQueues()).get(key) ?? 0) > 0;
    });
    socket.write(encode({ type: 'STOP', song: 0 }));
    await gone(socket);
    t.ok(socket.bytesRead < 3 * SONG.length, 'it ended before all was sent');
  });
  await survivor.survived();
});

t.test('listeners that vanish at any point of a song leave nothing behind', async t => {
  const random = randomNumbers(7);
  const points = [0, 1, 8, 9, 10, SONG.length - 1, ...range(194).map(() => random() % SONG.length)];
  await inTurns(points, 16, async point => {
    const socket = await connectFrom(t, port, 5 + (point % 40));
    socket.write(encode({ type: 'PLAY', song }));
    socket.on('data', () => {
      if (socket.bytesRead < point) return;
      if (point % 2 === 0) socket.resetAndDestroy();
      else socket.destroy();
    });
    if (point === 0) socket.resetAndDestroy();
    await gone(socket);
  });
  await survivor.survived();
});
