/**
 * A song with two registered hosts that are played here: the one that is asked first fails at a place in it, in one of the
 * ways below; the other one is good.
 */
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import {
  failAfter,
  type HostScript,
  type Listener,
  type Range,
  type ScriptedHost,
  scriptedHost,
  type TestSong,
  testSong,
} from '../peer/listening/scripted-host.js';
import type { Network } from '../support/network.js';
import { connectTsp } from '../support/tsp-client.js';
import { type Teardown, until } from '../support/until.js';

/** Bytes; no whole number of pieces. */
const SONG_BYTES = 600_001;
/** Just below what would count as silence. */
const DRIP_MS = 1_900;
/** What an answer that nobody asked for brings. */
const UNASKED_BYTES = 1_000;

/** In place of an honest answer, from byte `place` of the song on; false: this part of it is before that. */
type Misbehave = (listener: Listener, range: Range, song: TestSong, place: number) => unknown;

const MISBEHAVIOUR = {
  lies(listener, range, song, place) {
    const { bytes, at } = upTo(place, range, song);
    bytes.fill(0x55, Math.max(0, Math.min(at, bytes.length)));
    listener.data(range.song, bytes);
    // After the last byte, a lie is one more answer that nobody asked for.
    if (place === song.bytes.length && range.offset + bytes.length === place)
      listener.data(range.song, bytes.subarray(0, UNASKED_BYTES));
  },
  ends: (listener, range, song, place) => failAfter(place, socket => socket.end())(listener, range, song),
  'falls silent': (listener, range, song, place) => failAfter(place, () => true)(listener, range, song),
  drips(listener, range, song, place) {
    const { bytes, at } = upTo(place, range, song);
    if (at >= bytes.length) return false;
    listener.data(range.song, bytes.subarray(0, Math.max(0, at)), bytes.length);
    let next = Math.max(0, at);
    const drip = setInterval(() => listener.socket.write(bytes.subarray(next, ++next)), DRIP_MS);
    listener.socket.once('close', () => clearInterval(drip));
    return true;
  },
} satisfies Readonly<Record<string, Misbehave>>;

export type Misdeed = keyof typeof MISBEHAVIOUR;
export const MISDEEDS = Object.keys(MISBEHAVIOUR) as Misdeed[];

/** What `range` asks for, and where `place` (bytes into the song) falls in it. */
function upTo(place: number, range: Range, song: TestSong): { bytes: Buffer; at: number } {
  const end = Math.min(song.bytes.length, range.count === 0 ? Infinity : range.offset + range.count);
  return { bytes: Buffer.from(song.bytes.subarray(range.offset, end)), at: place - range.offset };
}

export interface FailingSong {
  readonly bytes: Buffer;
  /** The host that was asked first. */
  readonly failing: string | undefined;
  /** It was asked for something past its place. */
  readonly hasFailed: boolean;
  /** From its failure to the next request at the other one. */
  readonly switchedInMs: number | undefined;
  /** What was asked of the other one that the first sent well. */
  readonly twiceBytes: number;
}

/** At most so much is fetched twice: the piece in which the host failed. */
export const MAX_TWICE_BYTES = PIECE_BYTES;

export async function openFailingSong(
  t: Teardown,
  network: Network,
  misdeed: Misdeed,
  share: number,
  seed: number,
): Promise<FailingSong> {
  const song = testSong(SONG_BYTES, 1, seed);
  const place = Math.floor(share * SONG_BYTES);
  const hosts: ScriptedHost[] = [];
  let failing: ScriptedHost | undefined;
  let failedAt: number | undefined;
  let switchedInMs: number | undefined;
  const sentWell: Stretch[] = [];
  const askedElsewhere: Stretch[] = [];
  for (const i of [0, 1]) {
    const range: HostScript['range'] = (listener, asked) => {
      const self = hosts[i]!;
      failing ??= self;
      const end = Math.min(SONG_BYTES, asked.offset + asked.count);
      if (failing !== self) {
        if (failedAt !== undefined) switchedInMs ??= performance.now() - failedAt;
        askedElsewhere.push({ start: asked.offset, end });
        return false;
      }
      if (end >= place) failedAt ??= performance.now();
      const sentBefore = self.sentBytes;
      const isDone = MISBEHAVIOUR[misdeed](listener, asked, song, place);
      const sentTo = isDone === false ? end : asked.offset + self.sentBytes - sentBefore;
      sentWell.push({ start: asked.offset, end: misdeed === 'lies' ? Math.min(sentTo, place) : sentTo });
      return isDone;
    };
    hosts.push(await scriptedHost(t, [song], { range }));
  }
  await Promise.all(hosts.map(host => register(t, network, host, song)));
  return {
    bytes: song.bytes,
    get failing() {
      return failing?.address;
    },
    get hasFailed() {
      return failedAt !== undefined;
    },
    get switchedInMs() {
      return switchedInMs;
    },
    get twiceBytes() {
      return sentWell.reduce((sum, sent) => sum + inBoth(sent, askedElsewhere), 0);
    },
  };
}

/** Bytes `start` … `end` of a song. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

const inBoth = (one: Stretch, others: readonly Stretch[]): number =>
  others.reduce(
    (sum, other) => sum + Math.max(0, Math.min(one.end, other.end) - Math.max(one.start, other.start)),
    0,
  );

/** Registers a host, and proves its address. */
async function register(t: Teardown, network: Network, host: ScriptedHost, song: TestSong): Promise<void> {
  const port = Number(host.address.split(':')[1]);
  const registration = await connectTsp(t, network.trackerPort);
  registration.send({ type: 'HELLO', port, hello: { tsp: 1, name: 'spare', broadcasts: false } });
  await registration.receive('LIST');
  registration.sendRows({ type: 'LIST_INFO', revision: 0 }, [
    { hash: song.hash, title: 'Spare', size: song.bytes.length, bitrate: 320_000 },
  ]);
  const ping = await until('the tracker looks', () => host.asked.find(({ type }) => type === 'PING'));
  if (ping.type === 'PING') registration.send({ type: 'PONG', value: ping.value });
  await registration.await('WELCOME');
}
