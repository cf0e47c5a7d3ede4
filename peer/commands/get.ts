/**
 * `tsp-peer get 10 -o song.mp3`: fetches a song, verified piece by piece, into a file or to stdout. A live feed is recorded
 * until it ends or the command is interrupted, and what was recorded is kept, whatever ended it.
 *
 *     hosts ──▶ verified pieces ──▶ song.mp3.part-1234 ──complete──▶ song.mp3
 *                                        └─ failed, or a signal: removed
 *
 * A file of that name appears whole or not at all. What is no ordinary file (a pipe, a device) is written as it comes.
 */
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { SongRow } from '../../protocol/tsp/rows.js';
import type { PeerConfig } from '../config.js';
import { EXIT, fileError, fileProblem } from '../failures/failure.js';
import { CacheReader } from '../listening/cache-reader.js';
import type { SongFetcher } from '../listening/fetch.js';
import type { SongStream } from '../listening/song-stream.js';
import { fieldsOf, playableSong } from '../playable-song.js';
import { nameOf, sizeOf } from '../prompt/render-song.js';
import { renderSources, wordOfTrust } from '../prompt/render-sources.js';
import { nameAndState, nameStateAndBar, StatusLine } from '../prompt/status-line.js';
import { styleOf } from '../prompt/style.js';
import { cutToWidth, safeJson, safeText } from '../prompt/terminal-text.js';
import { SongFetching } from '../song-fetching.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';
import { type OneShot, oneShot, requireId } from './one-shot.js';
import { StdoutSink } from './stdout-sink.js';

const STDOUT = '-';
const REDRAW_MS = 200;
/** Longer names are refused by file systems, and read by nobody. */
const MAX_NAME_BYTES = 200;

export function runGet(config: PeerConfig, { words, out }: CommandArguments, world: World): Promise<number> {
  return oneShot(config, world, async session => {
    const row = await session.song(requireId(words[0]));
    const file = out ?? fileNameOf(row);
    if (out === undefined) await mustBeFree(file);
    const cache = new CacheReader(config.cacheDir);
    if (row.hash !== undefined) await cache.look(row.hash);
    const fetching = new SongFetching(config, world, { cache });
    try {
      await fetchInto(file, row, openSong(session, fetching.fetcher, row), session);
    } finally {
      await fetching.stop();
    }
    return EXIT.ok;
  });
}

function openSong({ client }: OneShot, fetcher: SongFetcher, row: SongRow): SongStream {
  const sources = {
    fetcher,
    hostsOf: (listed: SongRow) => client.hostsOf(listed),
    info: (id: SongRow['id']) => client.info(id),
  };
  return playableSong(row, sources).open(0, 'now');
}

async function fetchInto(out: string, row: SongRow, stream: SongStream, session: OneShot): Promise<void> {
  const { world, config } = session;
  const cancel = (): void => stream.cancel();
  world.signal.addEventListener('abort', cancel, { once: true });
  const isLive = row.live === true;
  if (isLive && !config.json) world.stderr.write(`Recording ${nameOf(row)} until it ends or Ctrl-C.\n`);
  const progress = new Progress(row, stream, session);
  const startedAt = world.clock.now();
  try {
    const sink = out === STDOUT ? new StdoutSink(world) : await openFile(out).catch(about(out));
    try {
      for await (const bytes of stream) {
        await sink.write(bytes).catch(about(out));
        progress.add(bytes.length);
      }
      if (world.signal.aborted && !isLive) throw new Error('interrupted');
      await sink.finish().catch(about(out));
    } catch (error) {
      if (isLive && progress.bytes > 0) await sink.finish().catch(about(out));
      else await sink.discard();
      throw error;
    }
  } finally {
    progress.end();
    stream.cancel();
    world.signal.removeEventListener('abort', cancel);
  }
  const report = stream.report();
  const { sources, failed, verified, verifiedBytes, relayed } = report;
  const identity = isLive ? { feed: row.feed, ...(relayed && { relayed }) } : { hash: row.hash };
  const facts = { file: out, bytes: progress.bytes, ...identity, sources, failed, verified, verifiedBytes };
  // Where the song goes to stdout, what is said of it goes to the other.
  if (config.json && out === STDOUT) world.stderr.write(`${safeJson(facts)}\n`);
  else if (config.json) await session.write([safeJson(facts)]);
  const seconds = ((world.clock.now() - startedAt) / 1_000).toFixed(1);
  if (!config.json && out !== STDOUT) {
    const trust = [...(isLive ? ['live'] : []), ...[wordOfTrust(report) ?? []].flat()].join(', ');
    const what = `${out}: ${sizeOf(progress.bytes)} in ${seconds} s · ${renderSources(sources)} · ${trust}`;
    world.stderr.write(`${cutToWidth(safeText(what), styleOf('stderr', world, config).width)}\n`);
  }
}

/** A line on stderr while it lasts: how much is here, or why nothing comes. */
class Progress {
  readonly #row: SongRow;
  readonly #stream: SongStream;
  readonly #session: OneShot;
  readonly #line: StatusLine;
  bytes = 0;
  #size: number | undefined;
  #cancel: () => void = () => {};

  constructor(row: SongRow, stream: SongStream, session: OneShot) {
    this.#row = row;
    this.#stream = stream;
    this.#session = session;
    this.#line = new StatusLine(session.world, session.config);
    this.#size = row.size;
    stream.size.then(
      size => {
        this.#size = size;
      },
      () => {},
    );
    this.#tick();
  }

  add(bytes: number): void {
    this.bytes += bytes;
  }

  end(): void {
    this.#cancel();
    this.#line.clear();
  }

  #tick(): void {
    const { style } = this.#line;
    const share = this.#size === undefined ? 0 : this.bytes / this.#size;
    const amount = `${sizeOf(this.bytes)}${this.#size === undefined ? '' : ` of ${sizeOf(this.#size)}`}`;
    const { waiting } = this.#stream.report();
    const state = waiting === undefined ? amount : `${amount}, ${safeText(waiting)}`;
    const name = nameOf(this.#row);
    // A wait has no bar: it has a reason.
    const text =
      waiting === undefined
        ? nameStateAndBar(name, state, share, style)
        : nameAndState(name, state, style.width);
    this.#line.show(text);
    this.#cancel = this.#session.world.clock.after(REDRAW_MS, () => this.#tick());
  }
}

/** The file that was asked for is named, not the part of it that is written, and also where the system names none. */
const about =
  (out: string) =>
  (error: unknown): never => {
    const problem = fileProblem(error, out === STDOUT ? 'standard output' : out);
    if (problem === undefined) throw error;
    throw fileError(`${problem}.`);
  };

interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  /** Everything is there. */
  finish(): Promise<void>;
  /** It is not going to be. */
  discard(): Promise<void>;
}

/** Throws CommandError when there is something of that name, which was not asked for. */
async function mustBeFree(name: string): Promise<void> {
  if (await stat(name).catch(() => undefined))
    throw fileError(`${name} is there already.`, '-o FILE names another, or this one to replace it.');
}

/** Throws CommandError, before a byte is fetched, when nothing can be written there. */
async function openFile(out: string): Promise<Sink> {
  const existing = await stat(out).catch(() => undefined);
  if (existing?.isDirectory() === true || out.endsWith('/'))
    throw fileError(`${safeText(out)} names a folder.`, '-o names a file.');
  if (existing !== undefined && !existing.isFile()) return new OpenFileSink(await open(out, 'w'));
  // Through a link to what it points to: the link stays one.
  const path = existing === undefined ? out : await realpath(out);
  const part = join(dirname(path), `${basename(path)}.part-${process.pid}`);
  return new RenamedFileSink(await open(part, 'w', existing?.mode ?? 0o666), part, path);
}

class OpenFileSink implements Sink {
  readonly #file: FileHandle;
  constructor(file: FileHandle) {
    this.#file = file;
  }
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) at += (await this.#file.write(bytes, at)).bytesWritten;
  }
  async finish(): Promise<void> {
    await this.#file.close();
  }
  async discard(): Promise<void> {
    await this.#file.close();
  }
}

class RenamedFileSink extends OpenFileSink {
  readonly #part: string;
  readonly #path: string;
  constructor(file: FileHandle, part: string, path: string) {
    super(file);
    this.#part = part;
    this.#path = path;
  }
  override async finish(): Promise<void> {
    await super.finish();
    await rename(this.#part, this.#path);
  }
  override async discard(): Promise<void> {
    await super.discard().catch(() => {});
    await rm(this.#part, { force: true });
  }
}

/** `Artist - Title.mp3`, whatever a title may contain: no folder, nothing hidden, nothing that a terminal obeys. */
export function fileNameOf(row: SongRow): string {
  const { artist, title } = fieldsOf(row);
  const whole = [artist, title].filter(part => (part ?? '').trim() !== '').join(' - ');
  const safe = safeText(whole)
    .replace(/[/\\:*?"<>|\ufffd]+/g, '_')
    .replace(/^[.\s-]+/, '')
    .trim();
  let name = safe === '' ? `song ${row.id}` : safe;
  while (Buffer.byteLength(name) > MAX_NAME_BYTES) name = [...name].slice(0, -1).join('');
  return `${name}.mp3`;
}
