/**
 * Listeners that break every rule, at one real `tsp-peer` that hosts: it drips, floods, lies about lengths, asks ten
 * thousand times, vanishes. After each, the same process serves the next listener and holds nothing of the last ones.
 */
import t from 'tap';
import { queueKey, readSendQueues } from '../../peer/hosting/send-queues.js';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { connectFrom, gone, inTurns, randomNumbers, range } from '../support/crowd.js';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork } from '../support/network.js';
import { noProc } from '../support/proc.js';
import { RuleBreakers } from '../support/rule-breakers.js';
import { watchSurvivor } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';

const SONG = mp3Bytes({ seconds: 240, bitrate: 320_000, seed: 1, title: 'Fandango' });
const SHORT = mp3Bytes({ seconds: 0.2, bitrate: 32_000, seed: 2, title: 'Bulería' });

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
  for (const told of await new RuleBreakers(t, port).drip(0x41)) t.match(told, /"too-slow"/);
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
  const heard = await new RuleBreakers(t, port).sayEverything(ids, payloads);
  for (const what of ['PONG', 'ERROR', 'WELCOME', 'stream']) t.ok(heard.has(what), `${what} was said`);
  await survivor.survived();
});

t.test('a length past the limit is refused before a byte of the payload has come', async t => {
  for (const [type, told] of await new RuleBreakers(t, port).announceTooMuch())
    t.match(told, /"(too-large|bad-message)"/, `type ${type}`);
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
    await new RuleBreakers(t, port).makeNoise(3_000);
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

t.test('STOP behind a full socket is heard, and what was queued is dropped', { skip: noProc }, async t => {
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
  await new RuleBreakers(t, port).vanish(encode({ type: 'PLAY', song }), points);
  await survivor.survived();
});
