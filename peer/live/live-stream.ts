/**
 * A live feed as its listener has it: whole frames from the present on, from whichever host has them.
 *
 *     hosts ─▶ FeedAudition: who is heard? ─▶ runs ─┬─▶ FeedSeam ─▶ reader
 *        ▲  ▲                                       │ └ lost: the next host, from where this one broke off
 *        │  └ the swarm is late                     │
 *        └ left, once the swarm, joined meanwhile ──┘ brings the same, proven and in time
 *
 * The rule: the stream ends without an error only when a host said that the feed is over, or the source signed it; when
 * nobody gives it for fifteen seconds, it fails. What comes over plain TSP is not verified: a live feed can't be.
 */
import { fromHex } from '../../protocol/bytes.js';
import { RequestError, TransportError } from '../../protocol/errors.js';
import type { Logger, Milliseconds } from '../../protocol/ports.js';
import type { HostRow, OfferRow } from '../../protocol/tsp/rows.js';
import { ALL_ARE_BUSY } from '../listening/host-trials.js';
import type { FetchReport, SongStream } from '../listening/song-stream.js';
import { type AuditionFeed, type Candidate, FeedAudition } from './feed-audition.js';
import type { FeedConnection, FeedWorld } from './feed-connection.js';
import { FeedHearing } from './feed-hearing.js';
import { FeedSeam } from './feed-seam.js';
import { type FeedSwarms, feedIdOf } from './feed-swarm.js';

/** Between two rounds of asking all hosts. */
const ROUND_MS = 500;
/** Longer than a publisher's grace, so that a host that comes back finds its listeners. */
const GIVE_UP_MS = 15_000;
/** As long as a swarm may bring it. */
const SWARM_ROUND_MS = 2_000;
/** A swarm has no titles: so often it is asked what plays. */
const TITLE_EACH_MS = 3_000;
/** How often it is looked whether a swarm is late. */
const LOOK_MS = 250;
/** Of a feed that was never heard, and has no swarm that is joined. */
const NEVER_HEARD_MS = 5_000;
/** Hosts and what was wrong with them, the last ones. */
const MAX_FAILED = 100;

export type FeedTitle = Pick<OfferRow, 'title' | 'artist' | 'album'>;

export interface FeedToHear extends AuditionFeed {
  /** `host:port`, ready to be dialled; the longest-standing first. */
  readonly hosts: readonly string[];
  /** Who has it now, asked for when those above are used up. */
  readonly moreHosts?: () => Promise<readonly string[]>;
  /** What plays now, for whoever has no host that tells it. */
  readonly titleNow?: () => Promise<FeedTitle | undefined>;
}

export interface LiveStreamOptions extends FeedWorld {
  readonly logger: Logger;
  /** Absent: TSP alone. */
  readonly swarms?: FeedSwarms | undefined;
  /** What the host that is heard says of the feed: at once, and whenever its title changes. */
  readonly described?: ((row: OfferRow) => void) | undefined;
}

export class LiveStream implements SongStream {
  /** A live feed has none: it stays open. */
  readonly size = new Promise<number>(() => {});
  readonly #feed: FeedToHear;
  readonly #options: LiveStreamOptions;
  readonly #seam = new FeedSeam();
  readonly #startedAt: Milliseconds;
  readonly #failed: { host: string; why: string }[] = [];
  #firstByteMs: number | undefined;
  #isRelayed = false;
  #isOver = false;
  readonly #audition: FeedAudition;
  #swarm: FeedHearing | undefined;
  #cancelLook: (() => void) | undefined;
  #titleAt: Milliseconds = Number.NEGATIVE_INFINITY;
  /** All hosts will be asked again. */
  #isPausing = false;
  /** The last host that was lost had no place free. */
  #areBusy = false;
  /** Since when nobody is heard. */
  #lostAt: Milliseconds;
  #cancelRound: (() => void) | undefined;
  #ended = (): void => {};

  constructor(feed: FeedToHear, options: LiveStreamOptions) {
    this.#feed = feed;
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#lostAt = this.#startedAt;
    this.#audition = new FeedAudition(feed, options, {
      described: row => this.#described(row),
      run: (giver, bytes, at) => this.#run(giver, bytes, at),
      ended: () => this.#finish(),
      lost: (giver, why, isBusy) => this.#lost(giver, why, isBusy),
      exhausted: () => this.#nextRound(),
      hostsNow: () => this.#hostsNow(),
    });
  }

  /** `ended` is called when nothing of it is open any more. */
  start(ended: () => void): void {
    this.#ended = ended;
    this.#audition.ask(this.#feed.hosts);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#seam.queue.next(),
      return: async () => {
        this.cancel();
        return { done: true, value: undefined };
      },
    };
  }

  cancel(): void {
    this.#finish();
  }

  report(): FetchReport {
    const isWaiting = !this.#isOver && this.#audition.heard === undefined && !this.#isSwarmTimely;
    const { sources, verifiedBytes } = this.#seam;
    return {
      sources: [...sources].map(([host, bytes]) => ({ host, bytes })),
      failed: [...this.#failed],
      verified: false,
      ...(verifiedBytes > 0 && { verifiedBytes }),
      ...(this.#isRelayed && { relayed: true }),
      ...(this.#firstByteMs !== undefined && { firstByteMs: this.#firstByteMs }),
      ...(isWaiting && { waiting: this.#areBusy ? ALL_ARE_BUSY : 'looking for a host of this feed' }),
    };
  }

  #described(row: HostRow): void {
    if (row.relay === true) this.#isRelayed = true;
    this.#options.described?.(row);
  }

  #run(giver: Candidate, bytes: Uint8Array, at: number | undefined): void {
    const now = this.#options.clock.now();
    this.#firstByteMs ??= now - this.#startedAt;
    this.#lostAt = now;
    this.#seam.fromHost(giver.connection, bytes, at, !this.#isSwarmTimely);
    if (at === undefined) this.#leaveSwarm();
    else if (this.#swarm === undefined) this.#joinSwarm(giver);
  }

  get #isSwarmTimely(): boolean {
    return this.#swarm !== undefined && !this.#swarm.lag.isLate(this.#options.clock.now());
  }

  /** From where we are, or where it is. */
  #joinSwarm({ connection, row }: Candidate): void {
    const { swarms, clock, logger } = this.#options;
    const swarmId = fromHex(row?.swarm ?? '');
    const { host, swarmPort } = connection;
    if (swarms === undefined || swarmId === undefined || swarmPort === undefined) return;
    // Whoever names another swarm than the feed's has none.
    if (feedIdOf(swarmId) !== this.#feed.feed) return;
    const swarm = new FeedHearing({
      swarms,
      swarmId,
      from: this.#seam.next,
      bitrate: row?.bitrate,
      clock,
      logger,
      heard: (at, frames) => this.#proven(swarm, at, frames),
      ended: () => this.#finish(),
    });
    this.#swarm = swarm;
    swarm.meet(host, swarmPort);
    swarm.start();
    this.#look(swarm);
  }

  #leaveSwarm(): void {
    this.#cancelLook?.();
    this.#swarm?.stop();
    this.#swarm = undefined;
  }

  #proven(swarm: FeedHearing, at: number, frames: Uint8Array): void {
    if (this.#isOver) return;
    const now = this.#options.clock.now();
    const giversOf = (from: number, to: number) => swarm.giversOf(from, to);
    if (!this.#seam.fromSwarm(at, frames, giversOf, this.#audition.heard === undefined)) return;
    this.#firstByteMs ??= now - this.#startedAt;
    this.#lostAt = now;
  }

  /** Who brings it: the swarm alone, if it is in time, or a host too. */
  #look(swarm: FeedHearing): void {
    const { clock } = this.#options;
    this.#cancelLook = clock.after(LOOK_MS, () => this.#look(swarm));
    const now = clock.now();
    const { heard, isIdle } = this.#audition;
    if (heard === undefined && now >= this.#titleAt) void this.#askTitle(now);
    if (heard !== undefined && swarm.lag.isTimely(now)) this.#leaveHost(heard);
    else if (isIdle && !this.#isPausing && swarm.lag.isLate(now)) this.#askAnew();
  }

  async #askTitle(now: Milliseconds): Promise<void> {
    this.#titleAt = now + TITLE_EACH_MS;
    const row = await this.#feed.titleNow?.().catch(() => undefined);
    if (row === undefined || this.#isOver || this.#audition.heard !== undefined) return;
    const { title, artist, album } = row;
    this.#options.described?.({
      hash: this.#feed.feed,
      live: true,
      ...(title && { title }),
      ...(artist && { artist }),
      ...(album && { album }),
    });
  }

  #leaveHost({ host }: FeedConnection): void {
    this.#options.logger.debug({ host }, 'the swarm of a live feed is enough');
    this.#audition.leave();
  }

  #lost(giver: Candidate, why: string, isBusy: boolean): void {
    const { host } = giver.connection;
    this.#areBusy = isBusy;
    this.#options.logger.info({ host, why }, 'a host of a live feed was lost');
    if (!this.#failed.some(failure => failure.host === host && failure.why === why)) {
      this.#failed.push({ host, why });
      if (this.#failed.length > MAX_FAILED) this.#failed.shift();
    }
    if (!giver.wasHeard) return;
    // It may be full; those that it feeds are not.
    if (this.#swarm === undefined) this.#joinSwarm(giver);
    // To hear for ever that it is full is no progress.
    if (!isBusy) this.#lostAt = this.#options.clock.now();
  }

  /** Nobody is left to ask: a moment later they are asked again, and who has come since. */
  #nextRound(): void {
    const { clock } = this.#options;
    // Else it is looked whether it still is (#look).
    if (this.#isSwarmTimely) return;
    const isThere = this.#firstByteMs !== undefined || this.#swarm !== undefined;
    const patienceMs = isThere ? GIVE_UP_MS : NEVER_HEARD_MS;
    if (clock.now() - this.#lostAt >= patienceMs) {
      this.#finish(this.#failure());
      return;
    }
    this.#isPausing = true;
    const pauseMs = this.#swarm === undefined ? ROUND_MS : SWARM_ROUND_MS;
    this.#cancelRound = clock.after(pauseMs, () => this.#askAnew());
  }

  #askAnew(): void {
    this.#isPausing = true;
    void this.#hostsNow().then(hosts => {
      this.#isPausing = false;
      if (!this.#isOver && this.#audition.isIdle) this.#audition.ask(hosts);
    });
  }

  async #hostsNow(): Promise<readonly string[]> {
    const { hosts, moreHosts } = this.#feed;
    const now = await moreHosts?.().catch(() => undefined);
    return now === undefined || now.length === 0 ? hosts : now;
  }

  #failure(): Error {
    const last = this.#failed.at(-1);
    if (last === undefined) return new RequestError('no-such-song', 'nobody broadcasts this feed now');
    const { host, why } = last;
    if (this.#areBusy) return new RequestError('busy', `${host}: ${why}`);
    return new TransportError(`the feed was lost: ${host} ${why}`);
  }

  #finish(error?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelRound?.();
    this.#leaveSwarm();
    this.#audition.leave();
    this.#seam.queue.end(error);
    this.#ended();
  }
}
