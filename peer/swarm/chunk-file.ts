/**
 * The chunks of one file: proven ones are written at their offsets, in blocks; those that others ask for are read.
 *
 *     write ─▶ block in memory ─ full, or a checkpoint ─▶ file          read: from memory, or undefined until it is loaded
 *
 * Nothing waits here for the disk: who asks for a chunk that is not at hand gets it after `onLoaded`. A file that is
 * served must stay what it was when its tree was made: it is looked at with every block, and one that changed is broken.
 */
import type { BigIntStats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { ChunkSource } from '../../protocol/ppspp/swarm.js';

/** Each costs a thread's waking. */
const BLOCK_BYTES = 1_024 * 1_024;
/** Blocks kept because somebody asked for a chunk of theirs: 32 MiB. */
const MAX_CACHED = 32;
/** Blocks with chunks in them that are not written: as many. */
const MAX_GATHERING = 32;
/** Writes under way, in blocks; past it nothing more should be fetched. */
const MAX_WRITING = 64;
/**
 * Memory of blocks that are done with is used again: new memory for each makes work for the system and the garbage collector.
 * So many are on their way to the disk at once when three hosts fill them. 16 MiB.
 */
const MAX_SPARE = 16;

interface Gathering {
  readonly bytes: Buffer;
  readonly chunks: ChunkSet;
}

export interface ChunkFileOptions {
  readonly file: FileHandle;
  readonly chunkBytes: number;
  /** A chunk that was not at hand now is. */
  readonly onLoaded: () => void;
  /** The file cannot be read or written, or is no longer what it was. Told once. */
  readonly onBroken: (error: unknown) => void;
  /** What the file must stay; undefined: it is being written here. */
  readonly unchanged?: BigIntStats;
}

export class ChunkFile implements ChunkSource {
  /** What is in the file. */
  readonly written = new ChunkSet();
  readonly #options: ChunkFileOptions;
  readonly #blockChunks: number;
  readonly #gathering = new Map<number, Gathering>();
  /** Blocks on their way into the file; of each the newest last. */
  readonly #writing = new Set<{ readonly block: number } & Gathering>();
  /** Least recently used first. */
  readonly #cache = new Map<number, Buffer>();
  readonly #spare: Buffer[] = [];
  /** Blocks that are being loaded, unless a write to them ended meanwhile. */
  readonly #loading = new Set<number>();
  readonly #busy = new Map<number | object, Promise<void>>();
  /** Why nothing more is read or written. */
  #broken: { readonly error: unknown } | undefined;

  constructor(options: ChunkFileOptions) {
    this.#options = options;
    this.#blockChunks = Math.max(1, Math.floor(BLOCK_BYTES / options.chunkBytes));
  }

  /** The disk is slower than what comes. */
  get isFull(): boolean {
    return this.#writing.size >= MAX_WRITING;
  }

  read(chunk: number): Uint8Array | undefined {
    if (this.#broken !== undefined) return undefined;
    const block = Math.floor(chunk / this.#blockChunks);
    const place = (chunk % this.#blockChunks) * this.#options.chunkBytes;
    const bytes = this.#inMemory(block, chunk) ?? this.#cache.get(block);
    if (bytes !== undefined) return bytes.subarray(place, place + this.#options.chunkBytes);
    this.#load(block);
    return undefined;
  }

  /** Chunks that follow one another. Takes a copy. */
  write(first: number, chunks: readonly Uint8Array[]): void {
    for (let done = 0; done < chunks.length; ) {
      const room = this.#blockChunks - ((first + done) % this.#blockChunks);
      this.#gather(first + done, chunks.slice(done, done + room));
      done += room;
    }
  }

  /** Chunks of one block. */
  #gather(first: number, chunks: readonly Uint8Array[]): void {
    const { chunkBytes } = this.#options;
    const block = Math.floor(first / this.#blockChunks);
    const gathering = this.#gathering.get(block) ?? this.#begin(block);
    let place = (first % this.#blockChunks) * chunkBytes;
    for (const bytes of chunks) {
      gathering.bytes.set(bytes, place);
      place += bytes.length;
    }
    const last = first + chunks.length - 1;
    gathering.chunks.add({ start: first, end: last });
    // The end of the content ends the block: nothing comes after it.
    const isEnd = chunks.at(-1)!.length < chunkBytes;
    const end = isEnd ? last : (block + 1) * this.#blockChunks - 1;
    if (isEnd) this.#shorten(block, gathering, place);
    if (gathering.chunks.covers({ start: block * this.#blockChunks, end })) this.#writeOut(block);
    else if (this.#gathering.size > MAX_GATHERING) this.#writeOut(this.#gathering.keys().next().value!);
  }

  /** Writes what was gathered; resolves when the file has it, on a disk that tells the truth. Rejects when it takes less. */
  async checkpoint(): Promise<void> {
    for (const block of [...this.#gathering.keys()]) this.#writeOut(block);
    await this.settled();
    if (this.#broken !== undefined) throw this.#broken.error;
    await this.#options.file.datasync();
  }

  /** Nothing is being read or written. */
  async settled(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy.values());
  }

  #begin(block: number): Gathering {
    const bytes = this.#emptyBlock();
    const gathering = { bytes, chunks: new ChunkSet() };
    this.#gathering.set(block, gathering);
    return gathering;
  }

  #shorten(block: number, { bytes, chunks }: Gathering, length: number): void {
    this.#gathering.set(block, { bytes: bytes.subarray(0, length), chunks });
  }

  #inMemory(block: number, chunk: number): Uint8Array | undefined {
    const gathering = this.#gathering.get(block);
    if (gathering?.chunks.has(chunk)) return gathering.bytes;
    for (const writing of this.#writing)
      if (writing.block === block && writing.chunks.has(chunk)) return writing.bytes;
    return undefined;
  }

  #writeOut(block: number): void {
    const gathered = this.#gathering.get(block)!;
    const writing = { block, ...gathered };
    this.#gathering.delete(block);
    this.#writing.add(writing);
    this.#track(writing, async () => {
      for (const { start, end } of gathered.chunks.ranges) await this.#writeRange(writing, start, end);
      this.#writing.delete(writing);
      // Until now these chunks were read from memory; what was loaded of the block before may lack them.
      this.#loading.delete(block);
      this.#forget(block);
      this.#spareBlock(writing.bytes);
    });
  }

  async #writeRange(
    { block, bytes }: { block: number } & Gathering,
    start: number,
    end: number,
  ): Promise<void> {
    const { file, chunkBytes } = this.#options;
    const base = block * this.#blockChunks;
    const to = Math.min(bytes.length, (end + 1 - base) * chunkBytes);
    for (let at = (start - base) * chunkBytes; at < to; ) {
      const { bytesWritten } = await file.write(bytes, at, to - at, base * chunkBytes + at);
      at += bytesWritten;
    }
    this.written.add({ start, end });
  }

  #load(block: number): void {
    if (this.#busy.has(block)) return;
    this.#loading.add(block);
    this.#track(block, async () => {
      const { file, unchanged } = this.#options;
      const bytes = this.#emptyBlock();
      let length = 0;
      while (length < bytes.length) {
        const { bytesRead } = await file.read(
          bytes,
          length,
          bytes.length - length,
          block * bytes.length + length,
        );
        if (bytesRead === 0) break;
        length += bytesRead;
      }
      if (unchanged !== undefined) checkUnchanged(unchanged, await file.stat({ bigint: true }));
      // Loaded again when it is asked for.
      if (!this.#loading.delete(block)) return;
      this.#cache.set(block, bytes.subarray(0, length));
      if (this.#cache.size > MAX_CACHED) this.#forget(this.#cache.keys().next().value!);
    });
  }

  #forget(block: number): void {
    const bytes = this.#cache.get(block);
    if (bytes === undefined) return;
    this.#cache.delete(block);
    this.#spareBlock(bytes);
  }

  #emptyBlock(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafe(this.#blockChunks * this.#options.chunkBytes);
  }

  /** Nobody reads it any more: what `read` gave is not kept. */
  #spareBlock(bytes: Buffer): void {
    const isWhole = bytes.length === this.#blockChunks * this.#options.chunkBytes;
    if (isWhole && this.#spare.length < MAX_SPARE) this.#spare.push(bytes);
  }

  #track(key: number | object, work: () => Promise<void>): void {
    const done = work()
      .catch((error: unknown) => {
        if (this.#broken !== undefined) return;
        this.#broken = { error };
        this.#options.onBroken(error);
      })
      .finally(() => {
        this.#busy.delete(key);
        if (typeof key === 'number') this.#options.onLoaded();
      });
    this.#busy.set(key, done);
  }
}

/** A file that is served is not what its tree was made of any more. */
class FileChanged extends Error {
  override readonly name = 'FileChanged';
}

export function checkUnchanged(before: BigIntStats, now: BigIntStats): void {
  const same = before.size === now.size && before.mtimeNs === now.mtimeNs && before.ino === now.ino;
  if (!same) throw new FileChanged('the file has changed since its swarm ID was computed');
}
