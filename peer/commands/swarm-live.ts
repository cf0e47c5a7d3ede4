/**
 * `tsp-peer swarm seed --live` and `swarm get --live ID`: a stream instead of a file (RFC 7574 §6.1.2).
 *
 *     standard input ─▶ chunks ─▶ 32 of them signed ─▶ announced ─▶ listeners, who give to each other ─▶ standard output
 *
 * A listener begins where the stream is. The end of the input is signed too, so that everybody ends there; a source that is
 * gone without it is waited for, and goes on with the same key under the same ID.
 */
import { addAbortSignal } from 'node:stream';
import { fromHex, toHex } from '../../protocol/bytes.js';
import { RemoteProtocolError } from '../../protocol/errors.js';
import type { Logger } from '../../protocol/ports.js';
import { ECDSA_P256 } from '../../protocol/ppspp/constants.js';
import { LiveSource } from '../../protocol/ppspp/live-source.js';
import { liveSwarmId } from '../../protocol/ppspp/signatures.js';
import {
  CommandError,
  EXIT,
  exitCodeOfServer,
  fileError,
  fileProblem,
  usageError,
} from '../failures/failure.js';
import { safeJson, safeText } from '../prompt/terminal-text.js';
import { readyLine } from '../ready-line.js';
import { AltoRanking } from '../swarm/alto-ranking.js';
import type { JoinedSwarm } from '../swarm/joined-swarm.js';
import { type LiveIdentity, openLiveIdentity } from '../swarm/live-identity.js';
import { LIVE_WINDOW_CHUNKS, type LiveSwarm, liveSwarm, tuneIn } from '../swarm/live-swarm.js';
import { unlessAborted } from '../swarm/unless-aborted.js';
import type { World } from '../world.js';
import { StdoutSink } from './stdout-sink.js';
import { type SwarmCommand, USUAL_PORT } from './swarm-arguments.js';
import { tellMix } from './swarm-get.js';
import { addressesOf, checkPeers, openNode, openTracker } from './swarm-peers.js';
import { liarLine, SwarmProgress } from './swarm-progress.js';

/** What does not come within this is jumped over, once something behind it is here. */
const SKIP_MS = 3_000;
/** Whoever ends gives the others what they lack, for so long at most; and says the end again for so long. */
const LINGER_MS = 30_000;
const LAST_WORD_MS = 2_000;
const LOOK_EVERY_MS = 100;
/** Of an ID, in the line of its progress. */
const SHORT_ID_DIGITS = 8;

export async function runSwarmSeedLive(command: SwarmCommand): Promise<number> {
  const { session, words, swarm } = command;
  const { world, config } = session;
  if (words.length > 0)
    throw usageError(
      'swarm seed --live takes no file.',
      'The stream comes from standard input: … | tsp-peer swarm seed --live',
    );
  const peers = await addressesOf(session, swarm.peers);
  const { node, at } = await openNode(session, swarm.listen ?? { port: USUAL_PORT }, swarm);
  const tracker = openTracker(session, at);
  let identity: LiveIdentity | undefined;
  try {
    identity = await openIdentity(config.dataDir, world.logger);
    const live = liveSwarm(liveSwarmId(ECDSA_P256, identity.key), swarm);
    const joined = node.join({ swarm: live.swarm, peers, maxPeers: swarm.maxPeers });
    tracker?.add(joined);
    const id = toHex(live.swarm.metadata.swarmId);
    await session.write([
      config.json ? safeJson({ event: 'seeding', swarm: id, live: true }) : `${id}  -`,
      readyLine('tsp-peer', at, config.json),
    ]);
    const last = await giveStream(world, live, identity, () => node.wake());
    await giveRest(joined, last, world);
    return EXIT.ok;
  } catch (error) {
    if (!world.signal.aborted) throw error;
    return exitCodeOfServer(world.signal.reason);
  } finally {
    tracker?.stop();
    await node.stop();
    await identity?.release();
  }
}

export async function runSwarmGetLive(command: SwarmCommand): Promise<number> {
  const { session, words, swarm, out = '-' } = command;
  const { world } = session;
  if (out !== '-')
    throw usageError('swarm get --live writes to standard output.', '> FILE keeps what comes.');
  if (command.out === undefined && world.isTerminal.stdout)
    throw usageError(
      'A stream is nothing to read on a terminal.',
      '| mpv - plays it, > FILE keeps it; -o - shows its bytes all the same.',
    );
  checkPeers(session, swarm);
  const live = liveOf(words, command);
  const { integrity, store } = live;
  const peers = await addressesOf(session, swarm.peers);
  const { node, at } = await openNode(session, swarm.listen ?? { port: 0 }, swarm);
  const progress = new SwarmProgress(session, `${words[0]!.slice(0, SHORT_ID_DIGITS)}…`, {
    hasRows: false,
    waits: true,
  });
  const tracker = openTracker(session, at, progress);
  const ranking = swarm.alto && new AltoRanking({ ...world, ...swarm.alto });
  const startedAt = world.clock.now();
  let bytes = 0;
  let endProgress = (): void => {};
  try {
    const { maxPeers, serves } = swarm;
    const waits = peers.length === 0;
    const joined = node.join({
      swarm: live.swarm,
      store,
      peers,
      maxPeers,
      ...(ranking && { ranking }),
      serves,
      waits,
      place: world.randomUnit(),
      onLiar: liar => progress.tell(liarLine(liar)),
    });
    tracker?.add(joined);
    endProgress = progress.follow(() => ({ bytes, peers: joined.peers, lacks: joined.lacks }));
    const tellEnd = (): Promise<void> => {
      endProgress();
      progress.clear();
      const seconds = (world.clock.now() - startedAt) / 1_000;
      return tellMix('-', live.swarm.metadata, { bytes, resumedBytes: 0, joined }, seconds, command);
    };
    try {
      const first = await tuneIn(joined, live, world.signal);
      const sink = new StdoutSink(world);
      for await (const piece of read(joined, first, world.signal, text => progress.tell(text))) {
        await sink.write(piece);
        bytes += piece.length;
      }
      await giveRest(joined, integrity.chunks - 1, world);
    } catch (error) {
      // Ctrl-C is how most streams end for a listener.
      if (world.signal.aborted && bytes > 0) await tellEnd();
      throw error;
    }
    await tellEnd();
    return EXIT.ok;
  } finally {
    endProgress();
    progress.clear();
    tracker?.stop();
    ranking?.stop();
    await node.stop();
  }
}

async function openIdentity(dataDir: string, logger: Logger): Promise<LiveIdentity> {
  try {
    return await openLiveIdentity(dataDir, logger);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const { path = dataDir, message } = error as NodeJS.ErrnoException;
    throw fileError(`${fileProblem(error, path) ?? message}.`);
  }
}

/** All of standard input, up to its end; the last chunk's number. Rejects when the signal comes. */
async function giveStream(
  { stdin, signal }: World,
  { swarm, integrity, store }: LiveSwarm,
  { key, numbers }: LiveIdentity,
  wake: () => void,
): Promise<number> {
  const source = new LiveSource({ integrity, key, have: swarm.have, first: numbers.begin() });
  let last = source.next - 1;
  for await (const bytes of chunksOf(addAbortSignal(signal, stdin), swarm.metadata.chunkBytes)) {
    last = source.next;
    await numbers.lend(last);
    store.write(last, [bytes]);
    if (source.add(bytes, Date.now()) !== undefined) wake();
  }
  await numbers.lend(source.next);
  source.finish(Date.now());
  wake();
  return last;
}

/** Cuts what comes into chunks; only the last is shorter. */
async function* chunksOf(stream: AsyncIterable<Uint8Array>, chunkBytes: number): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const bytes of stream) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let at = 0;
    for (; rest.length - at >= chunkBytes; at += chunkBytes) yield rest.subarray(at, at + chunkBytes);
    rest = rest.subarray(at);
  }
  if (rest.length > 0) yield rest;
}

function liveOf(words: readonly string[], { swarm }: SwarmCommand): LiveSwarm {
  const [text = ''] = words;
  try {
    const id = words.length === 1 ? fromHex(text.toLowerCase()) : undefined;
    if (id !== undefined) return liveSwarm(id, swarm);
  } catch (error) {
    if (!(error instanceof RemoteProtocolError)) throw error;
  }
  throw usageError(
    `${safeText(words.join(' '))} is no live swarm's ID.`,
    'It is a public key in hex, as tsp-peer swarm seed --live prints it.',
  );
}

function read(
  joined: JoinedSwarm,
  first: number,
  signal: AbortSignal,
  tell: (text: string) => void,
): AsyncIterable<Uint8Array> {
  const { chunkBytes } = joined.swarm.metadata;
  const told = (from: number, to: number): void => {
    const left = { start: from / chunkBytes, end: to / chunkBytes - 1 };
    // A source that came back leaves out numbers: only what somebody has is known to be missing.
    let missing = to - from;
    for (const { start, end } of joined.there.gaps(left, Number.POSITIVE_INFINITY))
      missing -= (end + 1 - start) * chunkBytes;
    tell(
      missing > 0
        ? `tsp-peer: nobody gave ${missing} bytes in time: they are left out.\n`
        : 'tsp-peer: the stream goes on further on: nobody has what may have been between.\n',
    );
  };
  return joined.read({
    fromByte: first * chunkBytes,
    aheadBytes: LIVE_WINDOW_CHUNKS * chunkBytes,
    skip: { afterMs: SKIP_MS, told },
    signal,
  });
}

/** Goes on giving until those who are there have everything, and know it. */
async function giveRest(joined: JoinedSwarm, last: number, { clock, signal }: World): Promise<void> {
  const endAt = clock.now() + LINGER_MS;
  const pause = (ms: number): Promise<void> =>
    unlessAborted(new Promise<void>(resolve => clock.after(ms, resolve)), signal);
  do {
    while (joined.peers > 0 && clock.now() < endAt && !joined.isGiven(last)) await pause(LOOK_EVERY_MS);
    if (joined.peers > 0) await pause(LAST_WORD_MS);
    // Somebody may have come meanwhile, or come again.
  } while (clock.now() < endAt && !joined.isGiven(last));
}
