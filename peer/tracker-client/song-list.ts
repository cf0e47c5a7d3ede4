/**
 * The tracker's list as this peer knows it: rows by ID, kept current by numbered batches (TSP §3.1).
 *
 *     begin(r, whole) rows … end() ─▶ whole: replace │ r = ours + 1, or since ours: apply │ older: ignore │ jump: ask LIST
 *
 * The rule: a list is never half a list. What comes is gathered and takes effect at `end`, all of it or, when the
 * connection breaks before, nothing. Pure: no socket, no clock.
 */
import { addressScope } from '../../protocol/ip.js';
import { formatHostPort, parseListedAddress } from '../../protocol/tsp/addresses.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { isNewer, nextRevision } from '../../protocol/tsp/revision.js';
import type { BroadcastRow, SongRow } from '../../protocol/tsp/rows.js';

/** What a batch did to the list, in songs. */
export interface ListChange {
  readonly added: number;
  readonly left: number;
  /** Another title, artist or duration; a change of hosts alone does not count. */
  readonly changed: number;
}

export type BatchOutcome =
  | { readonly kind: 'applied'; readonly change: ListChange }
  | { readonly kind: 'ignored' }
  /** A batch is missing: LIST must be asked. A batch that came too early is kept and applied after its answer. */
  | { readonly kind: 'jump' };

/** Batches kept until the whole list comes; ten a second for longer than any LIST takes. */
const MAX_KEPT_BATCHES = 512;
/** In all of them; what has to be dropped, the whole list brings. */
const MAX_KEPT_ROWS = 100_000;

interface Batch {
  readonly revision: number;
  whole: boolean;
  /** The revision from which it leads to its own, where that is not the one before. */
  since?: number;
  readonly rows: BroadcastRow[];
}

export class SongList {
  #rows = new Map<SongId, SongRow>();
  #snapshot: readonly SongRow[] | undefined;
  #revision: number | undefined;
  /** The tracker's revision when it welcomed us: up to there the list is old. */
  #target: number | undefined;
  #stale = true;
  #coming: Batch | undefined;
  readonly #kept = new Map<number, Batch>();
  #trackerAddress: string | undefined;

  /** By ID, as in the tracker's own list. The array is not changed afterwards. */
  get songs(): readonly SongRow[] {
    this.#snapshot ??= [...this.#rows.values()].sort((one, other) => one.id - other.id);
    return this.#snapshot;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** True before the first list, and from the loss of the tracker until the list is current again. */
  get stale(): boolean {
    return this.#stale;
  }

  /** Undefined before the first list. */
  get revision(): number | undefined {
    return this.#revision;
  }

  get(id: SongId): SongRow | undefined {
    return this.#rows.get(id);
  }

  /** The row's hosts, ready to be dialled from here. */
  hostsOf(row: Pick<SongRow, 'hosts'>): string[] {
    return row.hosts.flatMap(host => resolveHost(host, this.#trackerAddress) ?? []);
  }

  /** A tracker took us in: its list is at `revision`, and it was reached at `trackerAddress`, an IP address. */
  welcomed(revision: number, trackerAddress: string | undefined): void {
    this.#target = revision;
    this.#trackerAddress = trackerAddress;
    // A tracker that is behind us has begun to count anew, so our number says nothing any more.
    if (this.#revision !== undefined && isNewer(this.#revision, revision)) this.#revision = undefined;
    this.#freshen();
  }

  /** The connection is gone: the list stays, marked stale, and what was half here is dropped. */
  lost(): void {
    this.#stale = true;
    this.#target = undefined;
    this.#coming = undefined;
    this.#kept.clear();
  }

  /** Another tracker: its IDs mean other songs. */
  clear(): void {
    this.lost();
    this.#rows = new Map();
    this.#revision = undefined;
    this.#snapshot = undefined;
  }

  /** `whole`: an answer to LIST. A broadcast may say in its first row that it is whole. */
  begin(revision: number, whole: boolean): void {
    this.#coming = { revision, whole, rows: [] };
  }

  rows(rows: readonly BroadcastRow[]): void {
    const batch = this.#coming!;
    for (const row of rows) {
      if (row.kind === 'whole' && batch.rows.length === 0) batch.whole = true;
      else if (row.kind === 'since' && batch.rows.length === 0) batch.since = row.revision;
      else batch.rows.push(row);
    }
  }

  end(): BatchOutcome {
    const batch = this.#coming!;
    this.#coming = undefined;
    if (batch.whole) return this.#replace(batch);
    if (this.#revision !== undefined && !isNewer(batch.revision, this.#revision)) return { kind: 'ignored' };
    if (batch.since !== undefined && batch.since !== this.#revision) return { kind: 'jump' };
    const follows = this.#revision !== undefined && batch.revision === nextRevision(this.#revision);
    if (!follows && batch.since === undefined) return this.#keep(batch);
    return { kind: 'applied', change: this.#apply([batch, ...this.#takeKeptAfter(batch.revision)]) };
  }

  #keep(batch: Batch): BatchOutcome {
    this.#kept.set(batch.revision, batch);
    let rows = 0;
    for (const kept of this.#kept.values()) rows += kept.rows.length;
    for (const [revision, oldest] of this.#kept) {
      if (this.#kept.size <= MAX_KEPT_BATCHES && rows <= MAX_KEPT_ROWS) break;
      this.#kept.delete(revision);
      rows -= oldest.rows.length;
    }
    return { kind: 'jump' };
  }

  #replace(batch: Batch): BatchOutcome {
    const { revision } = batch;
    // A LIST_INFO may be a second old, and then brings back what has left since.
    if (this.#revision !== undefined && isNewer(this.#revision, revision)) return { kind: 'ignored' };
    const before = this.#rows;
    this.#rows = new Map();
    for (const whole of [batch, ...this.#takeKeptAfter(revision)]) this.#applyBatch(whole);
    this.#snapshot = undefined;
    this.#freshen();
    if (this.#kept.size > 0) return { kind: 'jump' };
    return { kind: 'applied', change: difference(before, this.#rows) };
  }

  /** The kept batches that follow on `revision` without a gap; older ones are dropped. */
  #takeKeptAfter(revision: number): Batch[] {
    const following: Batch[] = [];
    for (const old of this.#kept.keys()) if (!isNewer(old, revision)) this.#kept.delete(old);
    for (let next = nextRevision(revision); this.#kept.has(next); next = nextRevision(next)) {
      following.push(this.#kept.get(next)!);
      this.#kept.delete(next);
    }
    return following;
  }

  #apply(batches: readonly Batch[]): ListChange {
    const total = { added: 0, left: 0, changed: 0 };
    for (const batch of batches) {
      const change = this.#applyBatch(batch);
      total.added += change.added;
      total.left += change.left;
      total.changed += change.changed;
    }
    this.#snapshot = undefined;
    this.#freshen();
    return total;
  }

  #applyBatch(batch: Batch): ListChange {
    const total = { added: 0, left: 0, changed: 0 };
    for (const row of batch.rows) {
      for (const [before, after] of this.#applyRow(row)) {
        if (before === undefined && after !== undefined) total.added += 1;
        else if (before !== undefined && after === undefined) total.left += 1;
        else if (before !== undefined && after !== undefined && !looksSame(before, after)) total.changed += 1;
      }
    }
    this.#revision = batch.revision;
    return total;
  }

  /** Each row that changed, before and after. */
  #applyRow(row: BroadcastRow): [SongRow | undefined, SongRow | undefined][] {
    if (row.kind === 'whole' || row.kind === 'since') return [];
    if (row.kind === 'host-gone') return this.#removeHost(row.host);
    const before = this.#rows.get(row.id);
    const after = changedRow(row.id, before, row.change);
    this.#put(row.id, after);
    return [[before, after]];
  }

  #removeHost(host: string): [SongRow, SongRow | undefined][] {
    const changes: [SongRow, SongRow | undefined][] = [];
    for (const [id, row] of this.#rows) {
      if (!row.hosts.includes(host)) continue;
      const hosts = row.hosts.filter(other => other !== host);
      const after = row.hostCount > 1 ? { ...row, hosts, hostCount: row.hostCount - 1 } : undefined;
      this.#put(id, after);
      changes.push([row, after]);
    }
    return changes;
  }

  #put(id: SongId, row: SongRow | undefined): void {
    if (row === undefined) this.#rows.delete(id);
    else this.#rows.set(id, row);
  }

  #freshen(): void {
    if (this.#target === undefined || this.#revision === undefined) return;
    if (!isNewer(this.#target, this.#revision)) this.#stale = false;
  }
}

/** The row after a change; undefined when the song left, or when a change of an unknown song does not say which. */
function changedRow(
  id: SongId,
  before: SongRow | undefined,
  change: Partial<Omit<SongRow, 'id'>>,
): SongRow | undefined {
  if (change.hosts?.length === 0 && (change.hostCount ?? 0) === 0) return undefined;
  if (before === undefined && change.hash === undefined && change.feed === undefined) return undefined;
  const hosts = change.hosts ?? before?.hosts ?? [];
  const hostCount = change.hostCount ?? (change.hosts === undefined ? before?.hostCount : undefined);
  return { ...before, ...change, id, hosts, hostCount: hostCount ?? hosts.length };
}

/** `:7461` is on the tracker's machine; a loopback address is only meant for who reached the tracker on loopback. */
export function resolveHost(host: string, trackerAddress: string | undefined): string | undefined {
  const address = parseListedAddress(host);
  if (address === undefined) return undefined;
  if (address.host === '')
    return trackerAddress === undefined ? undefined : formatHostPort(trackerAddress, address.port);
  const isRemote = trackerAddress !== undefined && addressScope(trackerAddress) !== 'loopback';
  return isRemote && addressScope(address.host) === 'loopback' ? undefined : host;
}

function difference(before: ReadonlyMap<SongId, SongRow>, after: ReadonlyMap<SongId, SongRow>): ListChange {
  let added = 0;
  let changed = 0;
  for (const [id, row] of after) {
    const old = before.get(id);
    if (old === undefined) added += 1;
    else if (!looksSame(old, row)) changed += 1;
  }
  return { added, left: before.size + added - after.size, changed };
}

const looksSame = (a: SongRow, b: SongRow): boolean =>
  a.title === b.title && a.artist === b.artist && a.duration === b.duration;
