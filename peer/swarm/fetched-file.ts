/**
 * A file on its way from a swarm: what is proven is kept through a crash, and the file appears whole or not at all.
 *
 *     chunks ─▶ OUT.part ─ each second ─ datasync ─▶ OUT.part.json: which are here, and what proves them
 *                  └─ complete ─ rename ─▶ OUT
 *     OUT.part.lock: who fetches to there, one at a time
 *
 * The rule: the note never says of a chunk that it is here before the disk has it. At the next start all of them are
 * hashed again, and what does not lead to the root is not believed: then it begins anew.
 */
import { type FileHandle, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fromHex, toHex } from '../../protocol/bytes.js';
import { hashChunk } from '../../protocol/merkle.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { SwarmMetadata } from '../../protocol/ppspp/handshake.js';
import type { HashTree } from '../../protocol/ppspp/hash-tree.js';
import { frontierOf, rebuiltNodes } from '../../protocol/ppspp/kept-tree.js';
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
  readonly #options: FetchedFileOptions;
  readonly #file: FileHandle;
  readonly #lock: Lock | undefined;
  /** What came can be gone on from. */
  #hasNote = false;
  #savedChanges = 0;
  #saving: Promise<void> | undefined;

  private constructor(options: FetchedFileOptions, file: FileHandle, lock: Lock | undefined) {
    this.#options = options;
    this.#file = file;
    this.#lock = lock;
    const { onLoaded, onBroken, metadata } = options;
    this.chunks = new ChunkFile({ file, chunkBytes: metadata.chunkBytes, onLoaded, onBroken });
  }

  /** Rejects with the file system's error, or CommandError `in-use` while another process fetches to there. */
  static async open(options: FetchedFileOptions): Promise<FetchedFile> {
    const lock = await lockOf(options.path);
    try {
      const kept = await resume(options);
      if (kept === undefined) return new FetchedFile(options, await open(partOf(options.path), 'w+'), lock);
      const fetched = new FetchedFile(options, kept.file, lock);
      for (const range of kept.have.ranges) fetched.chunks.written.add(range);
      fetched.#hasNote = true;
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
      nodes: frontierOf(tree, written).map(([bin, hash]) => [bin, toHex(hash)]),
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

/** The file and what of it is true; undefined when there is nothing to go on from. */
async function resume(
  options: FetchedFileOptions,
): Promise<{ file: FileHandle; have: ChunkSet } | undefined> {
  const { path, metadata, tree } = options;
  const note = await readNote(noteOf(path));
  if (note === undefined || note.swarm !== toHex(metadata.swarmId) || note.hash !== metadata.hash)
    return undefined;
  if (note.chunkBytes !== metadata.chunkBytes) return undefined;
  const file = await open(partOf(path), 'r+').catch(() => undefined);
  if (file === undefined) return undefined;
  const have = new ChunkSet();
  for (const [start, end] of note.have) have.add({ start, end });
  const leaves = await leavesOf(file, have, metadata);
  const nodes =
    leaves &&
    rebuiltNodes({
      root: metadata.swarmId,
      hash: metadata.hash,
      chunks: note.chunks,
      have,
      frontier: new Map(note.nodes.map(([bin, hash]) => [bin, fromHex(hash) ?? new Uint8Array()])),
      leafOf: chunk => leaves.get(chunk)!,
    });
  if (nodes === undefined) {
    await file.close();
    return undefined;
  }
  tree.rebuild(note.chunks, note.size, nodes);
  return { file, have };
}

async function readNote(path: string): Promise<Note | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Note;
  } catch {
    return undefined;
  }
}

/** Undefined when the file is shorter than it should be. */
async function leavesOf(
  file: FileHandle,
  have: ChunkSet,
  { chunkBytes, hash }: SwarmMetadata,
): Promise<Map<number, Uint8Array> | undefined> {
  const leaves = new Map<number, Uint8Array>();
  const together = Math.max(1, Math.floor((1_024 * 1_024) / chunkBytes));
  for (const { start, end } of have.ranges) {
    for (let first = start; first <= end; first += together) {
      const count = Math.min(together, end - first + 1);
      const bytes = Buffer.allocUnsafe(count * chunkBytes);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, first * chunkBytes);
      if (bytesRead <= (count - 1) * chunkBytes) return undefined;
      for (let i = 0; i < count; i += 1) {
        const chunk = bytes.subarray(i * chunkBytes, Math.min(bytesRead, (i + 1) * chunkBytes));
        leaves.set(first + i, hashChunk(chunk, hash));
      }
    }
  }
  return leaves;
}
