/**
 * A live feed as its listener has it: whole frames from the present on, from whichever host has them.
 *
 *     hosts ─▶ audition: who has it, and is it the source? ─▶ runs ─▶ reader
 *                  ▲                                          └ lost: the next host, from where this one broke off
 *
 * The rule: the source itself is preferred to a relay. The stream ends without an error only when a host said that the
 * feed is over; when no host has it for fifteen seconds, it fails. Nothing is verified: over plain TSP a live feed can't be.
 */
import { RequestError, TransportError } from '../../protocol/errors.js';
import type { Clock, Logger, Milliseconds } from '../../protocol/ports.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash, OfferRow } from '../../protocol/tsp/rows.js';
import type { FetchReport, SongStream } from '../listening/song-stream.js';
import type { OpenSocket } from '../wire/wire-connection.js';
import type { WireTrace } from '../wire/wire-trace.js';
import { FeedConnection } from './feed-connection.js';
import { RunQueue } from './run-queue.js';

/** Asked at a time what they have. */
const AUDITIONED = 4;
/** A relay that has answered waits so long for the source to answer too. */
const PREFER_SOURCE_MS = 250;
/** Between two rounds of asking all hosts. */
const ROUND_MS = 500;
/** Longer than a publisher's grace, so that a host that comes back finds its listeners. */
const GIVE_UP_MS = 15_000;
/** Of a feed that was never heard. */
const NEVER_HEARD_MS = 5_000;

export interface FeedToHear {
  readonly feed: ContentHash;
  readonly id: SongId;
  /** `host:port`, ready to be dialled; the longest-standing first. */
  readonly hosts: readonly string[];
  /** Who has it now, asked for when those above are used up. */
  readonly moreHosts?: () => Promise<readonly string[]>;
  /** Nothing is wanted of relays. */
  readonly sourceOnly?: boolean;
}

export interface LiveStreamOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace?: WireTrace | undefined;
  readonly openSocket?: OpenSocket | undefined;
  /** What the host that is heard says of the feed: at once, and whenever its title changes. */
  readonly described?: ((row: OfferRow) => void) | undefined;
}

interface Candidate {
  readonly connection: FeedConnection;
  row?: OfferRow;
}

export class LiveStream implements SongStream {
  /** A live feed has none: it stays open. */
  readonly size = new Promise<number>(() => {});
  readonly #feed: FeedToHear;
  readonly #options: LiveStreamOptions;
  readonly #queue = new RunQueue();
  readonly #startedAt: Milliseconds;
  readonly #sources = new Map<string, number>();
  readonly #failed: { host: string; why: string }[] = [];
  #firstByteMs: number | undefined;
  #isRelayed = false;
  #isOver = false;
  /** Not yet asked in this round. */
  #untried: string[];
  #candidates: Candidate[] = [];
  #heard: FeedConnection | undefined;
  /** Since when nobody is heard. */
  #lostAt: Milliseconds;
  #cancelTimer: (() => void) | undefined;
  #ended = (): void => {};

  constructor(feed: FeedToHear, options: LiveStreamOptions) {
    this.#feed = feed;
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#lostAt = this.#startedAt;
    this.#untried = [...feed.hosts];
  }

  /** `ended` is called when nothing of it is open any more. */
  start(ended: () => void): void {
    this.#ended = ended;
    if (this.#untried.length === 0) this.#nextRound();
    else this.#audition();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#queue.next(),
      return: async () => {
        this.cancel();
        return { done: true, value: undefined };
      },
    };
  }

  cancel(): void {
    this.#finish(() => this.#queue.end());
  }

  report(): FetchReport {
    const isWaiting = !this.#isOver && this.#heard === undefined;
    return {
      sources: [...this.#sources].map(([host, bytes]) => ({ host, bytes })),
      failed: [...this.#failed],
      verified: false,
      ...(this.#isRelayed && { relayed: true }),
      ...(this.#firstByteMs !== undefined && { firstByteMs: this.#firstByteMs }),
      ...(isWaiting && { waiting: 'looking for a host of this feed' }),
    };
  }

  /** Asks as many hosts as may be asked at a time. */
  #audition(): void {
    while (this.#candidates.length < AUDITIONED && this.#untried.length > 0)
      this.#try(this.#untried.shift()!);
    if (this.#candidates.length === 0) this.#nextRound();
  }

  #try(host: string): void {
    const { feed, id } = this.#feed;
    const { clock, trace, openSocket } = this.#options;
    const connection = new FeedConnection(
      { host, feed, id, clock, trace, openSocket },
      {
        described: row => this.#described(candidate, row),
        run: bytes => this.#run(host, bytes),
        ended: () => this.#finish(() => this.#queue.end()),
        lost: why => this.#lost(candidate, why),
      },
    );
    const candidate: Candidate = { connection };
    this.#candidates.push(candidate);
    connection.open();
  }

  #described(candidate: Candidate, row: OfferRow): void {
    const isFirst = candidate.row === undefined;
    candidate.row = row;
    if (candidate.connection === this.#heard) this.#options.described?.(row);
    else if (row.relay === true && this.#feed.sourceOnly === true) this.#dismiss(candidate);
    else if (isFirst && row.relay !== true) this.#choose(candidate);
    else if (isFirst && this.#haveAllAnswered) this.#chooseRelay();
    else if (isFirst) this.#setTimer(PREFER_SOURCE_MS, () => this.#chooseRelay());
  }

  #dismiss(candidate: Candidate): void {
    candidate.connection.close();
    this.#lost(candidate, 'is not the source');
  }

  get #haveAllAnswered(): boolean {
    return this.#candidates.every(({ row }) => row !== undefined);
  }

  #chooseRelay(): void {
    const answered = this.#candidates.find(({ row }) => row !== undefined);
    if (answered !== undefined) this.#choose(answered);
  }

  #choose(chosen: Candidate): void {
    this.#cancelTimer?.();
    for (const other of this.#candidates) if (other !== chosen) other.connection.close();
    this.#candidates = [chosen];
    this.#heard = chosen.connection;
    if (chosen.row?.relay === true) this.#isRelayed = true;
    if (chosen.row !== undefined) this.#options.described?.(chosen.row);
    chosen.connection.play();
  }

  #run(host: string, bytes: Uint8Array): void {
    this.#firstByteMs ??= this.#options.clock.now() - this.#startedAt;
    this.#sources.set(host, (this.#sources.get(host) ?? 0) + bytes.length);
    this.#queue.push(bytes);
  }

  #lost({ connection }: Candidate, why: string): void {
    if (this.#isOver) return;
    const { host } = connection;
    this.#options.logger.info({ host, why }, 'a host of a live feed was lost');
    if (!this.#failed.some(failure => failure.host === host && failure.why === why))
      this.#failed.push({ host, why });
    this.#candidates = this.#candidates.filter(candidate => candidate.connection !== connection);
    if (connection === this.#heard) {
      this.#heard = undefined;
      this.#lostAt = this.#options.clock.now();
      this.#queue.broken();
      this.#untried = this.#feed.hosts.filter(other => other !== host);
      this.#audition();
      return;
    }
    // Relays that answered were waiting for this one.
    if (this.#candidates.length > 0 && this.#haveAllAnswered) this.#chooseRelay();
    else this.#audition();
  }

  /** Nobody is left to ask: a moment later they are asked again, and who has come since. */
  #nextRound(): void {
    const { clock } = this.#options;
    const patienceMs = this.#firstByteMs === undefined ? NEVER_HEARD_MS : GIVE_UP_MS;
    if (clock.now() - this.#lostAt >= patienceMs) {
      this.#finish(() => this.#queue.fail(this.#failure()));
      return;
    }
    this.#setTimer(ROUND_MS, () => {
      void this.#hostsNow().then(hosts => {
        if (this.#isOver || this.#candidates.length > 0) return;
        this.#untried = [...hosts];
        this.#audition();
      });
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
    return new TransportError(`the feed was lost: ${why.startsWith(host) ? why : `${host} ${why}`}`);
  }

  #setTimer(delayMs: number, then: () => void): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#options.clock.after(delayMs, then);
  }

  #finish(tell: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelTimer?.();
    for (const { connection } of this.#candidates) connection.close();
    this.#candidates = [];
    tell();
    this.#ended();
  }
}
