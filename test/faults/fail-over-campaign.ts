/**
 * Songs whose hosts fail at 10, 50 and 99.9 % and after the last byte, while spare hosts have them too. A batch is one run at
 * each of these places, with real commands and a song of its own for each.
 *
 *     whoever is asked first ──▶ fails at that place ──▶ another one has the rest: byte for byte the song, or the run failed
 *
 * Hosts that lie, drip, end or fall silent are played here (`failing-hosts`); those that are killed and stopped are real.
 */
import { mp3Bytes } from '../support/mp3.js';
import type { Network, RunningHost } from '../support/network.js';
import type { RunningCommand } from '../support/spawn-command.js';
import { type Survivor, stackTraceIn, watchSurvivor } from '../support/survivor.js';
import { connectTsp } from '../support/tsp-client.js';
import { type Teardown, until } from '../support/until.js';
import { MISDEEDS, type Misdeed, openFailingSong } from './failing-hosts.js';

export const PLACES = [0.1, 0.5, 0.999, 1] as const;
const SIGNALS = ['SIGKILL', 'SIGSTOP'] as const;
type Signal = (typeof SIGNALS)[number];

export type Fault = Signal | Misdeed;
export const FAULTS: readonly Fault[] = [...SIGNALS, ...MISDEEDS];

export interface Run {
  readonly fault: Fault;
  /** Share of the song. */
  readonly place: number;
  /** Why it failed; absent when the song arrived byte for byte, nothing was printed that should not be, and who lied was named. */
  readonly failure: string | undefined;
  /** From the fault to what makes it good: the first request elsewhere, or, of real hosts, the longest pause in the song. */
  readonly switchedInMs: number | undefined;
  /** Of the song, asked for a second time; known of hosts that are played here. */
  readonly twiceBytes?: number;
}

/** Whoever makes several in one network gives each so many seeds. */
export const SEEDS_A_BATCH = PLACES.length;

const DEADLINE_MS = 120_000;

/** `seed`: of the songs, so that no two batches in one network share any. */
export function runBatch(t: Teardown, network: Network, fault: Fault, seed: number): Promise<Run[]> {
  return isSignal(fault) ? batchOfReal(t, network, fault, seed) : batchOfPlayed(t, network, fault, seed);
}

const isSignal = (fault: Fault): fault is Signal => SIGNALS.some(signal => signal === fault);

/** One listener plays all four songs, each of which has two hosts of its own. */
async function batchOfPlayed(t: Teardown, network: Network, fault: Misdeed, seed: number): Promise<Run[]> {
  const songs = await Promise.all(
    PLACES.map((place, index) => openFailingSong(t, network, fault, place, seed + index)),
  );
  const ids = await Promise.all(songs.map(({ bytes }) => network.idOf(bytes)));
  const words = ['play', ...ids.map(String), '--json', '--output', 'stdout', '--raw'];
  const listener = await network.run(words);
  await listener.exitCode(DEADLINE_MS);
  const endings = listener.stderr.split('\n').filter(line => line.includes('"event":"ended"'));
  const heard = listener.bytes;
  let at = 0;
  return songs.map((song, index) => {
    const ending = endings[index] ?? '';
    const place = PLACES[index]!;
    const end = at + song.bytes.length;
    const isExact = heard.subarray(at, end).equals(song.bytes);
    at = end;
    const liarIsNamed = ending.includes(`"host":"${song.failing}"`) && ending.includes('"lied":true');
    const failure = firstTrue({
      'the song is not what it was': !isExact,
      [`it is not told as finished: ${ending}`]: !ending.includes('"outcome":"finished"'),
      'who lied is not named': fault === 'lies' && place !== 1 && song.hasFailed && !liarIsNamed,
      'a stack trace': stackTraceIn(listener.stderr) !== undefined,
    });
    return { fault, place, failure, switchedInMs: song.switchedInMs, twiceBytes: song.twiceBytes };
  });
}

/** 600 kB at 1 MB/s, so that there is time to be in the middle of it. */
const SLOW = ['--max-upload', '1M', '--slots', '0', '--trace-wire', '--log-level', 'debug'];
const SECONDS = 15;
/** Pieces come whole: the last of them is on its way when this much is missing. */
const LAST_PIECE_BYTES = 70_000;

/** Two hosts have all four songs; whoever serves when the place is reached gets the signal. */
async function batchOfReal(t: Teardown, network: Network, signal: Signal, seed: number): Promise<Run[]> {
  const songs = PLACES.map((_, index) =>
    mp3Bytes({ seconds: SECONDS, bitrate: 320_000, seed: seed + index, title: `Serrana ${seed + index}` }),
  );
  const files = Object.fromEntries(songs.map((bytes, index) => [`${index}.mp3`, bytes]));
  const watched = async (): Promise<WatchedHost> => {
    const host = await network.during(t).host({ songs: files, args: SLOW });
    return { host, survivor: await watchSurvivor(host.command, () => answers(t, host)) };
  };
  let hosts: WatchedHost[] = await Promise.all([watched(), watched()]);
  const runs: Run[] = [];
  for (const [index, place] of PLACES.entries()) {
    const song = songs[index]!;
    const before = new Map(hosts.map(({ host }) => [host, sentBy(host)]));
    const listener = await network.during(t).run(['get', String(await network.idOf(song)), '-o', '-']);
    const pace = new Pace(listener);
    const enough = place === 1 ? song.length : Math.min(place * song.length, song.length - LAST_PIECE_BYTES);
    await until('the place is reached', () => pace.bytes >= enough);
    const sent = ({ host }: WatchedHost): number => sentBy(host) - before.get(host)!;
    const [serving, other] = hosts.sort((a, b) => sent(b) - sent(a)) as [WatchedHost, WatchedHost];
    serving.host.command.kill(signal);
    pace.watch();
    const code = await listener.exitCode(DEADLINE_MS);
    const failure = firstTrue({
      'the song is not what it was': !listener.bytes.equals(song),
      [`exit code ${code}: ${listener.stderr}`]: code !== 0,
      'a stack trace': stackTraceIn(listener.stderr) !== undefined,
    });
    runs.push({ fault: signal, place, failure, switchedInMs: place === 1 ? undefined : pace.longestMs });
    if (signal === 'SIGSTOP') serving.host.command.kill('SIGCONT');
    else hosts = index === PLACES.length - 1 ? [other] : [other, await watched()];
  }
  const harm = await Promise.all(
    hosts.map(({ survivor }) => survivor.survived().then(() => undefined, String)),
  );
  const failure = harm.find(each => each !== undefined);
  return failure === undefined ? runs : runs.map(run => ({ ...run, failure }));
}

interface WatchedHost {
  readonly host: RunningHost;
  readonly survivor: Survivor;
}

/** How many answers a host has begun, as its trace tells it. */
const sentBy = ({ command }: RunningHost): number => command.stderr.split('SONG_DATA').length;

async function answers(t: Teardown, { port }: RunningHost): Promise<void> {
  const client = await connectTsp(t, port);
  client.send({ type: 'PING', value: 1 });
  await client.receive('PONG');
  client.destroy();
}

/** How much a listener has written, and how long at most it wrote nothing. */
class Pace {
  bytes = 0;
  longestMs = 0;
  #since = Number.POSITIVE_INFINITY;

  constructor({ child }: RunningCommand) {
    child.stdout.on('data', (chunk: Buffer) => {
      const now = performance.now();
      this.bytes += chunk.length;
      this.longestMs = Math.max(this.longestMs, now - this.#since);
      if (this.#since < now) this.#since = now;
    });
  }

  /** From now on. */
  watch(): void {
    this.#since = performance.now();
  }
}

/** The first of these that is so. */
const firstTrue = (reasons: Readonly<Record<string, boolean>>): string | undefined =>
  Object.entries(reasons).find(([, isSo]) => isSo)?.[0];
