/**
 * What has changed up to one revision, for everybody who comes with an older one (TSP §3.1, `{"since":…}`).
 *
 *     newest change ├─ 1 KiB ─┼── 2 KiB ──┼──── 4 KiB ────┼ … 64 KiB … ┤ oldest         a reader takes from the left
 *
 * The rule: a song is told as it is now, whatever a reader may have known of it, so that one row serves all readers, and
 * telling too much does no harm. Chunks are made once and shared by all; they grow, so that a reader who missed little
 * is told little.
 */
import { encode } from '../protocol/tsp/codec.js';
import type { SongId } from '../protocol/tsp/messages.js';
import { isNewer } from '../protocol/tsp/revision.js';
import { encodeBroadcastRow } from '../protocol/tsp/rows.js';
import type { Batch } from './broadcast.js';
import { SEGMENT_BYTES } from './list-segments.js';

const FIRST_CHUNK_BYTES = 1024;

interface Chunk {
  readonly bytes: Buffer;
  /** Of the changes in it. */
  readonly newest: number;
}

export class CatchUp {
  readonly revision: number;
  readonly #chunks: Chunk[] = [];

  /** `changes` up to `revision`, the newest first; `rowsOf` a song, as of `revision`. */
  constructor(
    revision: number,
    changes: readonly (readonly [SongId, number])[],
    rowsOf: (id: SongId) => readonly Buffer[],
  ) {
    this.revision = revision;
    let rows: Buffer[] = [];
    let bytes = 0;
    let newest = 0;
    let chunkBytes = FIRST_CHUNK_BYTES;
    const close = (): void => {
      if (rows.length > 0) this.#chunks.push({ bytes: Buffer.concat(rows, bytes), newest });
      chunkBytes = Math.min(2 * chunkBytes, SEGMENT_BYTES);
      rows = [];
      bytes = 0;
    };
    for (const [id, changedAt] of changes) {
      if (rows.length === 0) newest = changedAt;
      for (const row of rowsOf(id)) {
        rows.push(row);
        bytes += row.length;
      }
      if (bytes >= chunkBytes) close();
    }
    close();
  }

  /** Brings a reader from `since` to `revision`, if all changes between are among those given. */
  from(since: number): Batch {
    const rows = [encodeBroadcastRow({ kind: 'since', revision: since })];
    for (const { bytes, newest } of this.#chunks) {
      if (!isNewer(newest, since)) break;
      rows.push(bytes);
    }
    const { revision } = this;
    const payload = rows.reduce((sum, { length }) => sum + length, 0);
    const header = encode({ type: 'BROADCAST_LIST', revision, length: payload });
    return { revision, pieces: [header, ...rows], length: header.length + payload };
  }
}
