/**
 * What members offer and have not in the list: not yet, or not until an address is proven or an ID is free. Bounded over all.
 *
 *     take ─▶ member.offers ─▶ forget, when it is listed          rest ─▶ only time can help: makes room for who comes
 *
 * The rule: who cannot be listed now, or is long about telling, keeps nobody out who can. Of those members the one with
 * most gives all up, and has to tell it anew.
 */
import { RequestError } from '../protocol/errors.js';
import type { Clock, Milliseconds } from '../protocol/ports.js';
import type { ContentHash, OfferRow } from '../protocol/tsp/rows.js';
import type { TrackerConfig } from './config.js';
import type { Member } from './member.js';

/** After a refusal for want of room; those who left make some. */
const NO_ROOM_RETRY_MS = 5_000;

/** While it is told, a list keeps its room for so long; to tell it may take days (TSP §2.2). */
const TELLING_MS = 30_000;

/** Past their quotas, and not told so yet; each is some 100 bytes. */
const MAX_REFUSED = 200_000;

export class Offers {
  readonly #config: Pick<TrackerConfig, 'maxSongs' | 'maxSongsPerPeer'>;
  readonly #clock: Pick<Clock, 'now'>;
  /** From when on they make room: those who tell, and those at rest. */
  readonly #yielding = new Map<Member, Milliseconds>();
  readonly #maxRefused: number;
  /** Both over all members. */
  #count = 0;
  #refused = 0;

  constructor(
    config: Pick<TrackerConfig, 'maxSongs' | 'maxSongsPerPeer'>,
    clock: Pick<Clock, 'now'>,
    maxRefused = MAX_REFUSED,
  ) {
    this.#config = config;
    this.#clock = clock;
    this.#maxRefused = maxRefused;
  }

  /** Throws RequestError `unavailable` when there is no room to hold them. */
  take(member: Member, offers: readonly OfferRow[]): void {
    // It is to tell all of it anew.
    if (member.isIncomplete) return;
    if (!this.#yielding.has(member)) this.#yielding.set(member, this.#clock.now() + TELLING_MS);
    const { maxSongs, maxSongsPerPeer } = this.#config;
    for (const offer of offers) {
      const isNew = !member.offers.has(offer.hash);
      if (isNew && member.offers.size >= maxSongsPerPeer) {
        if (this.#refused >= this.#maxRefused) this.#makeRoom(member, refusedBy);
        member.refused.push(offer.hash);
        this.#refused += 1;
        continue;
      }
      if (isNew && this.#count >= maxSongs) this.#makeRoom(member, offeredBy);
      this.hold(member, offer);
    }
  }

  /** Whether there is room for it or not: it was listed. */
  hold(member: Member, offer: OfferRow): void {
    if (member.hold(offer)) this.#count += 1;
  }

  forget(member: Member, hash: ContentHash): void {
    if (member.offers.delete(hash)) this.#count -= 1;
  }

  /** What was past its quota: it is to be told so. */
  takeRefused(member: Member): ContentHash[] {
    this.#refused -= member.refused.length;
    return member.refused.splice(0);
  }

  forgetAll(member: Member): void {
    this.takeRefused(member);
    this.#count -= member.offers.size;
    member.offers.clear();
    this.#yielding.delete(member);
  }

  /** What it offers cannot be listed for now. */
  rest(member: Member): void {
    if (offeredBy(member) + refusedBy(member) > 0) this.#yielding.set(member, this.#clock.now());
    else this.#yielding.delete(member);
  }

  /** What it offers is to be listed now. */
  wake(member: Member): void {
    this.#yielding.delete(member);
  }

  /** For `member`, if it is not itself the one to make some. */
  #makeRoom(member: Member, sizeOf: (member: Member) => number): void {
    let largest: Member | undefined;
    const now = this.#clock.now();
    for (const [other, from] of this.#yielding)
      if (from <= now && sizeOf(other) > (largest === undefined ? 0 : sizeOf(largest))) largest = other;
    if (largest === undefined || largest === member) throw noRoom();
    this.forgetAll(largest);
    largest.isIncomplete = true;
  }
}

const offeredBy = ({ offers }: Member): number => offers.size;
const refusedBy = ({ refused }: Member): number => refused.length;

const noRoom = (): RequestError =>
  new RequestError('unavailable', 'this tracker has no room for more songs just now', {
    retryAfterMs: NO_ROOM_RETRY_MS,
  });
