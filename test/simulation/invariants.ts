/**
 * What must be true at every step, whatever goes wrong, seen from outside: lists, plays and sockets.
 *
 * A broken rule throws `BrokenRule`, which ends the run with its seed.
 */
import type { SongList } from '../../peer/tracker-client/song-list.js';
import type { Milliseconds } from '../../protocol/ports.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, SongRow } from '../../protocol/tsp/rows.js';
import type { Song } from './songs.js';
import type { Machine } from './virtual-network.js';
import type { VirtualSocket } from './virtual-socket.js';

/** TSP §5.1: 45 s of silence, and a moment for the broadcast. */
const GONE_MS = 46_000;
/** A slice of a song (1 MiB), or a segment of a list, and what Node keeps on both sides. */
const MAX_SOCKET_BYTES = 1024 * 1024 + 256 * 1024;

export class BrokenRule extends Error {
  override readonly name = 'BrokenRule';
}

export class Invariants {
  readonly #songs: ReadonlyMap<ContentHash, Song>;
  readonly #contents = new Map<SongId, ContentHash>();
  readonly #ids = new Map<ContentHash, SongId>();
  /** What a list said at each revision, whoever saw it first. */
  readonly #listed = new Map<number, string>();
  /** When each address was last served by a living process; Infinity: now. */
  readonly #servedUntil = new Map<string, Milliseconds>();
  #trackerSince: Milliseconds = 0;
  /** What was listed last, and by each host a song of its: a list is looked at often, and seldom changes. */
  #rows: readonly SongRow[] = [];
  #hosts: readonly { readonly host: string; readonly address: string; readonly title: string }[] = [];

  constructor(songs: ReadonlyMap<ContentHash, Song>) {
    this.#songs = songs;
  }

  /** An ID never means two contents, and a content has one ID. */
  named(id: SongId, hash: ContentHash): void {
    const before = this.#contents.get(id);
    if (before !== undefined && before !== hash)
      throw new BrokenRule(`ID ${id} means ${brief(hash)}, and meant ${brief(before)}`);
    const other = this.#ids.get(hash);
    if (other !== undefined && other !== id)
      throw new BrokenRule(`${brief(hash)} has the IDs ${other} and ${id}`);
    this.#contents.set(id, hash);
    this.#ids.set(hash, id);
  }

  /** No two readers hold different lists of one revision. */
  holds(reader: string, list: SongList): void {
    for (const row of list.songs) if (row.hash !== undefined) this.named(row.id, row.hash);
    if (list.revision === undefined) return;
    const said = list.songs.map(asText).sort().join('\n');
    const before = this.#listed.get(list.revision);
    if (before === undefined) this.#listed.set(list.revision, said);
    else if (before !== said)
      throw new BrokenRule(
        `${reader} has another list of revision ${list.revision}:\n${said}\n  instead of\n${before}`,
      );
  }

  hostStarted(address: string): void {
    this.#servedUntil.set(address, Number.POSITIVE_INFINITY);
  }

  hostEnded(address: string, now: Milliseconds): void {
    this.#servedUntil.set(address, now);
  }

  trackerStarted(now: Milliseconds): void {
    this.#trackerSince = now;
  }

  /** What the tracker lists now: nobody who has been dead for 46 s, or whose last bytes came so long ago. */
  lists(rows: readonly SongRow[], now: Milliseconds, tracker: Machine): void {
    if (rows !== this.#rows) {
      this.#rows = rows;
      const titles = new Map(
        rows.flatMap(({ hosts, title }) => hosts.map(host => [host, title ?? 'a song'])),
      );
      this.#hosts = [...titles].map(([host, title]) => ({ host, address: host.split(':')[0]!, title }));
    }
    for (const { host, address, title } of this.#hosts) {
      const ended = Math.max(this.#servedUntil.get(host) ?? 0, tracker.lastHeardOf(address));
      const since = Math.max(this.#trackerSince, tracker.pausedUntil, ended);
      if (now - since > GONE_MS)
        throw new BrokenRule(`${title} is listed at ${host}, which ended ${Math.round(now - since)} ms ago`);
    }
  }

  /** Bytes that are about to sound. */
  heard(hash: ContentHash, offset: number, bytes: Uint8Array): void {
    const { bytes: real, title } = this.#songs.get(hash)!;
    if (Buffer.compare(bytes, real.subarray(offset, offset + bytes.length)) !== 0)
      throw new BrokenRule(`${title}: bytes ${offset} … ${offset + bytes.length} are not its own`);
  }

  /** A play that ended well: it is all there. */
  played(hash: ContentHash, endedAt: number): void {
    const { bytes, title } = this.#songs.get(hash)!;
    if (endedAt !== bytes.length)
      throw new BrokenRule(`${title} counts as played and ends at ${endedAt} of ${bytes.length} bytes`);
  }

  /** Memory for a connection is bounded, however slow its other side is. */
  bounded(socket: VirtualSocket): void {
    if (socket.heldBytes > MAX_SOCKET_BYTES)
      throw new BrokenRule(
        `${socket.machine.address} holds ${socket.heldBytes} bytes for ${socket.remoteAddress}`,
      );
  }
}

const asText = ({ id, hash, title, hosts, hostCount }: SongRow): string =>
  JSON.stringify([id, hash, title, [...hosts].sort(), hostCount]);

const brief = (hash: ContentHash): string => hash.slice(0, 8);
