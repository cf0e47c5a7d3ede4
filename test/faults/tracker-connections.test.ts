/**
 * Clients that break every rule, at one real `tsp-tracker`: they drip, flood, lie about lengths, ask ten thousand times,
 * take nothing, vanish. After each, the same process serves the next client and holds nothing of the last ones.
 */
import t from 'tap';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import { connectFrom, gone, randomNumbers, range } from '../support/crowd.js';
import { messageOf, RuleBreakers } from '../support/rule-breakers.js';
import { spawnCommand } from '../support/spawn-command.js';
import { watchSurvivor } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { registerHost, song } from '../tracker/tracker-fixture.js';

const SONGS = 2_000;
/** A connection has 16 requests open at most, so this many questions at once make it stop reading many times. */
const QUESTIONS = 10_000;
const MAX_LIST_BYTES = 64 * 1024 * 1024;

const tracker = await spawnCommand(t, 'tsp-tracker', ['--host', '127.0.0.1', '--port', '0']);
const { port } = await tracker.ready();
const host = await registerHost(t, { port }, { songs: range(SONGS).map(n => song(n)) });
const id = host.idOf(1);

/** What an honest client gets, from an address that nobody misused; the host says that it is still there. */
async function asks(): Promise<void> {
  host.client.send({ type: 'PING', value: 0 });
  const socket = await connectFrom(t, port, 60_000);
  const answers = new Framer({ maxPayloadBytes: MAX_LIST_BYTES });
  const seen: string[] = [];
  socket.on('data', chunk => {
    answers.push(chunk);
    for (let event = answers.next(); event !== undefined; event = answers.next())
      if (event.kind === 'stream') seen.push(event.header.type);
      else if (event.kind === 'message') seen.push(event.message.type);
  });
  socket.end(Buffer.concat([encode({ type: 'LIST' }), encode({ type: 'INFO', song: id })]));
  await gone(socket);
  if (seen.join() !== 'LIST_INFO,SONG_INFO') throw new Error(`an honest client got ${seen.join()}`);
  if (host.client.ended) throw new Error('the honest host was sent away');
}
const survivor = await watchSurvivor(tracker, asks);

t.test('silence, and headers and payloads that drip, end after their five seconds', async t => {
  for (const told of await new RuleBreakers(t, port).drip(0x42)) t.match(told, /"too-slow"/);
  await survivor.survived();
});

t.test('every type with odd IDs and odd payloads is answered, skipped or refused, never fatal', async t => {
  const ids = [0, 1, id, 0x7fff_ffff, 0xffff_fffe, 0xffff_ffff];
  const payloads: readonly Buffer[] = [
    Buffer.alloc(0),
    Buffer.of(0xff),
    Buffer.alloc(16, 0xff),
    Buffer.concat([Buffer.alloc(16), Buffer.alloc(32, 0xab)]),
    Buffer.from(
      JSON.stringify({ tsp: 1, agent: {}, since: 7, advertise: [{}, '::'], name: '\u202e\0\ud800' }),
    ),
    Buffer.from('{"hash":"__proto__"}\n{"gone":1}\n'),
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

t.test('noise on three thousand connections, while an honest client is served without an error', async t => {
  let isNoisy = true;
  const honest = (async () => {
    let answered = 0;
    const client = await connectTsp(t, port);
    for (; isNoisy; answered += 1) {
      client.send({ type: 'INFO', song: id });
      await client.receive('SONG_INFO');
    }
    client.destroy();
    return answered;
  })();
  await new RuleBreakers(t, port).makeNoise(3_000);
  isNoisy = false;
  t.ok((await honest) > 0);
  await survivor.survived();
});

t.test('ten thousand questions in one write are answered, all of them, in turn', async t => {
  const socket = await connectFrom(t, port, 3);
  const answers = new Framer({ maxPayloadBytes: MAX_LIST_BYTES });
  const got: string[] = [];
  socket.on('data', chunk => {
    answers.push(chunk);
    for (let event = answers.next(); event !== undefined; event = answers.next())
      if (event.kind === 'stream') got.push(event.header.type);
      else if (event.kind === 'message') got.push(event.message.type);
  });
  const nobodys = encode({ type: 'INFO', song: 999_999 as typeof id });
  const questions = [encode({ type: 'INFO', song: id }), nobodys, encode({ type: 'PING', value: 7 })];
  const answered = ['SONG_INFO', 'ERROR', 'PONG'];
  socket.end(Buffer.concat(range(QUESTIONS).map(index => questions[index % 3]!)));
  await gone(socket);
  t.same(
    got,
    range(QUESTIONS).map(index => answered[index % 3]),
  );
  await survivor.survived();
});

t.test('clients that vanish at any point of a list leave nothing behind', async t => {
  const random = randomNumbers(7);
  const points = [0, 1, 8, 9, 10, ...range(195).map(() => random() % 200_000)];
  await new RuleBreakers(t, port).vanish(encode({ type: 'LIST' }), points);
  await survivor.survived();
});

t.test('500 connections from one address are cut at its limit, and other addresses are served', async t => {
  let served = 0;
  let refused = 0;
  const sockets = await Promise.all(range(500).map(() => connectFrom(t, port, 50_000)));
  for (const socket of sockets) {
    socket.once('data', (answer: Buffer) => {
      if (answer.includes('"too-many"')) refused += 1;
      else served += 1;
    });
    socket.write(encode({ type: 'PING', value: 1 }));
  }
  await asks();
  const cut = (): number => sockets.filter(socket => socket.closed || socket.readableEnded).length;
  await until('each was served or sent away', () => served + Math.max(refused, cut()) >= sockets.length);
  t.ok(served > 0 && served <= 64, `${served} were served`);
  await asks();
  for (const socket of sockets) socket.destroy();
  await survivor.survived();
});

t.test('readers that stall hold up nobody: the others hear of each change', async t => {
  const stalled = await Promise.all(range(40).map(index => connectFrom(t, port, 51_000 + index)));
  for (const socket of stalled) {
    socket.pause();
    const hello = Buffer.from('{"tsp":1}');
    socket.write(messageOf(0x40, 0, hello));
    socket.write(Buffer.concat(range(40).map(() => encode({ type: 'LIST' }))));
  }
  const healthy = await connectTsp(t, port);
  healthy.send({ type: 'HELLO', port: 0, hello: { tsp: 1 } });
  await healthy.await('BROADCAST_LIST');
  for (const round of range(10)) {
    const { hash } = song(1);
    const payload = Buffer.from(`${JSON.stringify({ hash, title: `Retitled ${round}` })}\n`);
    host.client.write(messageOf(0x43, 0, payload));
    await healthy.await('BROADCAST_LIST', ({ rows }) => rows.some(row => row.title === `Retitled ${round}`));
  }
  for (const socket of stalled) socket.destroy();
  healthy.destroy();
  await survivor.survived();
});
