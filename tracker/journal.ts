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
import type { Registry, Run, Told } from './registry/registry.js';

const BLOCK_SONGS = 64;
const REVISION_BYTES = 4;
/** Of SHA-1: two rows of one song alike in 2⁶⁴. */
const PRINT_BYTES = 8;
const ENTRY_BYTES = REVISION_BYTES + PRINT_BYTES;
const LEFT = '\0'.repeat(PRINT_BYTES);
/**
 * Who missed more gets the list. Some 2 MB, which 10,000 readers would be sent; to make it takes 20 ms, and what has left
 * takes no more memory than this many blocks.
 */
export const MAX_CHANGES = 10_000;
/** How many are forgotten together: to find the oldest of a Map from which much was deleted takes a walk. */
export const FORGOTTEN_AT_ONCE = 1_000;
/** Who was away for so many restarts gets the list. */
const MAX_RUNS = 32;

interface Block {
  readonly bytes: Buffer;
  listed: number;
}

export class Journal {
  readonly #registry: Pick<Registry, 'told' | 'saveTold' | 'flushed'>;
  readonly #blocks = new Map<number, Block>();
  /** Songs whose row changed after the first revision of `#runs`, with the last that changed it; the newest is last. */
  readonly #changed = new Map<SongId, number>();
  readonly #unsaved = new Set<number>();
  /** The first begins with the oldest revision after which all changes are known; the last one is this run. */
  readonly #runs: Run[];
  #saving: Promise<void> = Promise.resolve();
  #waiting: Promise<void> | undefined;

  constructor(registry: Pick<Registry, 'revision' | 'told' | 'saveTold' | 'flushed'>) {
    const { runs, blocks } = registry.told();
    this.#registry = registry;
    this.#runs = [...runs.slice(1 - MAX_RUNS), { first: registry.revision, last: registry.revision }];
    this.#load(blocks);
  }

  /** The list's. */
  get revision(): number {
    return this.#runs.at(-1)!.last;
  }

  /** The coming revision says this row of the song, or that it left. What was said already is no change. */
  note(id: SongId, row: Buffer | undefined): void {
    const number = blockOf(id);
    const block = this.#blocks.get(number) ?? (row && this.#open(number));
    if (block === undefined) return;
    const start = (id % BLOCK_SONGS) * ENTRY_BYTES;
    const print = row === undefined ? LEFT : printOf(row);
    const before = printAt(block.bytes, start);
    if (print === before) return;
    block.listed += Number(row !== undefined) - Number(before !== LEFT);
    const revision = nextRevision(this.revision);
    writeU32(block.bytes, revision, start);
    block.bytes.write(print, start + REVISION_BYTES, 'latin1');
    this.#unsaved.add(number);
    this.#changed.delete(id);
    this.#change(id, revision);
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
        if (printAt(bytes, index * ENTRY_BYTES) !== LEFT) yield (number * BLOCK_SONGS + index) as SongId;
  }

  /** It is known what has changed since. */
  knows(revision: number): boolean {
    return this.#runs.some(({ first, last }) => !isNewer(first, revision) && !isNewer(revision, last));
  }

  /** Songs whose row changed after a revision that is known, each with the last that changed it; the newest first. */
  changes(): readonly (readonly [SongId, number])[] {
    return [...this.#changed].reverse();
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

  #load(blocks: Told['blocks']): void {
    const oldest = this.#runs[0]!.first;
    const changes: [SongId, number][] = [];
    for (const [number, stored] of blocks) {
      const block = this.#open(number, stored);
      for (let index = 0; index < BLOCK_SONGS; index += 1) {
        const start = index * ENTRY_BYTES;
        const revision = block.bytes.readUInt32BE(start);
        if (printAt(block.bytes, start) !== LEFT) block.listed += 1;
        if (revision !== 0 && isNewer(revision, oldest))
          changes.push([(number * BLOCK_SONGS + index) as SongId, revision]);
      }
    }
    changes.sort(([, a], [, b]) => (a - b) | 0);
    for (const [id, revision] of changes) this.#change(id, revision);
    for (const number of this.#blocks.keys()) this.#forget(number);
  }

  #open(number: number, stored?: Buffer): Block {
    const block = { bytes: Buffer.alloc(BLOCK_SONGS * ENTRY_BYTES), listed: 0 };
    stored?.copy(block.bytes);
    this.#blocks.set(number, block);
    return block;
  }

  /** Past the bound the oldest are forgotten, and with them who has been away since before that. */
  #change(id: SongId, revision: number): void {
    this.#changed.set(id, revision);
    if (this.#changed.size < MAX_CHANGES + FORGOTTEN_AT_ONCE) return;
    let forgotten = 0;
    for (const [oldest, from] of this.#changed) {
      this.#changed.delete(oldest);
      while (this.#runs.length > 1 && isNewer(from, this.#runs[0]!.last)) this.#runs.shift();
      const { first, last } = this.#runs[0]!;
      if (isNewer(from, first)) this.#runs[0] = { first: from, last };
      this.#forget(blockOf(oldest));
      forgotten += 1;
      if (forgotten === FORGOTTEN_AT_ONCE) return;
    }
  }

  /** A block whose songs have all left, and nobody has to be told. */
  #forget(number: number): void {
    if (this.#blocks.get(number)?.listed !== 0) return;
    for (let id = number * BLOCK_SONGS; id < (number + 1) * BLOCK_SONGS; id += 1)
      if (this.#changed.has(id as SongId)) return;
    this.#blocks.delete(number);
    this.#unsaved.add(number);
  }
}

const blockOf = (id: SongId): number => Math.floor(id / BLOCK_SONGS);

/** As a string of bytes: to make one takes a fifth of what a Buffer takes. */
const printOf = (row: Buffer): string => hash('sha1', row, 'binary').slice(0, PRINT_BYTES);

const printAt = (bytes: Buffer, start: number): string =>
  bytes.toString('latin1', start + REVISION_BYTES, start + ENTRY_BYTES);
