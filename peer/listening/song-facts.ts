/**
 * What is known of a song while it is fetched: its proven hashes, how long it is, and who may still say.
 *
 *     HASHES ─▶ proven or a lie          INFO ─▶ a size, believed if the hashes allow it          last piece ─▶ the size
 */
import type { DownloadEvent } from '../../protocol/tsp/download.js';
import { parseHostRow } from '../../protocol/tsp/rows.js';
import type { FetchEffect } from './fetch-effects.js';
import type { Ask, FetchSource } from './fetch-source.js';
import { PieceHashes } from './pieces.js';
import type { SongToFetch } from './song-stream.js';

export class SongFacts {
  readonly #song: SongToFetch;
  #hashes: PieceHashes | undefined;
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
  prove(nodes: Uint8Array): boolean {
    this.#hashes ??= PieceHashes.prove(nodes, this.#song.hash);
    return this.#hashes !== undefined;
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
