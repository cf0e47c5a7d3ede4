/**
 * WAV and AIFF files offered as MP3 (`--encode`), encoded one at a time when nothing else is to be done.
 *
 *     source ─┬▶ key of its inode, size, mtime ──▶ <data>/encoded/<key>.mp3 ──▶ hashed like any file ──▶ catalogue
 *             └▶ its tags, in a reading thread ──▶ put before what the encoder wrote
 *
 * The key does not name the path, so a renamed source keeps its encoding; when the source goes, so does the encoding.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '../../protocol/ports.js';
import type { Catalogue } from './catalogue.js';
import type { Encoder } from './encode.js';
import { type Fingerprint, isSameFile, type SkipReason } from './file-facts.js';
import type { Hashing } from './hashing.js';
import { KnownSong, SongNodes } from './hosted-song.js';
import type { KnownFiles } from './known-files.js';
import { openFile } from './open-file.js';
import type { KnownFile, LibraryStore } from './store.js';
import { writeTags } from './write-tags.js';

export interface EncodedSongsOptions {
  /** A real path of a folder that is there. */
  readonly folder: string;
  readonly encoder: Encoder;
  readonly logger: Logger;
  readonly hashing: Pick<Hashing, 'read'>;
  readonly known: KnownFiles;
  readonly store: LibraryStore;
  readonly catalogue: Catalogue;
  /** Whether anything is being looked at or read: encoding waits for it. */
  readonly isBusy: () => boolean;
  /** The catalogue may have changed. */
  readonly changed: () => void;
}

interface Source {
  readonly path: string;
  readonly target: string;
  state: 'waiting' | 'encoded' | 'failed';
}

export class EncodedSongs {
  readonly folder: string;
  readonly #options: EncodedSongsOptions;
  readonly #encoder: Encoder;
  readonly #nodes: SongNodes;
  readonly #sources = new Map<string, Source>();
  readonly #abort = new AbortController();
  #working: Promise<void> | undefined;
  #started = false;
  #missing: string | undefined;

  constructor(options: EncodedSongsOptions) {
    this.folder = options.folder;
    this.#options = options;
    this.#encoder = options.encoder;
    this.#nodes = new SongNodes(options.store, options.catalogue);
  }

  get isEncoding(): boolean {
    return this.#working !== undefined;
  }

  /** There is a WAV or AIFF file at `path`. */
  offer(path: string, fingerprint: Fingerprint): void {
    const target = join(this.folder, `${keyOf(fingerprint)}.mp3`);
    if (this.#sources.get(path)?.target === target) return;
    this.withdraw(path);
    this.#sources.set(path, { path, target, state: 'waiting' });
    this.wake();
  }

  /** No longer. */
  withdraw(path: string): void {
    const source = this.#sources.get(path);
    if (source === undefined) return;
    this.#sources.delete(path);
    if (source.state === 'encoded') this.#options.catalogue.delete(source.target);
  }

  /** The first scan is listed: from now on there is time. */
  start(): void {
    this.#started = true;
    this.wake();
  }

  /** Something ended that encoding may have waited for. */
  wake(): void {
    if (!this.#started || this.#working !== undefined || this.#abort.signal.aborted) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      this.#options.changed();
    });
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#working;
  }

  /** Takes what is encoded, or waits for it, out of the counts of what was skipped. */
  correct(skipped: Map<SkipReason, number>): void {
    const failed = [...this.#sources.values()].filter(source => source.state === 'failed').length;
    if (this.#missing !== undefined) return;
    skipped.set('pcm', Math.max(0, (skipped.get('pcm') ?? 0) - this.#sources.size));
    if (failed > 0) skipped.set('not-encoded', failed);
  }

  report(): { waiting: number; encoded: number; missing?: string } {
    const states = [...this.#sources.values()].map(source => source.state);
    return {
      waiting: states.filter(state => state === 'waiting').length,
      encoded: states.filter(state => state === 'encoded').length,
      ...(this.#missing !== undefined && { missing: this.#missing }),
    };
  }

  async #work(): Promise<void> {
    for (;;) {
      const source = [...this.#sources.values()].find(each => each.state === 'waiting');
      if (this.#options.isBusy() || this.#abort.signal.aborted) return;
      if (source === undefined) return this.#sweep();
      if (await this.#isMissing()) return;
      await this.#encode(source);
    }
  }

  async #isMissing(): Promise<boolean> {
    const missing = await this.#encoder.missing();
    if (missing !== undefined && this.#missing === undefined) {
      this.#options.logger.warn({ files: this.#sources.size }, `nothing is encoded: ${missing}`);
    }
    this.#missing = missing;
    return missing !== undefined;
  }

  async #encode(source: Source): Promise<void> {
    const { logger, catalogue } = this.#options;
    try {
      const file = (await this.#encodedBefore(source.target)) ?? (await this.#encodeNow(source));
      if (this.#abort.signal.aborted || this.#sources.get(source.path) !== source) return;
      if (file.content.kind !== 'song') throw new Error(`the encoder made no MP3: ${file.content.reason}`);
      const { fingerprint, content } = file;
      catalogue.set(
        new KnownSong(
          source.target,
          { fingerprint, content },
          { namedAfter: source.path, nodes: this.#nodes },
        ),
      );
      source.state = 'encoded';
      this.#options.changed();
    } catch (error) {
      source.state = 'failed';
      if (!this.#abort.signal.aborted)
        logger.warn({ file: source.path, why: (error as Error).message }, 'a file could not be encoded');
    }
  }

  /** What is known of an encoding that another run, or another path of the same source, has made. */
  async #encodedBefore(target: string): Promise<KnownFile | undefined> {
    const known = this.#options.known.get(target);
    if (known === undefined) return undefined;
    const file = await openFile(target);
    if (file.kind !== 'opened') return undefined;
    await file.handle.close();
    return isSameFile(file.fingerprint, known.fingerprint) ? known : undefined;
  }

  async #encodeNow({ path, target }: Source): Promise<KnownFile> {
    const { hashing } = this.#options;
    const source = await hashing.read(path, { pcmTags: true });
    if (source.kind !== 'read') throw new Error(`the source is ${source.kind}`);
    const tag = writeTags(source.tags ?? {});
    const [part, tagged] = [`${target}.part`, `${target}.tagged.part`];
    // A lame that outlives a peer that was killed writes on, but into a file without a name.
    await rm(part, { force: true });
    try {
      const { signal } = this.#abort;
      await this.#encoder.encode(path, part, signal);
      if (tag.length > 0) await prepend(tag, part, tagged, signal);
      await rename(tag.length > 0 ? tagged : part, target);
    } finally {
      await Promise.all([part, tagged].map(each => rm(each, { force: true })));
    }
    const reading = await hashing.read(target);
    if (reading.kind !== 'read') throw new Error(`the encoded file is ${reading.kind}`);
    const file = { fingerprint: reading.fingerprint, content: reading.content };
    this.#options.known.set(target, file);
    this.#options.store.put(target, file, reading.nodes);
    return file;
  }

  /** Removes encodings whose sources went, as far as that can be done. */
  async #sweep(): Promise<void> {
    const { known, store, logger } = this.#options;
    const wanted = new Set([...this.#sources.values()].map(source => source.target));
    for (const name of await readdir(this.folder).catch(() => [])) {
      const path = join(this.folder, name);
      if (wanted.has(path)) continue;
      try {
        await rm(path, { force: true });
      } catch (error) {
        logger.debug({ file: path, err: error }, 'an encoding without a source could not be removed');
        continue;
      }
      known.forget(path);
      store.remove(path);
    }
  }
}

/** Only afterwards, since the encoder goes back to its first frame, and takes it to be where its file begins. */
const prepend = (tag: Uint8Array, from: string, to: string, signal: AbortSignal): Promise<void> =>
  pipeline(
    async function* () {
      yield tag;
      yield* createReadStream(from);
    },
    createWriteStream(to),
    { signal },
  );

const keyOf = ({ inode, size, mtimeNs }: Fingerprint): string =>
  createHash('sha256').update(`${inode}:${size}:${mtimeNs}`).digest('hex').slice(0, 32);
