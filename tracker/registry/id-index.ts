/**
 * Where the ID of a content is found, without its hash being kept here: some 16 bytes an ID, whatever is on disk.
 *
 *     hash ─▶ tag (32 bits) ─▶ slots [tag · ID] from there on ─▶ the ID whose hash is this one, as the store says
 *
 * A tag is the sum of the hash's words, each times a number that is drawn anew in every run: who makes hashes up cannot
 * have many of them in one place.
 */
import { readU32 } from '../../protocol/bytes.js';
import type { RandomBytes } from '../../protocol/ports.js';
import { HASH_BYTES } from '../../protocol/tsp/constants.js';
import type { SongId } from '../../protocol/tsp/messages.js';

const WORD_BYTES = 4;
const WORD_BITS = 32;
const LEAST_BITS = 10;
const FREE = 0;

export class IdIndex {
  readonly #factors: Uint32Array;
  #bits = LEAST_BITS;
  #tags = new Uint32Array(2 ** LEAST_BITS);
  #ids = new Uint32Array(2 ** LEAST_BITS);
  #size = 0;

  constructor(randomBytes: RandomBytes) {
    const drawn = randomBytes(HASH_BYTES);
    this.#factors = Uint32Array.from(
      { length: HASH_BYTES / WORD_BYTES },
      (_, n) => readU32(drawn, n * WORD_BYTES) | 1,
    );
  }

  /** How many IDs. */
  get size(): number {
    return this.#size;
  }

  /** The hash, 32 bytes of `bytes` from `at` on, is not in it yet. */
  add(id: SongId, bytes: Uint8Array, at = 0): void {
    // Three in four are taken at most.
    if (4 * (this.#size + 1) > 3 * this.#ids.length) this.#grow();
    this.#put(this.#tagOf(bytes, at), id);
    this.#size += 1;
  }

  /** `isIts` is asked of the few whose tag is that of `hash`. */
  find(hash: Uint8Array, isIts: (id: SongId) => boolean): SongId | undefined {
    const tag = this.#tagOf(hash, 0);
    const last = this.#ids.length - 1;
    for (let at = this.#placeOf(tag); this.#ids[at] !== FREE; at = (at + 1) & last) {
      const id = this.#ids[at] as SongId;
      if (this.#tags[at] === tag && isIts(id)) return id;
    }
    return undefined;
  }

  #tagOf(bytes: Uint8Array, at: number): number {
    let tag = 0;
    for (let n = 0; n < this.#factors.length; n += 1)
      tag = (tag + Math.imul(readU32(bytes, at + n * WORD_BYTES), this.#factors[n]!)) | 0;
    return tag >>> 0;
  }

  /** By the highest bits, in which all others have a part. */
  #placeOf(tag: number): number {
    return tag >>> (WORD_BITS - this.#bits);
  }

  #put(tag: number, id: number): void {
    const last = this.#ids.length - 1;
    let at = this.#placeOf(tag);
    while (this.#ids[at] !== FREE) at = (at + 1) & last;
    this.#tags[at] = tag;
    this.#ids[at] = id;
  }

  #grow(): void {
    const [tags, ids] = [this.#tags, this.#ids];
    this.#bits += 1;
    this.#tags = new Uint32Array(2 ** this.#bits);
    this.#ids = new Uint32Array(2 ** this.#bits);
    for (let at = 0; at < ids.length; at += 1) if (ids[at] !== FREE) this.#put(tags[at]!, ids[at]!);
  }
}
