/** A list without sockets, and a reader of it that knows TSP §3.1 and nothing else. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Framer } from '../../protocol/tsp/framing.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { nextRevision } from '../../protocol/tsp/revision.js';
import {
  type BroadcastRow,
  type OfferRow,
  parseBroadcastRow,
  parseSongRow,
  RowReader,
  type SongRow,
} from '../../protocol/tsp/rows.js';
import { Broadcast } from '../../tracker/broadcast.js';
import { FanOut, type Reader } from '../../tracker/fan-out.js';
import { Journal } from '../../tracker/journal.js';
import { MemoryRegistry, MemoryStore } from '../../tracker/registry/memory.js';
import { type Host, SongTable } from '../../tracker/song-table.js';
import { hashOf } from '../support/content.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { VirtualClock } from '../support/virtual-clock.js';
import { song } from './tracker-fixture.js';

/** A reader of the list that applies batches as TSP §3.1 says, and throws at one that does not follow. */
export class ModelReader implements Reader {
  revision: number | undefined;
  isReady = true;
  wholes = 0;
  bytes = 0;
  readonly songs: Map<number, SongRow>;

  /** Has these songs already, at a revision. */
  constructor(
    public at = 0,
    songs: ReadonlyMap<number, SongRow> = new Map(),
  ) {
    this.songs = new Map(songs);
  }

  get summary(): { wholes: number; songs: number; revision: number } {
    return { wholes: this.wholes, songs: this.songs.size, revision: this.at };
  }

  deliver(_headers: unknown, bytes: readonly Uint8Array[]): void {
    const framer = new Framer();
    for (const piece of bytes) framer.push(piece);
    this.bytes += bytes.reduce((sum, { length }) => sum + length, 0);
    const reader = new RowReader();
    let rows: BroadcastRow[] = [];
    for (let event = framer.next(); event !== undefined; event = framer.next()) {
      if (event.kind === 'data') rows.push(...reader.push(event.bytes).map(parseBroadcastRow));
      else if (event.kind === 'end') {
        this.#apply((event.header as { revision: number }).revision, rows);
        rows = [];
      }
    }
  }

  #apply(revision: number, rows: readonly BroadcastRow[]): void {
    const [first] = rows;
    const since = first?.kind === 'since' ? first.revision : undefined;
    const follows = since === this.at || (since === undefined && revision === nextRevision(this.at));
    if (first?.kind !== 'whole' && !follows && !(rows.length === 0 && revision === this.at))
      throw new Error(`${revision} since ${since} does not follow ${this.at}`);
    for (const row of rows) this.#applyRow(row);
    this.at = revision;
  }

  #applyRow(row: BroadcastRow): void {
    if (row.kind === 'since') return;
    if (row.kind === 'whole') {
      this.songs.clear();
      this.wholes += 1;
    } else if (row.kind === 'host-gone') {
      for (const song of [...this.songs.values()]) {
        if (!song.hosts.includes(row.host)) continue;
        const hosts = song.hosts.filter(host => host !== row.host);
        if (song.hostCount === 1) this.songs.delete(song.id);
        else this.songs.set(song.id, { ...song, hosts, hostCount: song.hostCount - 1 });
      }
    } else if (row.change.hosts?.length === 0) this.songs.delete(row.id);
    else {
      const { hosts } = row.change;
      const counted = hosts === undefined ? {} : { hostCount: hosts.length };
      this.songs.set(row.id, { ...this.songs.get(row.id), ...counted, ...row.change, id: row.id } as SongRow);
    }
  }
}

/** The parts of a tracker that make a list and tell it, on a clock that a test moves; `store`: what earlier runs left. */
export function listOfSongs(store = new MemoryStore()) {
  const clock = new VirtualClock();
  const logger = new RecordingLogger();
  const registry = new MemoryRegistry({ randomBytes }, store);
  const table: SongTable = new SongTable({
    touched: touched => {
      broadcast.touched(touched);
      fanOut.changed();
    },
    changed: () => undefined,
    addressGone: address => broadcast.addressGone(address),
  });
  const broadcast = new Broadcast(table, new Journal(registry));
  const fanOut = new FanOut({ broadcast, clock, logger, pause: async () => undefined });
  const host = (key: number, ...addresses: string[]): Host => {
    const made = {
      key,
      addresses: addresses.length > 0 ? addresses : [`192.0.2.${key}:7461`],
      songs: new Map(),
    };
    table.addHost(made);
    return made;
  };
  const place = (where: Host, n: number, fields: Omit<OfferRow, 'hash'> = {}): void =>
    table.place(where, n as SongId, song(n, fields));
  /** What LIST says. */
  const listed = (): Map<number, SongRow> => {
    const rows = new RowReader();
    const all = broadcast.list().segments.flatMap(segment => rows.push(segment));
    return new Map(all.map(parseSongRow).map(row => [row.id, row]));
  };
  let moves = 0;
  /** One thing that a host does; a host that is not there does nothing but come. */
  const act = ({ host: key, song: n, title, vbr, what }: HostAction): void => {
    const at = [...table.hosts].find(known => known.key === key);
    if (what === 'place') {
      // Some hosts are reached at two addresses.
      const addresses = key % 5 === 0 ? [`203.0.113.${key}:1`, `203.0.113.${key}:2`] : [];
      table.place(at ?? host(key, ...addresses), n as SongId, {
        hash: hashOf(n),
        ...(title === undefined ? {} : { title }),
        ...(vbr === undefined ? {} : { vbr }),
      });
    } else if (at === undefined) return;
    else if (what === 'withdraw') table.withdraw(at, hashOf(n));
    else if (what === 'move') table.move(at, [`198.51.100.${++moves}:7461`]);
    else if (what === 'leave') {
      table.removeHost(at);
      for (const hash of [...at.songs.keys()]) table.withdraw(at, hash);
    }
  };
  return { clock, logger, registry, table, broadcast, fanOut, host, place, act, listed };
}

/** What a host does, or, in a history, something else that happens to the list. */
export interface HostAction {
  readonly host: number;
  readonly song: number;
  readonly title: string | undefined;
  readonly vbr: boolean | undefined;
  readonly what: string;
}

/** Steps of a history: what hosts do, songs come thrice as often as they go, and these events beside. */
export const historySteps = (
  { hosts, songs }: { hosts: number; songs: number },
  events: readonly string[],
): fc.Arbitrary<HostAction & { readonly chance: number }> =>
  fc.record({
    host: fc.integer({ min: 1, max: hosts }),
    song: fc.integer({ min: 1, max: songs }),
    title: fc.constantFrom('a', 'b', undefined),
    vbr: fc.constantFrom(true, false, undefined),
    what: fc.constantFrom('place', 'place', 'place', 'withdraw', 'leave', 'move', ...events),
    chance: fc.nat(1_000),
  });

/** Whatever the order of its keys was. */
export function sorted(row: SongRow): unknown {
  return Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1));
}
