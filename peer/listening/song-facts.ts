/**
 * What is known of a song while it is fetched: its proven hashes, how long it is, and who may still say.
 *
 *     HASHES ─▶ proven or a lie          INFO ─▶ a size, believed if the hashes allow it          last piece ─▶ the size
 *
 * The nodes of any level fold to the hash. Until a piece fits them, they may be of another one than was asked for.
 */
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { DownloadEvent } from '../../protocol/tsp/download.js';
import { parseHostRow } from '../../protocol/tsp/rows.js';
import type { FetchEffect } from './fetch-effects.js';
import type { Ask, FetchSource } from './fetch-source.js';
import { PieceHashes } from './pieces.js';
import type { SongToFetch } from './song-stream.js';

export class SongFacts {
  readonly #song: SongToFetch;
  #hashes: PieceHashes | undefined;
  /** The host that told the hashes, until a piece has shown that they are of the right level. */
  #teller: string | undefined;
  #infoAsked = false;
  /** The last piece, proven: with it the size is no claim any more. */
  lastPiece: Uint8Array | undefined;

  constructor(song: SongToFetch, hashes: PieceHashes | undefined) {
    this.#song = song;
    this.#hashes = hashes;
  }

  /** Proven nodes, as soon as there are some. */
  get hashes(): PieceHashes | undefined {
    return this.#hashes;
  }

  /** False: these are not the song's. */
  prove(nodes: Uint8Array, teller: string): boolean {
    this.#hashes = PieceHashes.prove(nodes, this.#song.hash);
    this.#teller = teller;
    return this.#hashes !== undefined;
  }

  /** A piece has shown that the hashes are of the right level. */
  get areVouched(): boolean {
    return this.#hashes !== undefined && this.#teller === undefined;
  }

  /** A piece fits the hashes; a short one at the end says little of their level. */
  vouch(piece: Uint8Array): void {
    if (piece.length === PIECE_BYTES || this.#hashes?.count === 1) this.#teller = undefined;
  }

  /** Who told hashes that nothing vouches for: they are not known any more. Undefined: they stay. */
  forget(): string | undefined {
    const teller = this.#teller;
    if (teller !== undefined) this.#hashes = undefined;
    this.#teller = undefined;
    return teller;
  }

  /** Only a host can say how long the song is before its last piece does. */
  askInfo(source: FetchSource): Ask[] {
    const { id } = this.#song;
    if (this.#infoAsked || id === undefined) return [];
    this.#infoAsked = true;
    return [source.askInfo(id)];
  }

  claimedSize(): FetchEffect[] {
    return this.#size(this.#song.size);
  }

  info(rows: (DownloadEvent & { kind: 'rows' })['rows']): FetchEffect[] {
    return this.#size(
      rows.map(json => parseHostRow(json)).find(({ hash }) => hash === this.#song.hash)?.size,
    );
  }

  #size(bytes: number | undefined): FetchEffect[] {
    return bytes !== undefined && this.#hashes?.allowsSize(bytes) === true ? [{ do: 'size', bytes }] : [];
  }
}
