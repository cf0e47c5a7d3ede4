/**
 * Many peers in one process, each from an address of its own, for a parent that tells them what to do.
 *
 *     {do: 'host'}  a peer with ten songs and a song server on a port of its own     ─▶ {tookMs, bytes}, when all are in
 *     {do: 'listen'} one that only reads, from `since` on                             ─▶ the same, when all have the list
 *     {do: 'tell'}                                                                    ─▶ latencies of what came, in ms
 *
 * A change carries the moment of its making in a title: `at 1700000000000.25`.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { encode } from '../../protocol/tsp/codec.js';
import type { Hello } from '../../protocol/tsp/messages.js';
import { inTurns, range } from '../../test/support/crowd.js';
import { LightHost, listOf, openPeer } from '../tracker/light-peer.js';

export type CrowdOrder =
  | {
      readonly do: 'host' | 'listen';
      readonly port: number;
      readonly first: number;
      readonly count: number;
      readonly since?: Hello['since'];
    }
  | { readonly do: 'tell' };

export interface CrowdReport {
  readonly tookMs: number;
  readonly bytes: number;
  readonly latenciesMs: readonly number[];
}

export const SONGS_EACH = 10;
/** More than one write to the disk takes along, or all of them would wait for it. */
const AT_ONCE = 500;
const CHANGE = /"title":"at ([\d.]+)"/g;

export const momentNow = (): number => performance.timeOrigin + performance.now();

const sockets: Socket[] = [];
let latenciesMs: number[] = [];

process.on('message', async (order: CrowdOrder) => {
  if (order.do !== 'tell') {
    const { do: role, port, since, first, count } = order;
    const indices = range(count).map(offset => first + offset);
    // As peers have them before they register.
    const hosts = new Map<number, Host>();
    if (role === 'host')
      await inTurns(indices, AT_ONCE, async index => hosts.set(index, await prepare(index, since)));
    const [began, before] = [performance.now(), received()];
    await inTurns(indices, AT_ONCE, index => register(port, index, hosts.get(index), since));
    const tookMs = performance.now() - began;
    for (const { host } of hosts.values()) host.close();
    report(tookMs, received() - before);
  } else report(0, 0);
  latenciesMs = [];
});

function report(tookMs: number, bytes: number): void {
  process.send?.({ tookMs, bytes, latenciesMs } satisfies CrowdReport);
}

/** Bytes, on all connections so far. Not to be asked while a change is on its way: it takes milliseconds. */
const received = (): number => sockets.reduce((sum, { bytesRead }) => sum + bytesRead, 0);

/** What a peer has before it registers, and what it says first. */
interface Host {
  readonly host: LightHost;
  readonly hello: Buffer;
  readonly list: Buffer;
}

/** With `since` it follows the list, too. */
async function prepare(index: number, since: Hello['since']): Promise<Host> {
  const host = await LightHost.listen(index);
  const instance = `of the crowd, ${index}`;
  const follows = since === undefined ? { broadcasts: false } : { broadcasts: true, since };
  const hello = encode({ type: 'HELLO', port: host.port, hello: { tsp: 1, instance, ...follows } });
  return { host, hello, list: listOf(range(SONGS_EACH).map(song => offer(index, song))) };
}

const offer = (peer: number, song: number) => ({
  hash: createHash('sha256').update(`${peer} ${song}`).digest('hex'),
  title: `Song ${song} of ${peer}`,
  artist: `Artist ${peer % 1_000}`,
  duration: 180,
});

/** Resolves when a host was welcomed, and who follows the list has it. */
function register(port: number, index: number, host: Host | undefined, since: Hello['since']): Promise<void> {
  const awaited = host !== undefined && since === undefined ? 'WELCOME' : 'BROADCAST_LIST';
  const listener = { tsp: 1, broadcasts: true, ...(since === undefined ? {} : { since }) } as const;
  const hello = host?.hello ?? encode({ type: 'HELLO', port: 0, hello: listener });
  let isBroadcast = false;
  return new Promise((resolve, reject) => {
    const socket = openPeer(port, index, hello, host ?? {}, event => {
      if (event.kind === 'message') {
        if (event.message.type === awaited) resolve();
        else if (event.message.type === 'ERROR') reject(new Error(JSON.stringify(event.message)));
      } else if (event.kind === 'end') {
        if (event.header.type === awaited) resolve();
      } else if (event.kind === 'stream') isBroadcast = event.header.type === 'BROADCAST_LIST';
      else if (event.kind === 'data' && isBroadcast)
        for (const [, at] of latin1(event.bytes).matchAll(CHANGE)) latenciesMs.push(momentNow() - Number(at));
    });
    sockets.push(socket);
    socket.on('error', () => {});
    socket.once('close', () => reject(new Error(`closed before ${awaited}`)));
  });
}

const latin1 = ({ buffer, byteOffset, length }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, length).toString('latin1');
