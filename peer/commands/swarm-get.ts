/**
 * `tsp-peer swarm get SWARM-ID --peer HOST:PORT … -o FILE`: fetches a file from all peers at once, every chunk proven.
 *
 *     peers ──▶ proven chunks ──▶ FILE.part, FILE.part.json ──complete──▶ FILE
 *                                        └─ failed, or a signal: kept, and the same command goes on from there
 */
import { stat } from 'node:fs/promises';
import { fromHex, toHex } from '../../protocol/bytes.js';
import { HASH_LENGTH } from '../../protocol/merkle.js';
import type { SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import { CommandError, EXIT, failureOf, fileProblem } from '../failures/failure.js';
import { renderBar } from '../prompt/now-playing.js';
import { counted, sizeOf } from '../prompt/render-song.js';
import { StatusLine } from '../prompt/status-line.js';
import { styleOf } from '../prompt/style.js';
import { cutToWidth, safeJson, safeText } from '../prompt/terminal-text.js';
import { type Downloaded, type DownloadProgress, download } from '../swarm/download.js';
import { hashOfLength, staticMetadata } from '../swarm/static-swarm.js';
import { type SwarmCommand, wrongUse } from './swarm.js';
import { addressesOf, openNode } from './swarm-peers.js';

const BAR_COLUMNS = 20;

export async function runSwarmGet(command: SwarmCommand): Promise<number> {
  const { session, words, swarm, out } = command;
  const { world, config } = session;
  const metadata = metadataOf(words, command);
  if (swarm.peers.length === 0 && swarm.listen === undefined)
    throw wrongUse('Whom to ask?', '--peer HOST:PORT names a peer; --listen PORT waits for some to come.');
  const path = await pathOf(out ?? toHex(metadata.swarmId));
  const peers = await addressesOf(swarm.peers, world.signal);
  const { node } = await openNode(session, swarm.listen ?? { port: 0 });
  const line = new StatusLine(world.stderr, world.isTerminal.stderr);
  const startedAt = world.clock.now();
  try {
    const done = await download({
      node,
      clock: world.clock,
      logger: world.logger,
      path,
      metadata,
      ...(swarm.size === undefined ? {} : { size: swarm.size }),
      peers,
      maxPeers: swarm.maxPeers,
      waits: swarm.peers.length === 0,
      place: world.randomUnit(),
      signal: world.signal,
      onProgress: progress => line.show(progressLine(path, progress, command)),
    });
    line.clear();
    const seconds = (world.clock.now() - startedAt) / 1_000;
    await tell(path, metadata, done, seconds, command);
    return EXIT.ok;
  } catch (error) {
    line.clear();
    if (world.signal.aborted) throw error;
    const problem = fileProblem(error, path);
    const failure = problem === undefined ? failureOf(error) : fileFailure(`${problem}.`);
    throw new CommandError({ hint: 'What came is kept: the same command goes on from there.', ...failure });
  } finally {
    await node.stop();
    if (config.json) line.clear();
  }
}

const fileFailure = (message: string) => ({ code: 'file', exitCode: EXIT.failure, message }) as const;

function metadataOf(words: readonly string[], { swarm }: SwarmCommand): SwarmMetadata {
  const [text = ''] = words;
  const id = fromHex(text.toLowerCase());
  const hash = id && (swarm.hash ?? hashOfLength(id.length));
  if (words.length !== 1 || id === undefined || hash === undefined || id.length !== HASH_LENGTH[hash])
    throw wrongUse(
      `${safeText(words.join(' '))} is no swarm ID.`,
      'It is a root hash in hex: 64 digits for SHA-256, 40 for SHA-1; tsp-peer swarm hash FILE prints it.',
    );
  return staticMetadata(id, hash, swarm.chunkBytes);
}

async function pathOf(out: string): Promise<string> {
  if (out === '-') throw wrongUse('swarm get writes files.', '-o names one.');
  const existing = await stat(out).catch(() => undefined);
  if (existing !== undefined && !existing.isFile())
    throw new CommandError({ ...fileFailure(`${safeText(out)} is no file.`), hint: '-o names a file.' });
  return out;
}

function progressLine(path: string, progress: DownloadProgress, { session }: SwarmCommand): string {
  const style = styleOf('stderr', session.world, session.config);
  const { bytes, size, peers } = progress;
  const amount = `${sizeOf(bytes)}${size === undefined ? '' : ` of ${sizeOf(size)}`}`;
  const from = peers === 0 ? 'waiting for a peer' : counted(peers, 'peer');
  const room = Math.max(0, style.width - BAR_COLUMNS - 2);
  // The bar stands last, so that a narrow window cuts it and no colour is cut in half.
  const text = cutToWidth(`${safeText(path)}  ${amount}, ${from}`, room);
  return `${text}  ${renderBar(size === undefined ? 0 : bytes / size, 0, BAR_COLUMNS, style)}`;
}

async function tell(
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
    await session.write([
      safeJson({ file: path, bytes, swarm, resumed: resumedBytes, sources, failed, verified: true }),
    ]);
    return;
  }
  const came = sources.reduce((sum, source) => sum + source.bytes, 0);
  const mix = sources.map(source => `${Math.round((100 * source.bytes) / came)} % ${source.host}`);
  const here = resumedBytes === 0 ? [] : [`${sizeOf(resumedBytes)} was here`];
  const parts = [`${path}: ${sizeOf(bytes)} in ${seconds.toFixed(1)} s`, ...here, ...mix, 'all verified'];
  const style = styleOf('stderr', world, config);
  for (const { host, why, lied } of failed) if (lied) world.stderr.write(`${safeText(`${host} ${why}`)}\n`);
  world.stderr.write(`${cutToWidth(safeText(parts.join(' · ')), style.width)}\n`);
}
