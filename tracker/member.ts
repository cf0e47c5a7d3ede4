/**
 * One registration connection, as the registrar knows it: what it offers that is not listed, and as which host it is.
 *
 *     offers ──enlist──▶ pending ──publish──▶ host.songs
 */
import type { SongId } from '../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../protocol/tsp/rows.js';
import type { Reservation } from './reservations.js';
import type { Host } from './song-table.js';

export class Member {
  /** What it hosts that is not listed: not yet, or not until its address is proven or an ID is free. */
  readonly offers = new Map<ContentHash, OfferRow>();
  /** Past the quota when they were offered. */
  readonly refused: ContentHash[] = [];
  host: Host | undefined;
  /** What it called itself in its last HELLO that was proven. */
  instance: string | undefined;
  pending: Pending | undefined;
  /** Until what was pending is in the list. */
  publishing: Promise<void> | undefined;
  /** Some of what it offered had to make room for others: it is to tell all of it anew. */
  isIncomplete = false;
  live = true;

  constructor(
    /** IP address from which it came. */
    readonly observed: string,
    /** Who it counts as in limits per address. */
    readonly addressKey: string,
    /** Ends its connection: a newer registration has proven the same address or instance. */
    readonly replace: () => void,
  ) {}

  /** False when it was there already. */
  hold(offer: OfferRow): boolean {
    const isNew = !this.offers.has(offer.hash);
    this.offers.set(offer.hash, offer);
    return isNew;
  }
}

/** Durable, and to be published once its owner was told. */
export interface Pending {
  readonly host: Host;
  readonly addresses: readonly string[];
  readonly placed: readonly { readonly id: SongId; readonly offer: OfferRow }[];
  readonly gone: readonly ContentHash[];
  /** Songs that the host is to have besides: those that it has (true), or none but `placed`. */
  readonly keepsOthers: boolean;
  /** Of what is placed. */
  readonly reservation: Reservation;
}
