/**
 * Where a fetch stands: what of the song is here, who is at work on it, and what nobody was asked for.
 *
 * Read by all that decide something about a fetch; what each part means is told where it is written.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { HostBook } from './choose-host.js';
import { Crew } from './crew.js';
import { bytesPerSecondOf, type FetchTask, GIVE_UP_MS } from './fetch-effects.js';
import type { FetchSource } from './fetch-source.js';
import { HostTrials } from './host-trials.js';
import { KeptShare } from './kept-share.js';
import { MoreHosts } from './more-hosts.js';
import { PieceOrder } from './piece-order.js';
import type { FetchWindow, RangePlan } from './range-plan.js';
import { SongFacts } from './song-facts.js';
import { Supply } from './supply.js';
import { SwarmShare } from './swarm-share.js';

export class FetchState {
  readonly trials: HostTrials;
  readonly moreHosts: MoreHosts;
  readonly facts: SongFacts;
  readonly order: PieceOrder;
  readonly supply: Supply;
  readonly crew = new Crew();
  readonly swarm = new SwarmShare();
  readonly kept: KeptShare;
  /** Bytes a second that playing it takes. */
  readonly needs: number;
  /** When anybody last brought the fetch on. */
  heardAt: Milliseconds = 0;
  /** When a piece was last delivered. */
  deliveredAt: Milliseconds = 0;
  isOver = false;

  constructor(
    readonly task: FetchTask,
    readonly book: HostBook,
  ) {
    this.trials = new HostTrials(book, task.song.hosts);
    this.moreHosts = new MoreHosts(task.song.moreHosts !== undefined);
    this.needs = bytesPerSecondOf(task.song);
    this.facts = new SongFacts(task.song, task.hashes);
    this.kept = new KeptShare(task.kept ?? []);
    this.order = new PieceOrder(Math.floor(task.fromByte / PIECE_BYTES));
    this.supply = new Supply(task.fromByte, this.needs);
  }

  get isPastEnd(): boolean {
    const { hashes } = this.facts;
    return hashes !== undefined && this.order.next >= hashes.count;
  }

  /** Infinity while there is something in store. */
  get giveUpAt(): Milliseconds {
    const { starvedSince } = this.supply;
    return starvedSince === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(starvedSince, this.heardAt) + GIVE_UP_MS;
  }

  /** It is not here, and nobody was asked for it. */
  isFree(piece: number): boolean {
    const { order, swarm, kept, crew } = this;
    if (order.has(piece) || kept.has(piece) || swarm.wanted.has(piece)) return false;
    return crew.whoOwes(piece) === undefined;
  }

  /** What may be here by now. */
  get window(): FetchWindow {
    return {
      task: this.task,
      hashes: this.facts.hashes,
      next: this.order.next,
      takenTo: this.supply.takenTo,
      isFree: piece => this.isFree(piece),
    };
  }

  /** What may be asked of `source` now. */
  planFor(source: FetchSource, now: Milliseconds): RangePlan {
    return {
      ...this.window,
      bytesPerSecond: this.book.bytesPerSecond(source.host),
      sharers: this.crew.sources.length,
      now,
    };
  }
}
