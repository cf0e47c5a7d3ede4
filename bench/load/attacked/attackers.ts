/**
 * A process of clients that break the rules, all at once, until it is told to end; each from an address of its own.
 *
 *     AttackOrder in ─▶ the attacks of its list begin …     'tell' ─▶ AttackReport: how often each was done since it was asked
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { encode } from '../../../protocol/tsp/codec.js';
import { Framer } from '../../../protocol/tsp/framing.js';
import type { Message } from '../../../protocol/tsp/messages.js';
import { addressOf, randomNumbers, range } from '../../../test/support/crowd.js';

export interface AttackOrder {
  readonly port: number;
  readonly attacks: readonly AttackName[];
}

export type AttackReport = Readonly<Record<AttackName, number>>;
export type AttackName = keyof typeof ATTACKS;

const SILENT = 2_000;
const DRIP_MS = 900;
const NOISE_LANES = 64;
const NOISES = 1_024;
const MOST_NOISE_BYTES = 300;
const ASKERS = 4;
const QUESTIONS = 10_000;
const STALLED = 40;
const LISTS_EACH = 40;
const STALLED_MS = 3_000;
const FLOOD_ROWS = 50_000;
const CHURNERS = 4;
/** So many fit into an UPDATE, which is 64 KiB at most. */
const CHURN_ROWS = 250;
const LANE_REST_MS = 50;
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** How often each was done: connections that were shed, answers to all questions, floods, updates. */
const ATTACKS = { silence, noise, questions, stalls, flood, churn };
const done = { silence: 0, noise: 0, questions: 0, stalls: 0, flood: 0, churn: 0 };

let lastAddress = (process.pid % 64) << 16;
let port = 0;

process.on('message', (order: AttackOrder | 'tell') => {
  if (order === 'tell') {
    process.send?.({ ...done });
    for (const name of Object.keys(done) as AttackName[]) done[name] = 0;
    return;
  }
  port = order.port;
  for (const name of order.attacks) ATTACKS[name]();
});

/** Says nothing, or a byte of a header now and then. */
function silence(): void {
  inLanes('silence', SILENT, async lane => {
    const socket = attacker();
    const drip = setInterval(() => {
      if (lane % 2 === 0) socket.write(Buffer.of(0x41));
    }, DRIP_MS);
    await gone(socket);
    clearInterval(drip);
  });
}

function noise(): void {
  const random = randomNumbers(1);
  const noises = range(NOISES).map(index => {
    const bytes = Buffer.from(range(1 + (random() % MOST_NOISE_BYTES)).map(() => random()));
    // Half of them begin with a type that there is, so that the noise gets further in.
    if (index % 2 === 0) bytes[0] = [0x00, 0x01, 0x02, 0x06, 0x40, 0x42, 0x43][random() % 7]!;
    return bytes;
  });
  inLanes('noise', NOISE_LANES, async () => {
    const socket = attacker();
    socket.end(noises[random() % NOISES]!);
    await gone(socket);
  });
}

/** Ten thousand in one write. */
function questions(): void {
  const asked = [encode({ type: 'INFO', song: 1 as never }), encode({ type: 'PING', value: 7 })];
  const all = Buffer.concat(range(QUESTIONS).map(index => asked[index % asked.length]!));
  inLanes('questions', ASKERS, async () => {
    const socket = attacker();
    socket.end(all);
    await gone(socket);
  });
}

/** Ask for the list, forty times, are registered, and take nothing. */
function stalls(): void {
  const lists = range(LISTS_EACH).map(() => encode({ type: 'LIST' }));
  const said = Buffer.concat([encode({ type: 'HELLO', port: 0, hello: { tsp: 1 } }), ...lists]);
  inLanes('stalls', STALLED, async () => {
    const socket = attacker();
    socket.pause().write(said);
    await rest(STALLED_MS);
    socket.destroy();
  });
}

/** Registers with as many songs as a peer may have, leaves when all are answered, and comes back with others. */
function flood(): void {
  let floods = 0;
  inLanes('flood', 1, async () => {
    floods += 1;
    const registration = await register(rowsOf(`flood ${process.pid} ${floods}`, FLOOD_ROWS));
    registration?.socket.end(encode({ type: 'QUIT' }));
    await registration?.over;
  });
}

/** Gives songs other titles, as fast as it is answered. */
function churn(): void {
  inLanes('churn', CHURNERS, async lane => {
    const songs = rowsOf(`churn ${process.pid} ${lane}`, CHURN_ROWS);
    const registration = await register(songs);
    if (registration === undefined) return;
    const { socket, answers, over } = registration;
    for (let round = 1; !socket.destroyed; round += 1) {
      const changes = songs.map(({ hash }) => ({ hash: hash as never, title: `Title ${round}` }));
      socket.write(encode({ type: 'UPDATE', changes }));
      await Promise.race([answers.next('SONG_IDS'), over]);
      done.churn += 1;
    }
  });
}

/** Again and again, in each of so many lanes. */
function inLanes(name: AttackName, lanes: number, attack: (lane: number) => Promise<void>): void {
  for (const lane of range(lanes)) {
    void (async () => {
      for (;;) {
        const began = performance.now();
        await attack(lane);
        if (name !== 'churn') done[name] += 1;
        // What ends at once must not turn in a circle without a turn of the event loop.
        if (name !== 'noise' && performance.now() - began < LANE_REST_MS) await rest(LANE_REST_MS);
      }
    })();
  }
}

const rest = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

function attacker(address = nextAddress()): Socket {
  const socket = connect({ host: '127.0.0.1', port, localAddress: address, allowHalfOpen: true });
  return socket.on('error', () => {});
}

function nextAddress(): string {
  lastAddress += 1;
  return addressOf(lastAddress);
}

function gone(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  socket.resume().once('end', () => socket.destroy());
  return new Promise(resolve => socket.once('close', () => resolve()));
}

const rowsOf = (seed: string, count: number) =>
  range(count).map(index => ({
    hash: createHash('sha256').update(`${seed} ${index}`).digest('hex'),
    title: `Song ${index} of ${seed}`,
    artist: `Artist ${index % 1_000}`,
    duration: 180.5,
    size: 4_000_000 + index,
  }));

interface Registration {
  readonly socket: Socket;
  readonly over: Promise<void>;
  readonly answers: { next(type: string): Promise<void> };
}

/** From an address of its own, proven, up to WELCOME; undefined when the tracker ended it before. */
async function register(rows: readonly object[]): Promise<Registration | undefined> {
  const address = nextAddress();
  const socket = attacker(address);
  const songServer = createServer(dialled => {
    dialled.on('error', () => {});
    take(dialled, message => {
      if (message.type !== 'PING') return;
      const pong = encode({ type: 'PONG', value: message.value });
      dialled.end(pong);
      socket.write(pong);
    });
  });
  await once(songServer.listen(0, address), 'listening');
  const payload = Buffer.from(rows.map(row => `${JSON.stringify(row)}\n`).join(''));
  const waiting = new Map<string, () => void>();
  const next = (type: string): Promise<void> => new Promise(resolve => waiting.set(type, resolve));
  take(socket, message => {
    if (message.type === 'PING') socket.write(encode({ type: 'PONG', value: message.value }));
    else if (message.type === 'LIST')
      socket.write(
        Buffer.concat([encode({ type: 'LIST_INFO', revision: 0, length: payload.length }), payload]),
      );
    waiting.get(message.type)?.();
    waiting.delete(message.type);
  });
  const over = gone(socket);
  const welcome = next('WELCOME').then(() => true);
  const songPort = (songServer.address() as AddressInfo).port;
  socket.write(encode({ type: 'HELLO', port: songPort, hello: { tsp: 1, broadcasts: false } }));
  const isWelcome = await Promise.race([welcome, over.then(() => false)]);
  songServer.close();
  return isWelcome ? { socket, over, answers: { next } } : undefined;
}

/** Hands over each message; of what is read as it comes, its header at its end. */
function take(socket: Socket, receive: (message: Message) => void): void {
  const framer = new Framer({ maxPayloadBytes: MAX_PAYLOAD_BYTES });
  socket.on('data', (chunk: Buffer) => {
    framer.push(chunk);
    for (let event = framer.next(); event !== undefined; event = framer.next()) {
      if (event.kind === 'message') receive(event.message);
      else if (event.kind === 'end') receive(event.header);
    }
  });
}
