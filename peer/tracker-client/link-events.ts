/**
 * What a tracker link is given, what it tells, and how it stands.
 */
import type { Clock, Logger, RandomUnit } from '../../protocol/ports.js';
import type { HostPort } from '../../protocol/tsp/addresses.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import type { Hello } from '../../protocol/tsp/messages.js';
import type { SongIdRow } from '../../protocol/tsp/rows.js';
import type { OpenSocket } from '../wire/wire-connection.js';
import type { OfferSource } from './offers.js';
import type { ListChange } from './song-list.js';

export type RefusedSong = Extract<SongIdRow, { readonly error: unknown }>;

export type LinkEvent =
  | {
      readonly kind: 'registered';
      /** Under which this peer's songs are listed. */
      readonly listed: readonly string[];
      /** IDs and list are those of another tracker than before. */
      readonly anotherTracker: boolean;
    }
  /** The tracker could not reach our song server; it tries again every few minutes. */
  | { readonly kind: 'unreachable'; readonly why: string }
  /** Said once, until it is back. */
  | { readonly kind: 'lost'; readonly why: string }
  /** Somebody registered with our instance or address: from now on this peer only listens. */
  | { readonly kind: 'replaced' }
  | { readonly kind: 'list'; readonly change: ListChange }
  /** Own songs got their IDs; `refused` are those that are not listed, but for an unreachable song server. */
  | {
      readonly kind: 'song-ids';
      readonly given: number;
      readonly refused: readonly RefusedSong[];
    };

export interface LinkStatus {
  /** As given. */
  readonly address: string;
  /** `absent`: it was tried and has never answered. */
  readonly state: 'connecting' | 'registered' | 'lost' | 'absent';
  /** Of the last attempt that failed. */
  readonly why?: string;
  readonly name?: string;
  readonly listed: readonly string[];
  readonly unreachable: boolean;
  readonly maxSongs?: number;
}

export interface TrackerLinkOptions {
  readonly tracker: HostPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomUnit: RandomUnit;
  readonly trace?: WireTrace | undefined;
  readonly openSocket?: OpenSocket | undefined;
  /** Who we are, but for what the link knows itself; looked at with each registration. */
  readonly hello: Omit<Hello, 'tsp' | 'since'>;
  /** Absent: this peer only listens. */
  readonly songs?: OfferSource | undefined;
}
