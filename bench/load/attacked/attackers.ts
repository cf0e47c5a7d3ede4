/**
 * A process of clients that break the rules, until it is told to end; each connection from an address of its own unless
 * sharing one is the attack.
 *
 *     AttackOrder in ─▶ the attacks of its list begin …     'tell' ─▶ AttackReport: how often each was done since it was asked
 *
 * It is written to cost little, because on the machine that is measured an attacker's work takes the tracker's time:
 * what is said is made once, and what is answered is read into one buffer and forgotten.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';
import { encode } from '../../../protocol/tsp/codec.js';
import { addressOf, randomNumbers, range } from '../../../test/support/crowd.js';
import { register } from './registration.js';
import { churnedRows, floodRows } from './rows.js';

export interface AttackOrder {
  readonly port: number;
  readonly attacks: readonly AttackName[];
}

export type AttackReport = Readonly<Partial<Record<AttackName, number>>>;
export type AttackName = keyof typeof ATTACKS;

const SILENT = 2_000;
const DRIP_MS = 900;
const NOISE_LANES = 64;
const NOISES = 1_024;
const MOST_NOISE_BYTES = 300;
const CROWD = 500;
const CROWD_BACK_MS = 1_000;
const ASKERS = 4;
const QUESTIONS = 10_000;
const RESETTERS = 16;
const MOST_READ_BEFORE_RESET = 200_000;
const STALLED = 40;
const LISTS_EACH = 40;
const STALLED_MS = 3_000;
const FLOOD_ROWS = 50_000;
const CHURNERS = 4;
/** So many fit into an UPDATE, which is 64 KiB at most. */
const CHURN_ROWS = 250;
const LANE_REST_MS = 50;
const READ_BYTES = 64 * 1024;

const ATTACKS = { silence, noise, crowd, questions, resets, stalls, flood, churn };
/** How often each was done: connections that were shed, answers to all questions, floods, updates. */
const done: Partial<Record<AttackName, number>> = {};

let lastAddress = (process.pid % 64) << 16;
let port = 0;

process.on('message', (order: AttackOrder | 'tell') => {
  if (order === 'tell') {
    process.send?.({ ...done });
    for (const name of Object.keys(done) as AttackName[]) done[name] = 0;
    return;
  }
  port = order.port;
  for (const name of order.attacks) {
    done[name] = 0;
    ATTACKS[name]();
  }
});
process.on('disconnect', () => process.exit());

/** Says nothing, or a byte of a header now and then. */
function silence(): void {
  inLanes('silence', SILENT, async lane => {
    const socket = attacker();
    const drip = setInterval(() => {
      if (lane % 2 === 0) socket.write(DRIP);
    }, DRIP_MS);
    await gone(socket);
    clearInterval(drip);
  });
}
const DRIP = Buffer.of(0x41);

/** As many connections as it can make, each with nonsense. */
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

/** Five hundred from one address, each again a second after it was sent away. */
function crowd(): void {
  const address = nextAddress();
  inLanes('crowd', CROWD, async () => {
    await rest(CROWD_BACK_MS * (0.5 + Math.random()));
    await gone(attacker(address));
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

/** Ask for lists, and reset the connection somewhere in them. */
function resets(): void {
  const random = randomNumbers(2);
  const lists = Buffer.concat(range(LISTS_EACH).map(() => encode({ type: 'LIST' })));
  inLanes('resets', RESETTERS, async () => {
    const most = random() % MOST_READ_BEFORE_RESET;
    const socket = attacker(nextAddress(), () => {
      if (socket.bytesRead >= most) socket.resetAndDestroy();
    });
    socket.end(lists);
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
    const registration = await register(port, nextAddress(), floodRows(floods, FLOOD_ROWS));
    registration?.socket.end(encode({ type: 'QUIT' }));
    await registration?.over;
  });
}

/** Gives songs other titles, as fast as it is answered. */
function churn(): void {
  inLanes('churn', CHURNERS, async lane => {
    const rows = churnedRows(lane, CHURN_ROWS);
    const registration = await register(port, nextAddress(), rows.payload(0));
    if (registration === undefined) return;
    const { socket, next, over } = registration;
    for (let round = 1; !socket.destroyed; round += 1) {
      socket.write(rows.update(round));
      await Promise.race([next('SONG_IDS'), over]);
      done.churn! += 1;
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
        if (name !== 'churn') done[name]! += 1;
        // What ends at once must not turn in a circle without a turn of the event loop.
        if (name !== 'noise' && performance.now() - began < LANE_REST_MS) await rest(LANE_REST_MS);
      }
    })();
  }
}

/** Whatever is answered is read into the same place. */
const rubbish = Buffer.alloc(READ_BYTES);

function attacker(localAddress = nextAddress(), read?: () => void): Socket {
  const callback = (): boolean => {
    read?.();
    return true;
  };
  const onread = { buffer: rubbish, callback };
  const socket = connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true, onread });
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
