/**
 * The list as it is now: songs by content, the hosts of each, and each host's own row of it (TSP §2.3, §3.2).
 *
 *     Host ──songs──▶ Song ──holdings──▶ [ {host, row} … ]    longest-standing first; its row is the one shown
 *
 * The rule: a host changes only its own row, and a song is listed exactly as long as somebody hosts it. Who watches is
 * told before a song changes (`touched`), so that it can note what was, and after (`changed`).
 */
import { MAX_HOSTS_PER_ROW } from '../protocol/tsp/constants.js';
import type { SongId } from '../protocol/tsp/messages.js';
import { type ContentHash, identityOf, type OfferRow, type SongRow } from '../protocol/tsp/rows.js';
import { Reservations } from './reservations.js';

export interface Host {
  /** Smaller stands longer. */
  readonly key: number;
  /** Changed by `rename` only. */
  instance?: string | undefined;
  /** As listed; changed by `move` only. */
  addresses: readonly string[];
  readonly songs: Map<ContentHash, Song>;
}

export interface Song {
  readonly id: SongId;
  readonly hash: ContentHash;
  /** In the order of the hosts' keys; never empty while listed. */
  readonly holdings: Holding[];
  /** Addresses of all hosts together. */
  hostCount: number;
}

interface Holding {
  readonly host: Host;
  offer: OfferRow;
}

export interface TableWatcher {
  /** Before a song changes, enters or leaves. */
  touched(song: Song): void;
  /** After its shown row may have become another one; undefined: it left. */
  changed(song: Song, shown: OfferRow | undefined): void;
  /** An address is no longer anybody's, and in no song any more. */
  addressGone(address: string): void;
}

export class SongTable {
  /** Places for songs that are on their way. */
  readonly reservations = new Reservations(hash => this.#byHash.has(hash));
  readonly #byId = new Map<SongId, Song>();
  readonly #byHash = new Map<ContentHash, Song>();
  readonly #byAddress = new Map<string, Host>();
  readonly #byInstance = new Map<string, Host>();
  readonly #hosts = new Set<Host>();
  readonly #watcher: TableWatcher;
  #turn = 0;

  constructor(watcher: TableWatcher) {
    this.#watcher = watcher;
  }

  get songCount(): number {
    return this.#byId.size;
  }

  get hosts(): ReadonlySet<Host> {
    return this.#hosts;
  }

  songs(): Iterable<Song> {
    return this.#byId.values();
  }

  song(id: SongId): Song | undefined {
    return this.#byId.get(id);
  }

  songOf(hash: ContentHash): Song | undefined {
    return this.#byHash.get(hash);
  }

  hostAt(address: string): Host | undefined {
    return this.#byAddress.get(address);
  }

  hostOfInstance(instance: string): Host | undefined {
    return this.#byInstance.get(instance);
  }

  /** A host without songs yet. Its addresses and instance must be nobody else's. */
  addHost(host: Host): void {
    this.#hosts.add(host);
    for (const address of host.addresses) this.#byAddress.set(address, host);
    if (host.instance !== undefined) this.#byInstance.set(host.instance, host);
  }

  /** Its addresses are free for others. Its songs are to be withdrawn. */
  removeHost(host: Host): void {
    this.#hosts.delete(host);
    for (const address of host.addresses)
      if (this.#byAddress.get(address) === host) this.#byAddress.delete(address);
    if (host.songs.size === 0) this.#tellGone(host.addresses);
    this.#unname(host);
  }

  /** The same host, which says now that it is this one. */
  rename(host: Host, instance: string | undefined): void {
    this.#unname(host);
    host.instance = instance;
    if (instance !== undefined) this.#byInstance.set(instance, host);
  }

  #unname(host: Host): void {
    const { instance } = host;
    if (instance !== undefined && this.#byInstance.get(instance) === host) this.#byInstance.delete(instance);
  }

  /** The same host, found elsewhere from now on. */
  move(host: Host, addresses: readonly string[]): void {
    if (addresses.join() === host.addresses.join()) return;
    for (const song of host.songs.values()) this.#watcher.touched(song);
    const before = host.addresses;
    host.addresses = addresses;
    for (const address of addresses) this.#byAddress.set(address, host);
    const left = before.filter(
      address => !addresses.includes(address) && this.#byAddress.get(address) === host,
    );
    for (const address of left) this.#byAddress.delete(address);
    for (const song of host.songs.values()) song.hostCount += addresses.length - before.length;
    this.#tellGone(left);
  }

  /** `host` has this song, and says this of it. */
  place(host: Host, id: SongId, offer: OfferRow): void {
    const song = this.#byHash.get(offer.hash);
    if (song === undefined) {
      this.#enter(id, host, offer);
      return;
    }
    const at = position(song, host);
    const holding = song.holdings[at];
    const own = holding?.host === host ? holding : undefined;
    if (own !== undefined && sameOffer(own.offer, offer)) return;
    this.#watcher.touched(song);
    // Many hosts say the same of a song; one object is enough.
    const first = song.holdings[0]?.offer;
    const kept = first !== undefined && sameOffer(first, offer) ? first : offer;
    if (own !== undefined) own.offer = kept;
    else {
      song.holdings.splice(at, 0, { host, offer: kept });
      song.hostCount += host.addresses.length;
      host.songs.set(song.hash, song);
    }
    if (at === 0) this.#watcher.changed(song, kept);
  }

  /** A song that nobody had. */
  #enter(id: SongId, host: Host, offer: OfferRow): void {
    const { hash } = offer;
    this.#watcher.touched({ id, hash, holdings: [], hostCount: 0 });
    // Most songs have one host: a list with room for one.
    const song: Song = { id, hash, holdings: [{ host, offer }], hostCount: host.addresses.length };
    this.#byId.set(song.id, song);
    this.#byHash.set(song.hash, song);
    host.songs.set(song.hash, song);
    this.reservations.moved(hash);
    this.#watcher.changed(song, offer);
  }

  /** `host` has this song no more. */
  withdraw(host: Host, hash: ContentHash): void {
    const song = host.songs.get(hash);
    if (song === undefined) return;
    this.#watcher.touched(song);
    const at = position(song, host);
    song.holdings.splice(at, 1);
    song.hostCount -= host.addresses.length;
    host.songs.delete(hash);
    if (song.holdings.length === 0) {
      this.#byId.delete(song.id);
      this.#byHash.delete(hash);
      this.reservations.moved(hash);
    }
    if (at === 0) this.#watcher.changed(song, shownOffer(song));
    if (host.songs.size === 0 && !this.#hosts.has(host)) this.#tellGone(host.addresses);
  }

  /** A row of INFO or FIND: all that is known, and ten addresses that differ from one asker to the next (TSP §3.1). */
  infoRow(song: Song): SongRow {
    const { hash, live, ...fields } = shownOffer(song)!;
    this.#turn += 1;
    const start = song.hostCount > MAX_HOSTS_PER_ROW ? this.#turn % song.holdings.length : 0;
    const identity = identityOf({ hash, live });
    return {
      id: song.id,
      ...identity,
      ...fields,
      hosts: sampleHosts(song, start),
      hostCount: song.hostCount,
    };
  }

  #tellGone(addresses: readonly string[]): void {
    for (const address of addresses) if (!this.#byAddress.has(address)) this.#watcher.addressGone(address);
  }
}

/** The row of the longest-standing host; undefined when nobody hosts it. */
export const shownOffer = (song: Song): OfferRow | undefined => song.holdings[0]?.offer;

/** At most ten addresses, from the holding at `start` on. */
export function sampleHosts(song: Song, start = 0): string[] {
  const { holdings } = song;
  const hosts: string[] = [];
  for (let n = 0; n < holdings.length; n += 1) {
    for (const address of holdings[(start + n) % holdings.length]!.host.addresses) {
      if (hosts.length === MAX_HOSTS_PER_ROW) return hosts;
      hosts.push(address);
    }
  }
  return hosts;
}

/** Where `host` stands, or would stand, among the holdings. */
function position({ holdings }: Song, host: Host): number {
  let low = 0;
  let high = holdings.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holdings[middle]!.host.key < host.key) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function sameOffer(a: OfferRow, b: OfferRow): boolean {
  if (a === b) return true;
  const keys = Object.keys(a) as (keyof OfferRow)[];
  return keys.length === Object.keys(b).length && keys.every(key => a[key] === b[key]);
}
