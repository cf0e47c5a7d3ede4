/**
 * The rows of a SONG_IDS while it grows: each song's ID, or why it is not listed (TSP §5.1).
 *
 *     id, refused ─▶ text ─▶ a Buffer for each 64 KiB        50,000 rows are some dozens, not a Buffer and a write each
 */
import type { ErrorCode } from '../protocol/errors.js';
import type { SongId } from '../protocol/tsp/messages.js';
import type { ContentHash } from '../protocol/tsp/rows.js';

const BUFFER_CHARS = 64 * 1024;

export class IdRows {
  readonly #buffers: Buffer[] = [];
  #text = '';

  id(hash: ContentHash, id: SongId): void {
    this.#add(`{"hash":"${hash}","id":${id}}\n`);
  }

  refused(hash: ContentHash, error: ErrorCode): void {
    this.#add(`{"hash":"${hash}","error":"${error}"}\n`);
  }

  /** All of them; nothing is added after this. */
  bytes(): readonly Buffer[] {
    if (this.#text !== '') this.#buffers.push(Buffer.from(this.#text));
    this.#text = '';
    return this.#buffers;
  }

  #add(row: string): void {
    this.#text += row;
    if (this.#text.length < BUFFER_CHARS) return;
    this.#buffers.push(Buffer.from(this.#text));
    this.#text = '';
  }
}
