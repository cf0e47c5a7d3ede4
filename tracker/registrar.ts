/**
 * Who is listed with what: from proven addresses and offered songs to hosts in the table, by way of the registry.
 *
 *     offer ─▶ enlist ─▶ quotas ─▶ IDs ─▶ registry.flushed ─▶ SONG_IDS ─▶ publish ─▶ table        leave ─▶ table, registry
 *
 * The rules: an ID is durable before anybody hears of it, and a song enters the list only after its host was told the
 * ID (TSP §5.1). Only the connection that registered changes what is listed for it. What is long is done in slices.
 */
import { type ErrorCode, RemoteProtocolError, RequestError } from '../protocol/errors.js';
import type { Clock, Logger } from '../protocol/ports.js';
import { BucketTable } from '../protocol/token-bucket.js';
import { RELIST_GRACE_MS } from '../protocol/tsp/constants.js';
import type { SongId } from '../protocol/tsp/messages.js';
import type { ContentHash, OfferChange, OfferRow } from '../protocol/tsp/rows.js';
import type { Claim, Enlisted } from '../protocol/tsp/tracker-effects.js';
import type { TrackerConfig } from './config.js';
import { IdRows } from './id-rows.js';
import type { Member, Pending } from './member.js';
import { Offers } from './offers.js';
import type { Registry, StoredHost } from './registry/registry.js';
import { type Host, type Song, type SongTable, sameOffer, shownOffer } from './song-table.js';

/** About 1 ms of this thread: several members may have a slice each in one turn of the event loop. */
const SLICE_SONGS = 100;
/** A library may come at once; what then goes on changing should be people at work. */
const UPDATE_ROWS = { burst: 10_000, perSecond: 50 };
/** IDs are for good, so somebody who burns them is slowed down. */
const NEW_HASHES = { burst: 10_000, perSecond: 1_000 / 3_600 };
const NO_RATE = { burst: Number.POSITIVE_INFINITY, perSecond: Number.POSITIVE_INFINITY };
/** A library goes to disk in such parts, so that no more than one of each member is queued there. */
const PART_SONGS = 2_000;
/** When songs that had to wait for an ID are tried again. */
const DELAYED_RETRY_MS = 60_000;

export interface RegistrarOptions {
  readonly table: SongTable;
  readonly registry: Registry;
  readonly config: Pick<TrackerConfig, 'maxSongs' | 'maxSongsPerPeer' | 'maxIds' | 'maxPerAddress'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Lets everything else go on first. */
  readonly pause: () => Promise<void>;
}

export class Registrar {
  readonly #table: SongTable;
  readonly #registry: Registry;
  readonly #config: RegistrarOptions['config'];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #pause: () => Promise<void>;
  readonly #owners = new Map<Host, Member>();
  readonly #updateRows = new BucketTable(UPDATE_ROWS);
  readonly #newHashes: BucketTable;
  /** Hosts of the run before, until they are back or this is over. */
  readonly #awaited = new Set<Host>();
  readonly #disarms = new Set<() => void>();
  readonly #offers: Offers;
  #isStopped = false;

  constructor({ table, registry, config, clock, logger, pause }: RegistrarOptions) {
    this.#table = table;
    this.#registry = registry;
    this.#config = config;
    this.#clock = clock;
    this.#logger = logger;
    this.#pause = pause;
    this.#offers = new Offers(config, clock);
    // Without a limit for each address there is none for what an address brings, either.
    this.#newHashes = new BucketTable(Number.isFinite(config.maxPerAddress) ? NEW_HASHES : NO_RATE);
  }

  /** Hosts that were listed when the last run ended are listed again, and awaited for 45 s (TSP §5.1). */
  load(): void {
    for (const stored of [...this.#registry.hosts()]) {
      const host: Host = { ...stored, songs: new Map() };
      this.#table.addHost(host);
      for (const [id, offer] of this.#registry.rows(host.key)) {
        const isKnown = this.#table.song(id) !== undefined;
        if (isKnown || this.#table.songCount < this.#config.maxSongs) this.#table.place(host, id, offer);
        else this.#registry.removeRow(host.key, id);
      }
      this.#awaited.add(host);
    }
    if (this.#awaited.size > 0)
      void this.#inBackground(this.#wait(RELIST_GRACE_MS).then(() => this.#giveUp()));
  }

  /** Nobody leaves any more: what is listed now is what the next run awaits. */
  stop(): void {
    this.#isStopped = true;
    for (const disarm of this.#disarms) disarm();
  }

  get hostCount(): number {
    return this.#owners.size;
  }

  get awaitedCount(): number {
    return this.#awaited.size;
  }

  /** Songs that a member hosts. Throws RequestError `unavailable` when there is no room to hold them. */
  offer(member: Member, offers: readonly OfferRow[]): void {
    this.#offers.take(member, offers);
  }

  /**
   * Makes IDs durable for what the member offered, under these addresses. Throws RequestError `unavailable`, and
   * RemoteProtocolError `too-many` to who has to register anew, since what it told is not all here any more.
   */
  async enlist(member: Member, claim: Claim, addresses: readonly string[]): Promise<Enlisted> {
    if (member.isIncomplete)
      throw new RemoteProtocolError('too-many', 'your songs had to make room for others');
    this.#offers.wake(member);
    const host = this.#hostFor(member, claim, addresses);
    const keepsOthers = this.#owners.get(host) === member;
    member.instance = claim.instance ?? member.instance;
    this.#registry.putHost(stored(host, member, addresses));
    const rows = new IdRows();
    for (const hash of this.#offers.takeRefused(member)) rows.refused(hash, 'refused');
    return await this.#admit(member, host, addresses, [...member.offers.values()], [], keepsOthers, rows);
  }

  /** Notes changes; what can't be listed now is kept for later. Throws RequestError `unavailable`. */
  async update(member: Member, changes: readonly OfferChange[]): Promise<Enlisted> {
    const { host } = member;
    const key = host?.addresses[0] ?? member.observed;
    // What it said before comes first, however long that takes.
    await member.publishing;
    const wait = this.#updateRows.of(key, this.#clock.now()).takeAnyway(changes.length, this.#clock.now());
    if (wait > 0) await this.#wait(wait);
    // What is noted for somebody who has left, nobody would ever take back.
    if (!member.live) return { rows: [] };
    const newest = new Map(changes.map(change => [change.hash, change]));
    const gone = [...newest.values()].filter(change => 'gone' in change).map(({ hash }) => hash);
    const offers = [...newest.values()].filter((change): change is OfferRow => !('gone' in change));
    for (const hash of gone) this.#offers.forget(member, hash);
    if (host === undefined || this.#owners.get(host) !== member) {
      this.offer(member, offers);
      const past = new Set(this.#offers.takeRefused(member));
      const rows = new IdRows();
      for (const { hash } of offers) rows.refused(hash, past.has(hash) ? 'refused' : 'unreachable');
      return { rows: rows.bytes() };
    }
    const leaving = gone.filter(hash => host.songs.has(hash)).length;
    const room = this.#config.maxSongsPerPeer - host.songs.size + leaving;
    const fresh = offers.filter(({ hash }) => !host.songs.has(hash));
    const past = new Set(fresh.slice(Math.max(0, room)).map(({ hash }) => hash));
    const rows = new IdRows();
    for (const hash of past) rows.refused(hash, 'refused');
    const taken = offers.filter(({ hash }) => !past.has(hash));
    this.offer(member, taken);
    return await this.#admit(member, host, host.addresses, taken, gone, true, rows);
  }

  /** The owner was told its IDs: they enter the list, the first slice at once. */
  publish(member: Member): void {
    const { pending } = member;
    if (pending === undefined || !member.live) return;
    member.pending = undefined;
    const publishing = this.#publish(member, pending).finally(() => {
      pending.reservation.releaseAll();
      this.#offers.rest(member);
    });
    member.publishing = this.#inBackground(publishing);
  }

  /** The member's address is to be proven anew: its songs leave the list, and are offered until then. */
  unlist(member: Member): void {
    const { host } = member;
    if (host !== undefined && this.#owners.get(host) === member) {
      for (const { holdings, hash } of host.songs.values()) {
        const own = holdings.find(holding => holding.host === host);
        if (own !== undefined) this.#offers.hold(member, { ...own.offer, hash });
      }
      this.#remove(host);
    }
    this.#offers.rest(member);
  }

  /** The member is gone, and with it what was listed for it. */
  leave(member: Member): void {
    if (!member.live) return;
    member.live = false;
    if (this.#isStopped) return;
    this.#offers.forgetAll(member);
    const { host } = member;
    member.pending?.reservation.releaseAll();
    member.pending = undefined;
    if (host === undefined) return;
    const owner = this.#owners.get(host);
    if (owner === member || (owner === undefined && !this.#awaited.has(host))) this.#remove(host);
  }

  /** Quotas, IDs, and the wait until they are on disk. */
  async #admit(
    member: Member,
    host: Host,
    addresses: readonly string[],
    offers: readonly OfferRow[],
    gone: readonly ContentHash[],
    keepsOthers: boolean,
    rows: IdRows,
  ): Promise<Enlisted> {
    const placed: { id: SongId; offer: OfferRow }[] = [];
    const leaving = gone.values();
    const reservation = this.#table.reservations.open();
    let delayed = false;
    try {
      for (const [index, offer] of offers.entries()) {
        if (index % PART_SONGS === PART_SONGS - 1) await this.#flushed();
        else if (isSliceEnd(index)) await this.#pause();
        if (!member.live) return { rows: rows.bytes() };
        const { hash } = offer;
        const listed = this.#table.songOf(hash);
        const isAnother = listed !== undefined && shownOffer(listed)?.live !== offer.live;
        const id = isAnother ? 'refused' : (listed?.id ?? this.#idFor(member, host, hash, leaving));
        if (typeof id === 'string') {
          rows.refused(hash, id);
          if (id === 'unavailable') delayed = true;
          else this.#offers.forget(member, hash);
          continue;
        }
        reservation.take(hash);
        placed.push({ id, offer });
        rows.id(hash, id);
        const known = host.songs.get(hash)?.holdings.find(holding => holding.host === host);
        if (known === undefined || !sameOffer(known.offer, offer)) this.#registry.putRow(host.key, id, offer);
      }
      for (const hash of gone) {
        const id = this.#table.songOf(hash)?.id ?? this.#registry.idOf(hash);
        if (id !== undefined) this.#registry.removeRow(host.key, id);
      }
      await this.#flushed();
      if (member.live) member.pending = { host, addresses, placed, gone, keepsOthers, reservation };
      return { rows: rows.bytes(), ...(delayed ? { retryInMs: DELAYED_RETRY_MS } : {}) };
    } finally {
      if (member.pending?.reservation !== reservation) reservation.releaseAll();
    }
  }

  async #flushed(): Promise<void> {
    try {
      await this.#registry.flushed();
    } catch (error) {
      this.#logger.error({ why: String((error as Error).cause ?? error) }, 'the registry cannot be written');
      throw error;
    }
  }

  /** Of a song that is not listed. `leaving`: songs of the host that make room for it. */
  #idFor(member: Member, host: Host, hash: ContentHash, leaving: Iterator<ContentHash>): SongId | ErrorCode {
    if (!this.#hasPlace(host, hash, leaving)) return 'refused';
    const known = this.#registry.idOf(hash);
    if (known !== undefined) return known;
    if (this.#registry.idCount >= this.#config.maxIds) return 'refused';
    const now = this.#clock.now();
    if (!this.#newHashes.of(member.addressKey, now).take(1, now)) return 'unavailable';
    try {
      return this.#registry.assignId(hash);
    } catch (error) {
      if (error instanceof RequestError) return error.code;
      throw error;
    }
  }

  /** In a full list what is `leaving` leaves at once, so that its place is nobody else's meanwhile. */
  #hasPlace(host: Host, hash: ContentHash, leaving: Iterator<ContentHash>): boolean {
    const { reservations } = this.#table;
    while (!reservations.has(hash) && this.#table.songCount + reservations.places >= this.#config.maxSongs) {
      const left = leaving.next();
      if (left.done === true) return false;
      this.#table.withdraw(host, left.value);
    }
    return true;
  }

  /** The host that these addresses or this instance stand for already, or a new one. */
  #hostFor(member: Member, claim: Claim, addresses: readonly string[]): Host {
    const { instance } = claim;
    const known =
      (member.host !== undefined && this.#owners.get(member.host) === member ? member.host : undefined) ??
      (instance === undefined ? undefined : this.#table.hostOfInstance(instance)) ??
      addresses.map(address => this.#table.hostAt(address)).find(host => host !== undefined);
    if (known === undefined) {
      const host: Host = { key: this.#registry.nextHostKey(), instance, addresses, songs: new Map() };
      this.#table.addHost(host);
      member.host = host;
      return host;
    }
    member.host = known;
    return known;
  }

  async #publish(member: Member, pending: Pending): Promise<void> {
    const { host, placed, gone, keepsOthers, reservation } = pending;
    this.#own(member, pending);
    const before = keepsOthers ? [] : [...host.songs.values()];
    for (const hash of gone) this.#table.withdraw(host, hash);
    for (const [index, { id, offer }] of placed.entries()) {
      this.#offers.forget(member, offer.hash);
      this.#table.place(host, id, offer);
      reservation.release(offer.hash);
      if (isSliceEnd(index)) await this.#pause();
      if (this.#owners.get(host) !== member) return;
    }
    if (before.length === 0) return;
    const kept = new Set(placed.map(({ id }) => id));
    const dropped = before.filter(({ id }) => !kept.has(id));
    for (const { id } of dropped) this.#registry.removeRow(host.key, id);
    await this.#withdraw(host, dropped, member);
  }

  /** The member is this host from now on; whoever was, or has one of its addresses or its instance, is ended. */
  #own(member: Member, { host, addresses, placed }: Pending): void {
    const { instance } = member;
    const namesake = instance === undefined ? undefined : this.#table.hostOfInstance(instance);
    for (const rival of new Set([namesake, ...addresses.map(address => this.#table.hostAt(address))])) {
      if (rival === undefined || rival === host) continue;
      const owner = this.#owners.get(rival);
      this.#remove(rival);
      owner?.replace();
    }
    const before = this.#owners.get(host);
    this.#owners.set(host, member);
    this.#awaited.delete(host);
    if (!this.#table.hosts.has(host)) {
      // Somebody else meant the same host, and left before he had it.
      this.#table.addHost(host);
      this.#registry.putHost(stored(host, member, addresses));
      for (const { id, offer } of placed) this.#registry.putRow(host.key, id, offer);
    }
    this.#table.move(host, addresses);
    // The one before was another peer, if only its address was the same.
    this.#table.rename(host, instance);
    if (before !== undefined && before !== member) before.replace();
  }

  /** Hosts of the last run that did not come back. */
  #giveUp(): void {
    if (this.#awaited.size > 0)
      this.#logger.info({ hosts: this.#awaited.size }, 'known hosts did not return');
    for (const host of [...this.#awaited]) this.#remove(host);
  }

  /** A host leaves the list and the store. */
  #remove(host: Host): void {
    this.#owners.delete(host);
    this.#awaited.delete(host);
    this.#table.removeHost(host);
    this.#registry.removeHost(host.key);
    void this.#inBackground(this.#withdraw(host, [...host.songs.values()], undefined));
  }

  /** As long as the host is its `owner`'s, or nobody's. */
  async #withdraw(host: Host, songs: readonly Song[], owner: Member | undefined): Promise<void> {
    for (const [index, { hash }] of songs.entries()) {
      if (this.#owners.get(host) !== owner) return;
      this.#table.withdraw(host, hash);
      if (isSliceEnd(index)) await this.#pause();
    }
  }

  /** Never resolves once all has been stopped. */
  #wait(ms: number): Promise<void> {
    return new Promise(resolve => {
      const disarm = this.#clock.after(ms, () => {
        this.#disarms.delete(disarm);
        resolve();
      });
      this.#disarms.add(disarm);
    });
  }

  /** Resolves when it is over, well or not. */
  #inBackground(work: Promise<void>): Promise<void> {
    return work.catch((error: unknown) =>
      this.#logger.error({ err: error }, 'the list could not be brought along'),
    );
  }
}

const isSliceEnd = (index: number): boolean => index % SLICE_SONGS === SLICE_SONGS - 1;

const stored = ({ key }: Host, { instance }: Member, addresses: readonly string[]): StoredHost =>
  instance === undefined ? { key, addresses } : { key, addresses, instance };
