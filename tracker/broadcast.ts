/**
 * What changed in the list, as numbered batches that everybody can share (TSP §3.1).
 *
 *     touched ─▶ what the last batch said of the song ┐
 *     the table: what is so now                       ┴─ difference ─▶ rows ─▶ BROADCAST_LIST r, one Buffer, kept 10 min
 *                                                                        └▶ segments of LIST, journal
 *
 * The rule: a batch brings a reader from r − 1 to r exactly, and the segments of LIST are those of the last batch, so
 * that a LIST_INFO and the batches after its revision always fit. A batch is bounded; what is left over goes into the
 * next one. Who comes with a revision that no kept batch follows, one of the run before perhaps, is told what the journal
 * says has changed.
 */
import type { Milliseconds } from '../protocol/ports.js';
import { encode } from '../protocol/tsp/codec.js';
import type { SongId } from '../protocol/tsp/messages.js';
import { nextRevision } from '../protocol/tsp/revision.js';
import {
  encodeBroadcastRow,
  encodeRow,
  identityOf,
  type OfferRow,
  type SongRow,
} from '../protocol/tsp/rows.js';
import { CatchUp } from './catch-up.js';
import type { Journal } from './journal.js';
import { type ListBytes, ListSegments } from './list-segments.js';
import { type Song, type SongTable, sampleHosts, shownOffer } from './song-table.js';

/** TSP §5.1: what changed `since` a revision is answered for at least this long … */
export const KEPT_BATCHES_MS = 10 * 60_000;
/** … unless the list changes so much that memory is dearer; then the whole list is the shorter answer anyway. */
const KEPT_BATCHES_BYTES = 32 * 1024 * 1024;
/** Well under a millisecond of this thread. */
const SLICE_SONGS = 25;
/** When its rows are made a batch costs some 5 ms of this thread, and a reader that is one behind owes less than 1 MiB. */
export const MAX_BATCH_ROWS = 2_000;
const MAX_BATCH_BYTES = 512 * 1024;
/** A reader that missed more than this is better served with what has changed in all, or with the list. */
export const MAX_MISSED_BYTES = 1024 * 1024;

/** A whole message. */
export interface Batch {
  readonly revision: number;
  /** Everybody's. */
  readonly pieces: readonly Buffer[];
  /** All pieces, header included. */
  readonly length: number;
}

interface KeptBatch extends Batch {
  readonly at: Milliseconds;
}

/** What readers were last told of a song. */
interface Said {
  readonly offer: OfferRow | undefined;
  hosts: readonly string[];
  hostCount: number;
}

/** Of a song that is new. */
const NOTHING: Said = Object.freeze({ offer: undefined, hosts: [], hostCount: 0 });

const BROADCAST_FIELDS = ['title', 'artist', 'duration', 'vbr'] as const;
/** As they stand in a row, and nothing else there: in a text the quotes would be escaped. */
const BROADCAST_KEYS = BROADCAST_FIELDS.map(field => Buffer.from(`"${field}":`));

export class Broadcast {
  readonly #table: SongTable;
  readonly #segments = new ListSegments();
  readonly #dirty = new Map<SongId, Said>();
  readonly #goneAddresses = new Set<string>();
  /** The coming batch, as far as it is made: its rows, and what LIST will say with it. */
  #rows: Buffer[] = [];
  #rowBytes = 0;
  readonly #saying = new Map<SongId, Buffer | undefined>();
  readonly #journal: Journal;
  /** Their revisions are consecutive; the last is the list's. */
  readonly #kept: KeptBatch[] = [];
  #keptBytes = 0;
  #catchUp: CatchUp | undefined;

  constructor(table: SongTable, journal: Journal) {
    this.#table = table;
    this.#journal = journal;
  }

  get revision(): number {
    return this.#journal.revision;
  }

  /** There is something to be said. */
  get pending(): boolean {
    return this.#dirty.size > 0;
  }

  /** The whole list as of `revision`. */
  list(): ListBytes {
    return this.#segments.whole();
  }

  /** To be called before a song changes. */
  touched(song: Song): void {
    if (this.#dirty.has(song.id)) return;
    const offer = shownOffer(song);
    const { hostCount } = song;
    this.#dirty.set(song.id, offer === undefined ? NOTHING : { offer, hosts: sampleHosts(song), hostCount });
  }

  addressGone(address: string): void {
    this.#goneAddresses.add(address);
  }

  /** Makes the rows of the next batch, a slice at a time; `flush` makes what then is left. */
  async prepare(pause: () => Promise<void>): Promise<void> {
    this.#addGone();
    while (this.#addRows(SLICE_SONGS)) await pause();
  }

  /** The next batch; undefined when what changed came to nothing. */
  flush(now: Milliseconds): Batch | undefined {
    this.#addGone();
    this.#addRows(Number.POSITIVE_INFINITY);
    for (const [id, row] of this.#saying) this.#journal.note(id, row);
    this.#segments.apply(this.#saying);
    this.#saying.clear();
    const rows = this.#rows;
    if (rows.length === 0) return undefined;
    this.#journal.turn();
    const { revision } = this;
    const header = encode({ type: 'BROADCAST_LIST', revision, length: this.#rowBytes });
    const message = Buffer.concat([header, ...rows]);
    this.#rows = [];
    this.#rowBytes = 0;
    const batch = { revision, pieces: [message], length: message.length, at: now };
    this.#keep(batch);
    return batch;
  }

  /** Of so many songs that changed, as far as there is room; false when nothing is left to be added. */
  #addRows(songs: number): boolean {
    let count = 0;
    for (const [id, said] of this.#dirty) {
      if (this.#rows.length >= MAX_BATCH_ROWS || this.#rowBytes >= MAX_BATCH_BYTES) return false;
      if (count === songs) return true;
      count += 1;
      this.#dirty.delete(id);
      for (const row of this.#difference(id, said)) this.#add(row);
    }
    return false;
  }

  #add(row: Buffer): void {
    this.#rows.push(row);
    this.#rowBytes += row.length;
  }

  /** Resolves when what was said is durable, or can't be made so for now. */
  saved(): Promise<void> {
    return this.#journal.save();
  }

  /** Takes what is listed now as said: at a start, when nobody is here to be told. */
  settle(): void {
    const rows = new Map<SongId, Buffer>();
    for (const id of this.#dirty.keys()) {
      const song = this.#table.song(id);
      const offer = song === undefined ? undefined : shownOffer(song);
      if (song !== undefined && offer !== undefined)
        rows.set(id, listRow(id, offer, sampleHosts(song), song.hostCount));
    }
    this.#dirty.clear();
    for (const [id, row] of rows) this.#journal.note(id, row);
    this.#segments.apply(rows);
    for (const id of this.#journal.listed())
      if (this.#table.song(id) === undefined) this.#journal.note(id, undefined);
    this.#journal.turn();
    void this.saved();
  }

  /** What brings a reader from `revision` to this one; undefined: nothing known that is shorter than the list. */
  since(revision: number | undefined): readonly Batch[] | undefined {
    if (revision === undefined) return undefined;
    return this.#after(revision) ?? this.#returnFrom(revision);
  }

  /** The batches after `revision`, which were made in this run; undefined if they are not kept, or too much. */
  #after(revision: number): readonly Batch[] | undefined {
    if (revision === this.revision) return [];
    const from = this.#kept.length - ((this.revision - revision) >>> 0);
    if (this.#kept[from]?.revision !== nextRevision(revision)) return undefined;
    const batches = this.#kept.slice(from);
    return bytesOf(batches) > MAX_MISSED_BYTES ? undefined : batches;
  }

  /** One batch that leads from there to a revision of this run, which is the same for everybody; and those after it. */
  #returnFrom(revision: number): readonly Batch[] | undefined {
    if (!this.#journal.knows(revision)) return undefined;
    let catchUp = this.#catchUp;
    const later = catchUp && this.#after(catchUp.revision);
    if (catchUp === undefined || later === undefined) {
      catchUp = new CatchUp(this.revision, this.#journal.changes(), id => this.#rowsOf(id));
      this.#catchUp = catchUp;
    }
    const batch = catchUp.from(revision);
    return batch.length > this.#segments.bytes ? undefined : [batch, ...(later ?? [])];
  }

  /** Whatever a reader knew of the song, with these it knows what LIST says. */
  #rowsOf(id: SongId): readonly Buffer[] {
    const row = this.#segments.get(id);
    if (row === undefined) return [left(id)];
    return BROADCAST_KEYS.every(key => row.includes(key)) ? [row] : [left(id), row];
  }

  /** Rows for addresses that nobody has any more, instead of a row for each of their songs. */
  #addGone(): void {
    const isGone = (address: string): boolean => this.#table.hostAt(address) === undefined;
    const gone = new Set([...this.#goneAddresses].filter(isGone));
    this.#goneAddresses.clear();
    if (gone.size === 0) return;
    for (const [id, said] of this.#dirty) {
      const hosts = said.hosts.filter(host => !gone.has(host));
      if (said.offer === undefined || hosts.length === said.hosts.length) continue;
      const hostCount = said.hostCount - (said.hosts.length - hosts.length);
      Object.assign(said, { hosts, hostCount });
      // At once: what else is new of this song may have no room in this batch.
      this.#saying.set(id, hostCount === 0 ? undefined : listRow(id, said.offer, hosts, hostCount));
    }
    for (const host of gone) this.#add(encodeBroadcastRow({ kind: 'host-gone', host }));
  }

  /** Rows that bring a reader from `said` to what is so now; what LIST says is noted. */
  #difference(id: SongId, said: Said): Buffer[] {
    const song = this.#table.song(id);
    const offer = song === undefined ? undefined : shownOffer(song);
    if (song === undefined || offer === undefined) {
      this.#saying.set(id, undefined);
      // A song whose last addresses are gone has left with them.
      return said.offer !== undefined && said.hostCount > 0 ? [left(id)] : [];
    }
    const hosts = sampleHosts(song);
    const row = listRow(id, offer, hosts, song.hostCount);
    this.#saying.set(id, row);
    if (said.offer === undefined || said.hosts.length === 0) return [row];
    const before = said.offer;
    // A key that is left out did not change; so a field that vanished needs a new song.
    if (BROADCAST_FIELDS.some(field => before[field] !== undefined && offer[field] === undefined))
      return [left(id), row];
    const isElsewhere = hosts.join() !== said.hosts.join();
    const change: Partial<Omit<SongRow, 'id'>> = {
      ...Object.fromEntries(
        BROADCAST_FIELDS.filter(field => before[field] !== offer[field]).map(field => [field, offer[field]]),
      ),
      ...(isElsewhere ? { hosts } : {}),
      // Addresses without it would mean that these are all.
      ...(isElsewhere || song.hostCount !== said.hostCount ? { hostCount: song.hostCount } : {}),
    };
    return Object.keys(change).length > 0 ? [encodeBroadcastRow({ kind: 'song', id, change })] : [];
  }

  #keep(batch: KeptBatch): void {
    this.#kept.push(batch);
    this.#keptBytes += batch.length;
    let old = 0;
    while (this.#isStale(this.#kept[old]!, batch.at)) {
      this.#keptBytes -= this.#kept[old]!.length;
      old += 1;
    }
    this.#kept.splice(0, old);
  }

  #isStale(batch: KeptBatch, now: Milliseconds): boolean {
    return now - batch.at > KEPT_BATCHES_MS || this.#keptBytes > KEPT_BATCHES_BYTES;
  }
}

const bytesOf = (batches: readonly Batch[]): number => batches.reduce((sum, { length }) => sum + length, 0);

const left = (id: SongId): Buffer => encodeBroadcastRow({ kind: 'song', id, change: { hosts: [] } });

/** What is not known is left out. */
function listRow(id: SongId, offer: OfferRow, hosts: readonly string[], hostCount: number): Buffer {
  const { title, artist, duration, vbr } = offer;
  return encodeRow({ id, ...identityOf(offer), title, artist, duration, vbr, hosts, hostCount });
}
