/**
 * A song that is partly in the disk cache: its proven pieces at their places, and a bitmap of those that are there.
 *
 *     add(piece) ─▶ [ waiting ] ─▶ HASH.part: the piece ─▶ HASH.map: its bit          a start later ─▶ resume ─▶ read
 *
 * The rule: a bit follows its piece, so whoever is killed leaves a true map; what a machine without power left may be
 * anything, so each piece is proven again before it is used. What is not true costs a new fetch of it, and no more. On a disk that
 * is slower than the network some pieces are not kept. Nothing is open while nothing is written.
 */
import { type FileHandle, rename, stat, truncate } from 'node:fs/promises';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import { type CacheFiles, inFile } from './cache-files.js';
import { isNoRoom, readFully } from './local-song.js';
import { PieceHashes } from './pieces.js';

/** Pieces of a song that this machine has kept. */
export interface KeptPieces {
  readonly hashes: PieceHashes;
  readonly indexes: ReadonlySet<number>;
  /** Proven. Rejects when it cannot be read or is not what it should be; then it is not here any more. */
  read(index: number): Promise<Uint8Array>;
}

/** Twice what a fetch holds ahead of its reader. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
const BITS = 8;

export class PartialSong implements KeptPieces {
  readonly #files: CacheFiles;
  /** On disk. */
  readonly #have = new Set<number>();
  /** Those of an earlier process that nobody has read. */
  readonly #unproven = new Set<number>();
  readonly #waiting = new Map<number, Uint8Array>();
  readonly #lastPiece: number;
  /** Of the last piece, once that is here. */
  #lastBytes = 0;
  #waitingBytes = 0;
  #isBegun = false;
  #isDiscarded = false;
  #cleared: Promise<unknown> | undefined;
  #writing: Promise<void> | undefined;
  #finishing: Promise<OfferRow | undefined> | undefined;
  /** Whole, it has another name. */
  #kind: 'part' | 'mp3' = 'part';
  #renaming: Promise<void> | undefined;

  /** Nothing of it is here. `cleared`: older files of that name are gone then. */
  constructor(
    files: CacheFiles,
    readonly offer: OfferRow,
    readonly hashes: PieceHashes,
    cleared?: Promise<unknown>,
  ) {
    this.#files = files;
    this.#lastPiece = hashes.count - 1;
    this.#cleared = cleared;
  }

  /** What an earlier process left; undefined when its files don't tell what it is. */
  static async resume(files: CacheFiles): Promise<PartialSong | undefined> {
    try {
      const { offer, nodes } = await files.readNote();
      const hashes = PieceHashes.prove(nodes, files.hash);
      if (hashes === undefined || offer.hash !== files.hash) return undefined;
      const bits = Buffer.alloc(Math.ceil(hashes.count / BITS));
      await inFile(files.path('map'), 'r', file => file.read(bits, 0, bits.length, 0));
      const { size } = await stat(files.path('part'));
      const partial = new PartialSong(files, offer, hashes);
      partial.#resume(bits, size);
      return partial;
    } catch {
      return undefined;
    }
  }

  get hash(): ContentHash {
    return this.#files.hash;
  }

  get indexes(): ReadonlySet<number> {
    return this.#have;
  }

  /** Of pieces, those that wait to be written among them. */
  get bytes(): number {
    const { size } = this.#have;
    const missingOfLast = this.#have.has(this.#lastPiece) ? PIECE_BYTES - this.#lastBytes : 0;
    return size * PIECE_BYTES - missingOfLast + this.#waitingBytes;
  }

  get isWhole(): boolean {
    return this.#have.size === this.hashes.count;
  }

  /** It is not here, and the disk keeps up. */
  wants(index: number): boolean {
    if (this.#isDiscarded || this.#have.has(index) || this.#waiting.has(index)) return false;
    return this.#waitingBytes + PIECE_BYTES <= MAX_WAITING_BYTES;
  }

  /** Takes a wanted piece; resolves when it is written, with whether all are. */
  async add(index: number, piece: Uint8Array): Promise<boolean> {
    this.#waiting.set(index, piece);
    this.#waitingBytes += piece.length;
    while (this.#waiting.has(index)) {
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined;
      });
      await this.#writing;
    }
    return this.isWhole;
  }

  async read(index: number): Promise<Uint8Array> {
    const length = index === this.#lastPiece ? this.#lastBytes : PIECE_BYTES;
    try {
      await this.#renaming;
      const path = this.#files.path(this.#kind);
      const bytes = await inFile(path, 'r', file => readFully(file, index * PIECE_BYTES, length));
      if (!this.hashes.proves(index, bytes)) throw new Error(`piece ${index} is not the song's`);
      this.#unproven.delete(index);
      return bytes;
    } catch (error) {
      if (!isNoRoom(error)) this.#have.delete(index);
      throw error;
    }
  }

  /** It is whole: it gets its name, and is described as what it is now. Undefined: some of it was not what it should be. */
  finish(): Promise<OfferRow | undefined> {
    this.#finishing ??= this.#finish().finally(() => {
      this.#finishing = undefined;
    });
    return this.#finishing;
  }

  /** Removes what is there, by whichever name. */
  async discard(): Promise<void> {
    this.#isDiscarded = true;
    this.#waiting.clear();
    await this.#writing?.catch(() => undefined);
    await this.#finishing?.catch(() => undefined);
    await this.#files.remove();
  }

  #resume(bits: Uint8Array, fileBytes: number): void {
    this.#isBegun = true;
    const { lastPieceAt, longestSize } = this.hashes;
    for (let index = 0; index <= this.#lastPiece; index += 1) {
      const isNoted = ((bits[Math.floor(index / BITS)]! >> (index % BITS)) & 1) === 1;
      const isThere =
        index < this.#lastPiece ? (index + 1) * PIECE_BYTES <= fileBytes : fileBytes > lastPieceAt;
      if (!isNoted || !isThere) continue;
      this.#have.add(index);
      this.#unproven.add(index);
    }
    this.#lastBytes = Math.min(fileBytes, longestSize) - lastPieceAt;
  }

  async #finish(): Promise<OfferRow | undefined> {
    for (const index of [...this.#unproven])
      if (this.#have.has(index)) await this.read(index).catch(() => {});
    if (!this.isWhole || this.#isDiscarded) return undefined;
    const size = this.bytes;
    const offer = { ...this.offer, size };
    await truncate(this.#files.path('part'), size);
    await this.#files.replaceNote({ offer, nodes: this.hashes.nodes });
    this.#renaming = rename(this.#files.path('part'), this.#files.path('mp3'));
    await this.#renaming;
    this.#kind = 'mp3';
    await this.#files.remove(['map']);
    return offer;
  }

  /** Rejects with ENOENT when somebody removed it. */
  async #write(): Promise<void> {
    await this.#cleared;
    if (this.#isDiscarded) return;
    const flags = this.#isBegun ? 'r+' : 'w';
    if (!this.#isBegun) await this.#files.writeNote({ offer: this.offer, nodes: this.hashes.nodes });
    await inFile(this.#files.path('part'), flags, async file => {
      await inFile(this.#files.path('map'), flags, async map => {
        this.#isBegun = true;
        // What is added meanwhile is written, too.
        for (const [index, piece] of this.#waiting) await this.#writePiece(file, map, index, piece);
      });
    });
  }

  async #writePiece(file: FileHandle, map: FileHandle, index: number, piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; )
      at += (await file.write(piece, at, piece.length - at, index * PIECE_BYTES + at)).bytesWritten;
    this.#have.add(index);
    if (index === this.#lastPiece) this.#lastBytes = piece.length;
    this.#waiting.delete(index);
    this.#waitingBytes -= piece.length;
    const place = Math.floor(index / BITS);
    await map.write(Uint8Array.of(this.#bitsAt(place)), 0, 1, place);
  }

  #bitsAt(place: number): number {
    let bits = 0;
    for (let bit = 0; bit < BITS; bit += 1) if (this.#have.has(place * BITS + bit)) bits |= 1 << bit;
    return bits;
  }
}
