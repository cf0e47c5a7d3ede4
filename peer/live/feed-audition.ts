/**
 * Which host of a live feed is heard: all are asked what they have, and the source is preferred to a relay.
 *
 *     ask ─▶ up to four at a time ─▶ described ─▶ the source: heard at once        a relay: if no source answers soon
 *              ▲              └ lost ─▶ the next; nobody left: `exhausted`            └ now and then: is the source back?
 *              └──────────────────────────────────────────────── lost, and none heard ◀─┘
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, HostRow } from '../../protocol/tsp/rows.js';
import { FeedConnection, type FeedWorld } from './feed-connection.js';

/** Asked at a time what they have. */
const ASKED = 4;
/** A relay that has answered waits so long for the source to answer too. */
const PREFER_SOURCE_MS = 250;
/** Who hears a relay looks for the source after so long, then after twice that, and so on. */
const SEEK_SOURCE_MS = 10_000;

export interface Candidate {
  readonly connection: FeedConnection;
  /** What it said of the feed. */
  readonly row: HostRow | undefined;
  /** It was the one that was chosen. */
  readonly wasHeard: boolean;
}

export interface AuditionFeed {
  readonly feed: ContentHash;
  readonly id: SongId;
  /** Nothing is wanted of relays. */
  readonly sourceOnly?: boolean;
}

export interface AuditionHolder {
  /** What the host that is heard says of the feed: when it is chosen, and whenever that changes. */
  described(row: HostRow): void;
  /** As FeedHolder's. */
  run(giver: Candidate, bytes: Uint8Array, at: number | undefined): void;
  /** The feed is over. */
  ended(): void;
  /** As FeedHolder's. Others are asked next. */
  lost(giver: Candidate, why: string, isBusy: boolean): void;
  /** Nobody is heard or left to ask. */
  exhausted(): void;
  /** Who has the feed now. */
  hostsNow(): Promise<readonly string[]>;
}

interface Asked extends Candidate {
  row: HostRow | undefined;
  wasHeard: boolean;
}

export class FeedAudition {
  readonly #feed: AuditionFeed;
  readonly #world: FeedWorld;
  readonly #holder: AuditionHolder;
  #hosts: readonly string[] = [];
  /** Of those, not yet asked. */
  #untried: string[] = [];
  #asked: Asked[] = [];
  #heard: Asked | undefined;
  #seekSourceMs = SEEK_SOURCE_MS;
  #cancelTimer: (() => void) | undefined;

  constructor(feed: AuditionFeed, world: FeedWorld, holder: AuditionHolder) {
    this.#feed = feed;
    this.#world = world;
    this.#holder = holder;
  }

  get heard(): FeedConnection | undefined {
    return this.#heard?.connection;
  }

  /** Nobody is heard or asked. */
  get isIdle(): boolean {
    return this.#asked.length === 0;
  }

  /** `host:port` each, the one to be asked first in front. */
  ask(hosts: readonly string[]): void {
    this.#hosts = hosts;
    this.#untried = [...hosts];
    this.#goOn();
  }

  /** Nobody is heard or asked any more. */
  leave(): void {
    this.#cancelTimer?.();
    for (const { connection } of this.#asked) connection.close();
    this.#asked = [];
    this.#untried = [];
    this.#heard = undefined;
  }

  #goOn(): void {
    while (this.#asked.length < ASKED && this.#untried.length > 0) this.#try(this.#untried.shift()!);
    if (this.#asked.length === 0) this.#holder.exhausted();
  }

  #try(host: string): void {
    const { feed, id } = this.#feed;
    const { clock, trace, openSocket, hello } = this.#world;
    const connection = new FeedConnection(
      { host, feed, id, clock, trace, openSocket, hello },
      {
        described: row => this.#described(asked, row),
        run: (bytes, at) => this.#holder.run(asked, bytes, at),
        ended: () => this.#holder.ended(),
        lost: (why, isBusy) => this.#lost(asked, why, isBusy),
      },
    );
    const asked: Asked = { connection, row: undefined, wasHeard: false };
    this.#asked.push(asked);
    connection.open();
  }

  #described(asked: Asked, row: HostRow): void {
    const isFirst = asked.row === undefined;
    const isRelay = row.relay === true;
    asked.row = row;
    if (asked === this.#heard) this.#holder.described(row);
    else if (isRelay && this.#heard !== undefined) this.#pass(asked);
    else if (isRelay && this.#feed.sourceOnly === true) this.#dismiss(asked);
    else if (isFirst && !isRelay) this.#choose(asked, row);
    else if (isFirst && this.#haveAllAnswered) this.#chooseRelay();
    else if (isFirst) this.#setTimer(PREFER_SOURCE_MS, () => this.#chooseRelay());
  }

  /** It is no better than the one that is heard. */
  #pass(asked: Asked): void {
    asked.connection.close();
    this.#asked = this.#asked.filter(other => other !== asked);
    this.#goOn();
  }

  #dismiss(asked: Asked): void {
    asked.connection.close();
    this.#lost(asked, 'is not the source', false);
  }

  get #haveAllAnswered(): boolean {
    return this.#asked.every(({ row }) => row !== undefined);
  }

  #chooseRelay(): void {
    const answered = this.#asked.find(({ row }) => row !== undefined);
    if (answered?.row !== undefined) this.#choose(answered, answered.row);
  }

  #choose(chosen: Asked, row: HostRow): void {
    this.#cancelTimer?.();
    for (const other of this.#asked) if (other !== chosen) other.connection.close();
    this.#asked = [chosen];
    this.#heard = chosen;
    chosen.wasHeard = true;
    if (row.relay === true) this.#setTimer(this.#seekSourceMs, () => this.#seekSource(chosen));
    this.#holder.described(row);
    chosen.connection.play();
  }

  #seekSource(relay: Asked): void {
    this.#seekSourceMs *= 2;
    this.#setTimer(this.#seekSourceMs, () => this.#seekSource(relay));
    void this.#holder.hostsNow().then(hosts => {
      if (this.#heard !== relay) return;
      this.#untried = hosts.filter(host => host !== relay.connection.host);
      this.#goOn();
    });
  }

  #lost(asked: Asked, why: string, isBusy: boolean): void {
    this.#asked = this.#asked.filter(other => other !== asked);
    if (asked === this.#heard) {
      this.#heard = undefined;
      this.#cancelTimer?.();
      const known = new Set([asked, ...this.#asked].map(({ connection }) => connection.host));
      this.#untried = this.#hosts.filter(host => !known.has(host));
    }
    this.#holder.lost(asked, why, isBusy);
    // Relays that answered were waiting for this one.
    if (this.#heard === undefined && this.#asked.length > 0 && this.#haveAllAnswered) this.#chooseRelay();
    else this.#goOn();
  }

  #setTimer(delayMs: Milliseconds, then: () => void): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#world.clock.after(delayMs, then);
  }
}
