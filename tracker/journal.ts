/**
 * What readers were told of each song and when, kept over restarts, so that `since` is answered with what changed.
 *
 *     ID ─▶ block ⌊ID / 64⌋ of 64 entries:  ┌ revision that last changed its row (u32) ┬ print of that row, 8 bytes ┐   0: left
 *
 * The rule: the prints on disk are those of the list at the last revision of `runs`, all of them, because they get there
 * together. So a run that begins knows which songs are not as they were told, however the run before it ended and
 * whatever else was durable by then; and a revision outside `runs`, told but not written, is known to be unknown.
 */
import { hash } from 'node:crypto';
import { writeU32 } from '../protocol/bytes.js';
import type { SongId } from '../protocol/tsp/messages.js';
import { isNewer, nextRevision } from '../protocol/tsp/revision.js';
import type { Registry, Run } from './registry/registry.js';

const BLOCK_SONGS = 64;
const REVISION_BYTES = 4;
/** Of SHA-1: two rows of one song alike in 2⁶⁴. */
const PRINT_BYTES = 8;
const ENTRY_BYTES = REVISION_BYTES + PRINT_BYTES;
const LEFT = Buffer.alloc(PRINT_BYTES);
/** Blocks whose songs have all left say so to those who come back. 100,000 songs are more than a list would be shorter than. */
const MAX_LEFT_BLOCKS = 1_600;
/** Who was away for so many restarts gets the list. */
const MAX_RUNS = 32;

interface Block {
  readonly bytes: Buffer;
  newest: number;
  listed: number;
}

export interface Change {
  readonly id: SongId;
  /** The last that changed its row. */
  readonly revision: number;
}

export class Journal {
  readonly #registry: Pick<Registry, 'told' | 'saveTold' | 'flushed'>;
  readonly #blocks = new Map<number, Block>();
  /** Blocks without a listed song, in the order in which they came to that. */
  readonly #left = new Set<number>();
  readonly #unsaved = new Set<number>();
  /** The last one is this run. */
  readonly #runs: Run[];
  #saving: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;

  constructor(registry: Pick<Registry, 'revision' | 'told' | 'saveTold' | 'flushed'>) {
    const { runs, blocks } = registry.told();
    this.#registry = registry;
    this.#runs = [...runs.slice(1 - MAX_RUNS), { first: registry.revision, last: registry.revision }];
    for (const [number, bytes] of blocks) if (bytes !== undefined) this.#load(number, bytes);
  }

  /** The list's. */
  get revision(): number {
    return this.#runs.at(-1)!.last;
  }

  /** The coming revision says this row of the song, or that it left. What was said already is no change. */
  note(id: SongId, row: Buffer | undefined): void {
    const number = Math.floor(id / BLOCK_SONGS);
    const block = this.#blocks.get(number) ?? this.#open(number);
    const start = (id % BLOCK_SONGS) * ENTRY_BYTES;
    const print = row === undefined ? LEFT : hash('sha1', row, 'buffer');
    const at = start + REVISION_BYTES;
    if (print.compare(block.bytes, at, at + PRINT_BYTES, 0, PRINT_BYTES) === 0) return;
    const wasListed = isListed(block.bytes, start);
    print.copy(block.bytes, at, 0, PRINT_BYTES);
    block.newest = nextRevision(this.revision);
    writeU32(block.bytes, block.newest, start);
    block.listed += Number(row !== undefined) - Number(wasListed);
    this.#unsaved.add(number);
    if (block.listed > 0) this.#left.delete(number);
    else this.#blockLeft(number);
  }

  /** The coming revision has come. */
  turn(): void {
    const { first, last } = this.#runs.pop()!;
    this.#runs.push({ first, last: nextRevision(last) });
  }

  /** Everything that a reader may have been told is listed. */
  *listed(): Iterable<SongId> {
    for (const [number, { bytes }] of this.#blocks)
      for (let index = 0; index < BLOCK_SONGS; index += 1)
        if (isListed(bytes, index * ENTRY_BYTES)) yield (number * BLOCK_SONGS + index) as SongId;
  }

  /** It is known what has changed since. */
  knows(revision: number): boolean {
    return this.#runs.some(({ first, last }) => !isNewer(first, revision) && !isNewer(revision, last));
  }

  /** Every song whose row changed after the oldest revision that is known, the newest change first. */
  changes(): Change[] {
    const oldest = this.#runs[0]!.first;
    const changes: Change[] = [];
    for (const [number, { bytes, newest }] of this.#blocks) {
      if (!isNewer(newest, oldest)) continue;
      for (let index = 0; index < BLOCK_SONGS; index += 1) {
        const revision = bytes.readUInt32BE(index * ENTRY_BYTES);
        if (revision !== 0 && isNewer(revision, oldest))
          changes.push({ id: (number * BLOCK_SONGS + index) as SongId, revision });
      }
    }
    return changes.sort((a, b) => (b.revision - a.revision) | 0);
  }

  /** Resolves when all that was noted is durable, or can't be made so: then the next call tries again. */
  save(): Promise<void> {
    // One after the other: what one could not write has to go with the next.
    this.#waiting ??= this.#saving = this.#saving.then(() => {
      this.#waiting = undefined;
      return this.#save();
    });
    return this.#waiting;
  }

  async #save(): Promise<void> {
    const numbers = [...this.#unsaved];
    this.#unsaved.clear();
    const blocks = numbers.map(number => {
      const block = this.#blocks.get(number);
      return [number, block && Buffer.from(block.bytes)] as const;
    });
    this.#registry.saveTold({ runs: [...this.#runs], blocks });
    try {
      await this.#registry.flushed();
    } catch {
      for (const number of numbers) this.#unsaved.add(number);
    }
  }

  #load(number: number, stored: Buffer): void {
    const block: Block = { bytes: Buffer.from(stored), newest: 0, listed: 0 };
    for (let start = 0; start < block.bytes.length; start += ENTRY_BYTES) {
      const revision = block.bytes.readUInt32BE(start);
      if (block.newest === 0 || isNewer(revision, block.newest)) block.newest = revision;
      if (isListed(block.bytes, start)) block.listed += 1;
    }
    this.#blocks.set(number, block);
    if (block.listed === 0) this.#left.add(number);
  }

  #open(number: number): Block {
    const block = { bytes: Buffer.alloc(BLOCK_SONGS * ENTRY_BYTES), newest: 0, listed: 0 };
    this.#blocks.set(number, block);
    return block;
  }

  /** Memory is bounded: the block that left first is forgotten, and with it what was before that. */
  #blockLeft(number: number): void {
    this.#left.add(number);
    if (this.#left.size <= MAX_LEFT_BLOCKS) return;
    const [oldest] = this.#left as Iterable<number>;
    const { newest } = this.#blocks.get(oldest!)!;
    this.#left.delete(oldest!);
    this.#blocks.delete(oldest!);
    this.#unsaved.add(oldest!);
    while (this.#runs.length > 1 && isNewer(newest, this.#runs[0]!.last)) this.#runs.shift();
    const { first, last } = this.#runs[0]!;
    if (isNewer(newest, first)) this.#runs[0] = { first: newest, last };
  }
}

const isListed = (bytes: Buffer, start: number): boolean =>
  bytes.compare(LEFT, 0, PRINT_BYTES, start + REVISION_BYTES, start + ENTRY_BYTES) !== 0;
