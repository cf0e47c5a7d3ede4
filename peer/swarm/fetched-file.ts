/**
 * A file on its way from a swarm: what is proven is kept through a crash, and the file appears whole or not at all.
 *
 *     chunks ─▶ OUT.part ─ each second ─ datasync ─▶ OUT.part.json: which are here, and what proves them
 *                  └─ complete ─ rename ─▶ OUT
 *     OUT.part.lock: who fetches to there, one at a time
 *
 * The rule: the note never says of a chunk that it is here before the disk has it. At the next start all of them are
 * hashed again: what was damaged meanwhile is lost, with its neighbours under one node of the note, and the rest is kept.
 */
import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fromHex, toHex } from '../../protocol/bytes.js';
import { layerOf, rangeOf } from '../../protocol/ppspp/bins.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import type { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { cutOf, nodesFrom } from '../../protocol/ppspp/kept-tree.js';
import { inUseError } from '../failures/failure.js';
import { type Lock, takeLock } from '../lock-file.js';
import { ChunkFile } from './chunk-file.js';

/** How much a crash may cost. */
export const CHECKPOINT_MS = 1_000;

interface Note {
  readonly swarm: string;
  readonly hash: string;
  readonly chunkBytes: number;
  readonly chunks: number;
  readonly size?: number;
  readonly have: readonly (readonly [number, number])[];
  readonly nodes: readonly (readonly [number, string])[];
}

export interface FetchedFileOptions {
  /** Where it is to be. */
  readonly path: string;
  readonly metadata: SwarmMetadata;
  /** New; what is resumed is restored in it. */
  readonly tree: HashTree;
  readonly onLoaded: () => void;
  readonly onBroken: (error: unknown) => void;
}

export class FetchedFile {
  readonly chunks: ChunkFile;
  /** Chunks that were here when this was left, and are not what they were. */
  readonly lostChunks: number;
  readonly #options: FetchedFileOptions;
  readonly #file: FileHandle;
  readonly #lock: Lock | undefined;
  /** What came can be gone on from. */
  #hasNote = false;
  #savedChanges = 0;
  #saving: Promise<void> | undefined;

  private constructor(options: FetchedFileOptions, { file, lostChunks }: Opened, lock: Lock | undefined) {
    this.#options = options;
    this.#file = file;
    this.#lock = lock;
    this.lostChunks = lostChunks;
    const { onLoaded, onBroken, metadata } = options;
    this.chunks = new ChunkFile({ file, chunkBytes: metadata.chunkBytes, onLoaded, onBroken });
  }

  /** Rejects with the file system's error, or CommandError `in-use` while another process fetches to there. */
  static async open(options: FetchedFileOptions): Promise<FetchedFile> {
    const lock = await lockOf(options.path);
    try {
      const opened = await openPart(options);
      const fetched = new FetchedFile(options, opened, lock);
      for (const range of opened.have.ranges) fetched.chunks.written.add(range);
      fetched.#hasNote = !opened.have.isEmpty;
      fetched.#savedChanges = fetched.chunks.written.changes;
      return fetched;
    } catch (error) {
      await lock?.release();
      throw error;
    }
  }

  /** What came is on the disk and noted. */
  async save(): Promise<void> {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
    await this.#saving;
  }

  /** All is here: it gets its name. */
  async finish(): Promise<void> {
    await this.#saving?.catch(() => {});
    await this.chunks.checkpoint();
    const { size } = this.#options.tree;
    // Something may have been written behind its end while nobody was here.
    if (size !== undefined) await this.#file.truncate(size);
    await this.#file.close();
    await rename(partOf(this.#options.path), this.#options.path);
    await rm(noteOf(this.#options.path), { force: true });
    await this.#lock?.release();
  }

  /** What came stays as it is, for the next start; where that could not go on from it, nothing stays. */
  async close(): Promise<void> {
    await this.save().catch(() => {});
    if (!this.#hasNote) return await this.discard();
    await this.#file.close();
    await this.#lock?.release();
  }

  /** Nothing of it stays. */
  async discard(): Promise<void> {
    await this.#saving?.catch(() => {});
    await this.chunks.settled();
    await this.#file.close();
    for (const path of [noteOf(this.#options.path), partOf(this.#options.path)])
      await rm(path, { force: true });
    await this.#lock?.release();
  }

  async #save(): Promise<void> {
    const { path, metadata, tree } = this.#options;
    await this.chunks.checkpoint();
    const { written } = this.chunks;
    if (written.changes === this.#savedChanges || tree.chunks === undefined) return;
    this.#savedChanges = written.changes;
    const note: Note = {
      swarm: toHex(metadata.swarmId),
      hash: metadata.hash,
      chunkBytes: metadata.chunkBytes,
      chunks: tree.chunks,
      ...(tree.size === undefined ? {} : { size: tree.size }),
      have: written.ranges.map(({ start, end }) => [start, end]),
      nodes: cutOf(tree, written).map(([bin, hash]) => [bin, toHex(hash)]),
    };
    const fresh = `${noteOf(path)}.new`;
    try {
      await writeFile(fresh, JSON.stringify(note));
      await rename(fresh, noteOf(path));
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
    this.#hasNote = true;
  }
}

export const partOf = (path: string): string => `${path}.part`;
const noteOf = (path: string): string => `${path}.part.json`;

/** Undefined where the file system has no links. What else is wrong there shows when the file is opened. */
async function lockOf(path: string): Promise<Lock | undefined> {
  const lock = await takeLock(`${partOf(path)}.lock`).catch(() => undefined);
  if (lock === undefined || !('heldBy' in lock)) return lock;
  throw inUseError(lock.heldBy, `is fetching to ${path}`, '-o names another file');
}

interface Opened {
  readonly file: FileHandle;
  /** What of it is true. */
  readonly have: ChunkSet;
  readonly lostChunks: number;
}

/** To go on with, if anything of it is true; else new. */
async function openPart(options: FetchedFileOptions): Promise<Opened> {
  const { path, metadata, tree } = options;
  const note = await readNote(noteOf(path), metadata);
  const file = note && (await open(partOf(path), 'r+').catch(() => undefined));
  const have = new ChunkSet();
  if (note === undefined || file === undefined)
    return { file: await open(partOf(path), 'w+'), have, lostChunks: 0 };
  const { chunks, size, noted, cut } = note;
  const nodes = nodesFrom({ root: metadata.swarmId, hash: metadata.hash, chunks, cut });
  if (nodes !== undefined) {
    tree.rebuild(chunks, nodes);
    for (const bin of cut.keys())
      if (noted.covers(rangeOf(bin)) && (await isTrue(file, tree, bin, size))) have.add(rangeOf(bin));
  }
  if (have.isEmpty) await file.truncate();
  return { file, have, lostChunks: noted.size - have.size };
}

/** Undefined where there is none of this swarm, or none that can be read. */
async function readNote(path: string, { swarmId, hash, chunkBytes }: SwarmMetadata) {
  try {
    const note = JSON.parse(await readFile(path, 'utf8')) as Note;
    if (note.swarm !== toHex(swarmId) || note.hash !== hash || note.chunkBytes !== chunkBytes)
      return undefined;
    const noted = new ChunkSet();
    for (const [start, end] of note.have) noted.add({ start, end });
    const cut = new Map(note.nodes.map(([bin, hex]) => [bin, fromHex(hex) ?? new Uint8Array()]));
    return { chunks: note.chunks, size: note.size, noted, cut };
  } catch {
    return undefined;
  }
}

/** Whether the chunks below a proven node are what it says. `size`: as noted, for more may have been written behind it. */
async function isTrue(
  file: FileHandle,
  tree: HashTree,
  bin: number,
  size = Number.POSITIVE_INFINITY,
): Promise<boolean> {
  const { start, end } = rangeOf(bin);
  const bytes = Buffer.allocUnsafe((end + 1 - start) * tree.chunkBytes);
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start * tree.chunkBytes);
  const length = Math.min(bytesRead, size - start * tree.chunkBytes);
  return tree.verifyPiece(start, bytes.subarray(0, length), layerOf(bin));
}
