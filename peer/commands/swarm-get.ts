/**
 * `tsp-peer swarm get SWARM-ID --peer HOST:PORT … -o FILE`: fetches a file from all peers at once, every chunk proven.
 *
 *     peers ──▶ proven chunks ──▶ FILE.part, FILE.part.json ──complete──▶ FILE
 *                      │                └─ failed, or a signal: kept, and the same command goes on from there
 *                      └─ -o - ──▶ standard output, in order, as they come; a file without a name, in TMPDIR, keeps them meanwhile
 */
import { access, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { fromHex, toHex } from '../../protocol/bytes.js';
import { HASH_LENGTH } from '../../protocol/merkle.js';
import type { SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import { CommandError, EXIT, failureOf, fileError, fileProblem, usageError } from '../failures/failure.js';
import { sizeOf } from '../prompt/render-song.js';
import { styleOf } from '../prompt/style.js';
import { cutToWidth, safeJson, safeText } from '../prompt/terminal-text.js';
import { AltoRanking } from '../swarm/alto-ranking.js';
import { type Downloaded, download } from '../swarm/download.js';
import { partOf } from '../swarm/fetched-file.js';
import type { JoinedSwarm } from '../swarm/joined-swarm.js';
import { hashOfLength, staticMetadata } from '../swarm/static-swarm.js';
import { streamedDownload } from '../swarm/streamed-download.js';
import { type Failed, REASONS } from '../swarm/tally.js';
import { StdoutSink } from './stdout-sink.js';
import type { SwarmCommand } from './swarm-arguments.js';
import { addressesOf, checkPeers, openNode, openTracker } from './swarm-peers.js';
import { liarLine, SEEDS_WANTED, SwarmProgress } from './swarm-progress.js';

const STDOUT = '-';

export async function runSwarmGet(command: SwarmCommand): Promise<number> {
  const { session, words, swarm, out } = command;
  const { world } = session;
  const metadata = metadataOf(words, command);
  checkUse(command);
  const path = await pathOf(out ?? toHex(metadata.swarmId));
  const peers = await addressesOf(session, swarm.peers);
  const { node, at } = await openNode(session, swarm.listen ?? { port: 0 }, swarm);
  const waits = peers.length === 0;
  const progress = new SwarmProgress(session, path, { hasRows: path !== STDOUT, waits });
  const tracker = openTracker(session, at, progress);
  const ranking = swarm.alto && new AltoRanking({ ...world, ...swarm.alto });
  const startedAt = world.clock.now();
  let joined: JoinedSwarm | undefined;
  const { size, maxPeers, dialects, serves, allowUnverified } = swarm;
  const options = {
    node,
    metadata,
    // What peers prove is believed, and not what somebody typed: all of them would seem to lie.
    ...(size === undefined || !allowUnverified ? {} : { size }),
    peers,
    maxPeers,
    ...(ranking && { ranking }),
    dialects,
    serves,
    waits,
    place: world.randomUnit(),
    signal: world.signal,
    onJoined: (it: JoinedSwarm) => {
      joined = it;
      tracker?.add(it);
    },
    onLiar: (liar: Failed) => progress.tell(liarLine(liar)),
  };
  try {
    const onProgress = progress.show.bind(progress);
    const onDamaged = ({ lost, kept }: { readonly lost: number; readonly kept: number }): void => {
      const part = safeText(partOf(path));
      progress.tell(
        `tsp-peer: ${part} was damaged: ${sizeOf(lost)} of it are fetched again, ${sizeOf(kept)} are kept.\n`,
      );
    };
    const done =
      path === STDOUT
        ? await intoStdout(command, options, progress)
        : await download({ ...options, ...world, path, allowUnverified, onProgress, onDamaged });
    progress.clear();
    const seconds = (world.clock.now() - startedAt) / 1_000;
    await tellMix(path, metadata, done, seconds, command);
    return EXIT.ok;
  } catch (error) {
    progress.clear();
    if (world.signal.aborted) throw error;
    const problem = fileProblem(error, path === STDOUT ? tmpdir() : path);
    if (problem !== undefined && path === STDOUT)
      throw fileError(`${problem}.`, 'TMPDIR names another folder.');
    const { failure } = problem === undefined ? { failure: failureOf(error) } : fileError(`${problem}.`);
    const hint = await hintAfter(path, problem === undefined ? joined : undefined);
    throw new CommandError({ ...hint, ...failure });
  } finally {
    tracker?.stop();
    ranking?.stop();
    await node.stop();
  }
}

async function intoStdout(
  { session: { world }, swarm }: SwarmCommand,
  options: Omit<Parameters<typeof streamedDownload>[0], 'reading'>,
  progress: SwarmProgress,
): Promise<Downloaded> {
  const { bufferBytes, aheadBytes, skipMs } = swarm;
  const sink = new StdoutSink(world);
  let joined: JoinedSwarm | undefined;
  let bytes = 0;
  const told = (from: number, to: number): void => {
    progress.tell(`tsp-peer: nobody gave bytes ${from} to ${to - 1} in time: they are left out.\n`);
  };
  const reading = {
    ...(bufferBytes === undefined ? {} : { bufferBytes }),
    ...(aheadBytes === undefined ? {} : { aheadBytes }),
    ...(skipMs === undefined ? {} : { skip: { afterMs: skipMs, told } }),
  };
  const onJoined = (it: JoinedSwarm): void => {
    joined = it;
    options.onJoined(it);
  };
  const endProgress = progress.follow(() => {
    const chunks = joined?.swarm.integrity.chunks;
    const size = chunks === undefined ? {} : { size: chunks * options.metadata.chunkBytes };
    return { bytes, ...size, peers: joined?.peers ?? 0, lacks: joined ? joined.lacks : ('peer' as const) };
  });
  try {
    for await (const piece of streamedDownload({ ...options, reading, onJoined })) {
      await sink.write(piece);
      bytes += piece.length;
    }
  } finally {
    endProgress();
  }
  return { bytes, resumedBytes: 0, joined: joined! };
}

function metadataOf(words: readonly string[], { swarm }: SwarmCommand): SwarmMetadata {
  const [text = ''] = words;
  const id = fromHex(text.toLowerCase());
  const hash = id && (swarm.hash ?? hashOfLength(id.length));
  if (words.length !== 1 || id === undefined || hash === undefined || id.length !== HASH_LENGTH[hash])
    throw usageError(
      `${safeText(words.join(' '))} is no swarm ID.`,
      'It is a root hash in hex: 64 digits for SHA-256, 40 for SHA-1; tsp-peer swarm hash FILE prints it. A stream is got with --live.',
    );
  return staticMetadata(id, hash, swarm.chunkBytes);
}

function checkUse({ session, swarm, out }: SwarmCommand): void {
  const { dialects, allowUnverified, size, bufferBytes, aheadBytes, skipMs } = swarm;
  checkPeers(session, swarm);
  if (dialects.includes('pyppspp') && !allowUnverified)
    throw usageError(
      'PyPPSPP proves nothing of what it gives.',
      '--allow-unverified takes it all the same, and checks the file as a whole before it appears.',
    );
  if (allowUnverified && (size === undefined || out === STDOUT))
    throw usageError(
      '--allow-unverified wants a file and its size: unproven bytes go nowhere else.',
      'tsp-peer swarm get ID --dialect pyppspp --allow-unverified --size 1048577 -o FILE --peer HOST:PORT',
    );
  const isPlaying = bufferBytes !== undefined || aheadBytes !== undefined || skipMs !== undefined;
  if (isPlaying && out !== STDOUT)
    throw usageError(
      '--buffer, --ahead and --skip are for what is played as it comes.',
      '-o - writes it to a pipe.',
    );
}

async function hintAfter(path: string, joined: JoinedSwarm | undefined): Promise<{ readonly hint?: string }> {
  const isKept = await access(partOf(path)).then(
    () => true,
    () => false,
  );
  if (isKept) return { hint: 'What came is kept: the same command goes on from there.' };
  if (joined?.problem === undefined || !joined.failed.every(({ why }) => why === REASONS.unanswered))
    return {};
  return { hint: SEEDS_WANTED };
}

async function pathOf(out: string): Promise<string> {
  if (out === STDOUT) return out;
  for (const path of [out, partOf(out)]) {
    const existing = await stat(path).catch(() => undefined);
    if (existing !== undefined && !existing.isFile())
      throw fileError(`${safeText(path)} is no file.`, '-o names a file.');
  }
  return out;
}

/** Who gave what; on standard error where the other is taken. `path`: `-` is standard output. */
export async function tellMix(
  path: string,
  { swarmId }: SwarmMetadata,
  { bytes, resumedBytes, joined }: Downloaded,
  seconds: number,
  { session }: SwarmCommand,
): Promise<void> {
  const { world, config } = session;
  const { sources, failed } = joined;
  if (config.json) {
    const swarm = toHex(swarmId);
    const facts = { file: path, bytes, swarm, resumed: resumedBytes, sources, failed, verified: true };
    const row = safeJson({ event: 'got', ...facts });
    if (path === STDOUT) world.stderr.write(`${row}\n`);
    else await session.write([row]);
    return;
  }
  const came = sources.reduce((sum, source) => sum + source.bytes, 0);
  const mix = sources.map(source => `${Math.round((100 * source.bytes) / came)} % ${source.host}`);
  const here = resumedBytes === 0 ? [] : [`${sizeOf(resumedBytes)} was here`];
  const amount = `${sizeOf(bytes)} in ${seconds.toFixed(1)} s`;
  const parts = [path === STDOUT ? amount : `${path}: ${amount}`, ...here, ...mix, 'all verified'];
  const style = styleOf('stderr', world, config);
  world.stderr.write(`${cutToWidth(safeText(parts.join(' · ')), style.width)}\n`);
}
