/**
 * What a fetch is told, what it wants done, and the times by which it decides (TSP §5.3).
 */
import type { RequestError, TransportError } from '../../protocol/errors.js';
import type { ErrorBody } from '../../protocol/tsp/messages.js';
import type { Ask } from './fetch-source.js';
import type { PieceHashes } from './pieces.js';
import type { SongToFetch, Urgency } from './song-stream.js';

export interface FetchTask {
  readonly song: SongToFetch;
  readonly fromByte: number;
  readonly urgency: Urgency;
  /** Nodes that an earlier fetch of the same song proved. */
  readonly hashes?: PieceHashes;
  /** Pieces that it left on this machine's disk; with `hashes`. */
  readonly kept?: Iterable<number>;
}

export type FetchEffect =
  /** To be written in one go, over a warm connection or a new one. */
  | { readonly do: 'ask'; readonly host: string; readonly asks: readonly Ask[] }
  /** The connection is not needed any more. Not `keep`: close it, whatever it still sends. */
  | { readonly do: 'let-go'; readonly host: string; readonly keep: boolean }
  /** A proven piece, in whatever order. */
  | { readonly do: 'keep'; readonly index: number; readonly piece: Uint8Array }
  /** Read these pieces from disk; the answer is `read`, for each. */
  | { readonly do: 'read'; readonly pieces: readonly number[] }
  /** It is the next in order; `skip` bytes of it come before what was asked for. */
  | { readonly do: 'deliver'; readonly index: number; readonly piece: Uint8Array; readonly skip: number }
  /** The song's size as a host says it, or, from the last piece, as it is. */
  | { readonly do: 'size'; readonly bytes: number }
  /** Ask the tracker who else has the song; the answer is `moreHosts`. */
  | { readonly do: 'more-hosts' }
  /** Ask HELLO of a host, over a connection of its own; the book learns what it answers, and the logic that it did (`greeted`). */
  | { readonly do: 'greet'; readonly host: string }
  /** A host speaks PPSPP on this UDP port. */
  | { readonly do: 'meet'; readonly host: string; readonly port: number }
  /** Join the song's swarm: its size is known now. The answer is `joined`. */
  | { readonly do: 'join'; readonly lastPiece: Uint8Array }
  /** These pieces are left to the swarm, and no others; or not any more. */
  | { readonly do: 'want' | 'unwant'; readonly pieces: readonly number[] }
  | { readonly do: 'finish' }
  | { readonly do: 'fail'; readonly error: TransportError | RequestError };

/** A host that showed nothing for so long at the beginning gets a rival. */
export const HEDGE_MS = 150;
/** No byte for so long while bytes are owed: another host is asked. */
export const STALL_MS = 2_000;
/** How often a host that owes bytes is measured. */
export const MEASURE_MS = 1_000;
/** So long nobody notices that nothing comes; after it, whoever waits is told for what. */
export const UNNOTICED_MS = 500;
/** With less than this in store, a host slower than the song is exchanged. */
export const SAFE_BUFFER_MS = 5_000;
/** Without a byte from anybody for so long, and with nothing in store, it is over. */
export const GIVE_UP_MS = 8_000;
/** How long the tracker may take to name more hosts, and how soon it is asked again. */
export const MORE_HOSTS_MS = 2_000;
/** A host that was overtaken is not tried again for a while, so that two slow ones don't take turns. */
export const OVERTAKEN_MS = 10_000;
/** A piece that others wait for is late after this, and what a quicker one would take twice over. */
export const LATE_MS = 500;
/** How soon a state that cannot be helped at the moment is looked at again. */
export const LOOK_AGAIN_MS = 100;

/** What a song of unknown bit rate is taken to need. */
const ASSUMED_BITRATE = 128_000;
const BITS = 8;

export const bytesPerSecondOf = (song: SongToFetch): number => (song.bitrate ?? ASSUMED_BITRATE) / BITS;

export const SILENT = `sent nothing for ${STALL_MS / 1_000} s`;

export const sayError = (error: ErrorBody): string =>
  error.message === undefined ? error.code : `${error.code}: ${error.message}`;
