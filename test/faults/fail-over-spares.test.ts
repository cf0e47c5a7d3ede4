/**
 * Songs whose hosts fail at 10, 50 and 99.9 % and after the last byte, while spare hosts have them too: again and again,
 * each song arrives byte for byte, no song is fetched anew, and who lied is named.
 *
 *     whoever is asked first ──▶ fails at that place ──▶ the other one has the rest
 *
 * Hosts that lie, drip, end or fall silent are played here; those that are killed and stopped are real.
 */
import t, { type Test } from 'tap';
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
import { type Network, openNetwork } from '../support/network.js';
import { stackTraceIn } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';
import { type Teardown, until } from '../support/until.js';

const PLACES = [0.1, 0.5, 0.999, 1];
const TIMES = 5;
/** Silence is noticed after two seconds, a drip after two to five, by how much of the song is there. */
const TIMES_SLOW = 2;
/** Bytes; no whole number of pieces. */
const SONG_BYTES = 600_001;
/** Just below what would count as silence. */
const DRIP_MS = 1_900;
/** Longer than any campaign takes. */
const CAMPAIGN_MS = 120_000;

// A campaign mostly waits.
t.jobs = 4;
const world = await openNetwork(t, ['--max-per-address', '0']);

/** Serves `range` as it is up to `place` (bytes into the song), and tells where that falls in it. */
function upTo(place: number, range: Range, song: TestSong) {
  const end = Math.min(song.bytes.length, range.count === 0 ? Infinity : range.offset + range.count);
  return { bytes: Buffer.from(song.bytes.subarray(range.offset, end)), at: place - range.offset, end };
}

type Fail = (listener: Listener, range: Range, song: TestSong, place: number) => unknown;

const FAULTS: Record<string, Fail> = {
  'lies from there on': (listener, range, song, place) => {
    const { bytes, at } = upTo(place, range, song);
    bytes.fill(0x55, Math.max(0, Math.min(at, bytes.length)));
    listener.data(range.song, bytes);
    // After the last byte, a lie is one more answer that nobody asked for.
    if (place === song.bytes.length && range.offset + bytes.length === place) {
      listener.data(range.song, bytes.subarray(0, 1_000));
    }
  },
  ends: (listener, range, song, place) => failAfter(place, socket => socket.end())(listener, range, song),
  'falls silent': (listener, range, song, place) => failAfter(place, () => true)(listener, range, song),
  'drips a byte each 1.9 s': (listener, range, song, place) => {
    const { bytes, at } = upTo(place, range, song);
    if (at >= bytes.length) return false;
    listener.data(range.song, bytes.subarray(0, Math.max(0, at)), bytes.length);
    let next = Math.max(0, at);
    const drip = setInterval(() => listener.socket.write(bytes.subarray(next, ++next)), DRIP_MS);
    listener.socket.once('close', () => clearInterval(drip));
    return true;
  },
};

/** Registers a host that the test plays, and proves its address. */
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

interface Run {
  readonly song: TestSong;
  readonly place: number;
  readonly hosts: readonly ScriptedHost[];
  /** The host that was asked first. */
  failing: ScriptedHost | undefined;
  failedAt: number;
  /** From its failure to the first request at the other one. */
  switchedInMs: number | undefined;
}

/** A song with two hosts: the one that is asked first fails at `place`, the other one is good. */
async function newRun(t: Teardown, network: Network, fail: Fail, share: number, seed: number): Promise<Run> {
  const song = testSong(SONG_BYTES, 1, seed);
  const place = Math.floor(share * SONG_BYTES);
  const hosts: ScriptedHost[] = [];
  const run: Run = { song, place, hosts, failing: undefined, failedAt: 0, switchedInMs: undefined };
  for (const i of [0, 1]) {
    const range: HostScript['range'] = (listener, asked) => {
      run.failing ??= hosts[i];
      if (run.failing !== hosts[i]) {
        if (run.failedAt > 0) run.switchedInMs ??= performance.now() - run.failedAt;
        return false;
      }
      if (run.failedAt === 0 && asked.offset + asked.count >= place) run.failedAt = performance.now();
      return fail(listener, asked, song, place);
    };
    hosts.push(await scriptedHost(t, [song], { range }));
  }
  await Promise.all(hosts.map(host => register(t, network, host, song)));
  return run;
}

/** Nearest rank. */
const percentile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? 0;

function told(t: Test, switches: readonly number[]): void {
  const [half, most] = [percentile(switches, 0.5), percentile(switches, 0.95)];
  t.comment(`${switches.length} switches: p50 ${half.toFixed(0)} ms, p95 ${most.toFixed(0)} ms`);
}

const campaigns = Object.entries(FAULTS).map(([name, fail], nth) =>
  t.test(
    `of two hosts, the one that is asked first ${name}`,
    { timeout: CAMPAIGN_MS, buffered: true },
    async t => {
      const network = world.during(t);
      const runs: Run[] = [];
      const times = /^drips|silent$/.test(name) ? TIMES_SLOW : TIMES;
      for (let time = 0; time < times; time += 1) {
        for (const share of PLACES)
          runs.push(await newRun(t, network, fail, share, 100 * nth + runs.length + 1));
      }
      const ids = await Promise.all(runs.map(({ song }) => network.idOf(song.bytes)));
      const listener = await network.run([
        'play',
        ...ids.map(String),
        '--json',
        '--output',
        'stdout',
        '--raw',
      ]);
      t.equal(await listener.exitCode(CAMPAIGN_MS), 0, listener.stderr.slice(-1_000));
      t.ok(listener.bytes.equals(Buffer.concat(runs.map(({ song }) => song.bytes))), 'byte-exact');
      t.equal(stackTraceIn(listener.stderr), undefined);
      const endings = listener.stderr.split('\n').filter(line => line.includes('"event":"ended"'));
      t.equal(endings.length, runs.length);
      for (const [i, { place, failing, song, hosts }] of runs.entries()) {
        const other = hosts.find(host => host !== failing)!;
        const twice = place + other.sentBytes - SONG_BYTES;
        t.ok(twice <= PIECE_BYTES, `fetched twice from ${place} of ${song.bytes.length} on: ${twice} bytes`);
        if (name.startsWith('lies') && place < SONG_BYTES) {
          t.match(endings[i], `"host":"${failing!.address}"`, 'the liar is named');
          t.match(endings[i], '"lied":true');
        }
      }
      told(
        t,
        runs.flatMap(({ switchedInMs }) => switchedInMs ?? []),
      );
    },
  ),
);
await Promise.all(campaigns);
