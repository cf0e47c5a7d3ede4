/**
 * Thousands of light peers in one process. They register at a tracker, or subscribe to a Redis channel, and say when a
 * message was whole.
 *
 *     fork ─▶ { do: 'prepare' … } ─▶ {}     { do: 'register' … } ─▶ { seconds }
 *             { do: 'await', … } ─▶ { at: […] }, nanoseconds of the one clock
 */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { encode } from '../../protocol/tsp/codec.js';
import { addressOf } from '../../test/support/crowd.js';
import { LightHost, listOf, openPeer } from './light-peer.js';

/** Over IPC, from `bench/tracker.ts`. */
export type ClientTask =
  /** Song servers and lists of peers `first` …, as peers have them before they register. */
  | { readonly do: 'prepare'; readonly first: number; readonly count: number; readonly songs: number }
  /** Peers `first` …, prepared with so many songs each; those without songs only listen, and are told of every change. */
  | {
      readonly do: 'register';
      readonly port: number;
      readonly first: number;
      readonly count: number;
    }
  | { readonly do: 'subscribe'; readonly port: number; readonly count: number }
  /** Answers when each has had one more broadcast. */
  | { readonly do: 'await' }
  | { readonly do: 'close' };

export interface ClientAnswer {
  readonly seconds?: number;
  /** When each client had the message, in nanoseconds of the system's monotonic clock. */
  readonly at?: readonly number[];
  /** Its length on the wire. */
  readonly bytes?: number;
}

/** Registrations under way at a time. With as few as one write to the disk takes along, all of them would wait for it. */
const IN_FLIGHT = 1_000;
export const CHANNEL = 'list';
/** What a peer without songs says first. */
const LISTENER = encode({ type: 'HELLO', port: 0, hello: { tsp: 1, broadcasts: true } });

interface Client {
  readonly socket: Socket;
  ready(): void;
  broadcast(at: number, bytes: number): void;
}

/** What a peer has before it registers. */
interface Prepared {
  readonly host: LightHost;
  readonly hello: Buffer;
  readonly list: Buffer;
}

const clients: Client[] = [];
const prepared = new Map<number, Prepared>();
/** Of those who have registered: closed when nothing is measured. */
const reached: LightHost[] = [];

process.on('message', async (task: ClientTask) => {
  const begun = performance.now();
  if (task.do === 'prepare') {
    for (const host of reached.splice(0)) host.close();
    await inTurn(task.count, index => prepare(task.first + index, task.songs));
    answer({});
  } else if (task.do === 'register') {
    await inTurn(task.count, index => register(task.port, task.first + index));
    answer({ seconds: (performance.now() - begun) / 1_000 });
  } else if (task.do === 'subscribe') {
    await inTurn(task.count, index => subscribe(task.port, index));
    answer({});
  } else if (task.do === 'await') {
    answer(await nextBroadcast());
  } else {
    for (const { socket } of clients.splice(0)) socket.destroy();
    answer({});
  }
});

function answer(what: ClientAnswer): void {
  process.send!(what);
}

/** `count` times `work`, IN_FLIGHT at a time. */
async function inTurn(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

/** When all have had one more. */
function nextBroadcast(): Promise<ClientAnswer> {
  const at: number[] = [];
  let left = clients.length;
  return new Promise(resolve => {
    for (const [index, client] of clients.entries())
      client.broadcast = (when, bytes) => {
        client.broadcast = () => {};
        at[index] = when;
        left -= 1;
        if (left === 0) resolve({ at, bytes });
      };
  });
}

async function prepare(index: number, songs: number): Promise<void> {
  const host = await LightHost.listen(index);
  const hello = encode({ type: 'HELLO', port: host.port, hello: { tsp: 1, broadcasts: false } });
  const offers = Array.from({ length: songs }, (_, song) => offer(index, song));
  prepared.set(index, { host, hello, list: listOf(offers) });
}

/** Resolves when SONG_IDS came: proven, listed, durable; for a listener with WELCOME and its first list. */
async function register(port: number, index: number): Promise<void> {
  const peer = prepared.get(index);
  prepared.delete(index);
  let broadcastBytes = 0;
  await new Promise<void>((resolve, reject) => {
    const socket = openPeer(port, index, peer?.hello ?? LISTENER, peer ?? {}, event => {
      if (event.kind === 'stream') broadcastBytes = 9 + event.header.length;
      else if (event.kind === 'message' && event.message.type === 'ERROR')
        reject(new Error(JSON.stringify(event.message.error)));
      else if (event.kind === 'end') {
        if (event.header.type === 'SONG_IDS') client.ready();
        if (event.header.type !== 'BROADCAST_LIST') return;
        if (peer === undefined) client.ready();
        client.broadcast(Number(process.hrtime.bigint()), broadcastBytes);
      }
    });
    const client: Client = { socket, ready: resolve, broadcast() {} };
    clients.push(client);
    socket.once('error', reject);
  });
  if (peer !== undefined) reached.push(peer.host);
}

/** As much as a usual song says. */
const offer = (peer: number, song: number) => ({
  hash: createHash('sha256').update(`${peer} ${song}`).digest('hex'),
  title: `A title as long as many are, number ${song}`,
  artist: `The Artists of Peer ${peer}`,
  album: `Album ${song >> 3}`,
  duration: 187_000 + song,
  size: 4_100_000 + song,
  bitrate: 192_000,
});

/** RESP: three bulk strings a message. */
function subscribe(port: number, index: number): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: addressOf(index), noDelay: true });
  return new Promise((resolve, reject) => {
    const client: Client = { socket, ready: resolve, broadcast() {} };
    clients.push(client);
    socket.once('error', reject);
    socket.write(`SUBSCRIBE ${CHANNEL}\r\n`);
    let isSubscribed = false;
    let owed = 0;
    let length = 0;
    socket.on('data', chunk => {
      if (!isSubscribed) {
        if (chunk[0] === '-'.charCodeAt(0)) reject(new Error(chunk.toString()));
        isSubscribed = true;
        client.ready();
        return;
      }
      if (owed === 0) {
        const head = /^\*3\r\n\$7\r\nmessage\r\n\$\d+\r\n.*\r\n\$(\d+)\r\n/.exec(
          chunk.subarray(0, 100).toString('latin1'),
        )!;
        owed = length = head[0].length + Number(head[1]) + 2;
      }
      owed -= chunk.length;
      if (owed === 0) client.broadcast(Number(process.hrtime.bigint()), length);
    });
  });
}
