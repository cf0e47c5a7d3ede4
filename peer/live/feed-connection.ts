/**
 * One host of a live feed, as a listener has it: first asked what it has, then, if it is chosen, to play it (TSP §5.5).
 *
 *     [HELLO] INFO ─▶ described ─▶ PLAY ─▶ run, run, titled, run … ─▶ ended            anything else: lost, and why
 *
 * The rule: an end is an end only if the host said so. A host that goes, falls silent or has something else under that ID
 * is lost.
 */
import { ByteCollector } from '../../protocol/bytes.js';
import { TransportError } from '../../protocol/errors.js';
import type { Clock } from '../../protocol/ports.js';
import { parseHostPort } from '../../protocol/tsp/addresses.js';
import { MAX_RUN_BYTES, NO_SONG } from '../../protocol/tsp/constants.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import { Download, type DownloadEvent, type Question } from '../../protocol/tsp/download.js';
import type { FrameEvent } from '../../protocol/tsp/framing.js';
import type { Hello, SongId } from '../../protocol/tsp/messages.js';
import { type ContentHash, type HostRow, parseHostRow } from '../../protocol/tsp/rows.js';
import { swarmPortOf } from '../../protocol/tsp/swarm-feature.js';
import { type OpenSocket, WireConnection, type WireOwner } from '../wire/wire-connection.js';

/** A run comes each 200 ms, silence too; who says nothing for so long is gone, and a listener still has some sound. */
const PATIENCE_MS = 2_000;

/** What each connection of a listener is lent. */
export interface FeedWorld {
  readonly clock: Clock;
  readonly trace?: WireTrace | undefined;
  readonly openSocket?: OpenSocket | undefined;
  /** Said to hosts first, where there is more to say than a feed. */
  readonly hello?: Hello | undefined;
}

export interface FeedConnectionOptions extends FeedWorld {
  readonly host: string;
  readonly feed: ContentHash;
  readonly id: SongId;
}

/** Each of the last two at most once, and then nothing. */
export interface FeedHolder {
  /** What the host says of the feed: once before PLAY, then whenever it changes. */
  described(row: HostRow): void;
  /** Whole frames; `at`: where they lie in the swarm's stream, if the host says so. */
  run(bytes: Uint8Array, at: number | undefined): void;
  ended(): void;
  /** `isBusy`: it has no place free. */
  lost(why: string, isBusy: boolean): void;
}

export class FeedConnection implements WireOwner {
  readonly host: string;
  readonly #options: FeedConnectionOptions;
  readonly #holder: FeedHolder;
  readonly #download = new Download({ patienceMs: PATIENCE_MS });
  readonly #run = new ByteCollector(MAX_RUN_BYTES);
  #runBytes = 0;
  /** Where the next run lies in the swarm's stream. */
  #at: number | undefined;
  #swarmPort: number | undefined;
  #isDescribed = false;
  #wire: WireConnection | undefined;
  #isOver = false;
  #cancelWatch: (() => void) | undefined;

  constructor(options: FeedConnectionOptions, holder: FeedHolder) {
    this.host = options.host;
    this.#options = options;
    this.#holder = holder;
  }

  open(): void {
    const { clock, trace, openSocket } = this.#options;
    const to = parseHostPort(this.host);
    if (to === undefined || to.host === '') {
      clock.after(0, () => this.#lost('is no address'));
      return;
    }
    this.#wire = new WireConnection({ to, clock, trace, openSocket }, this);
    this.#wire.open();
    const { hello, id } = this.#options;
    if (hello !== undefined) this.#ask({ type: 'HELLO', port: 0, hello }, false);
    this.#ask({ type: 'INFO', song: id }, false);
  }

  /** Where the host speaks PPSPP; undefined: nowhere, or it has not said so yet. */
  get swarmPort(): number | undefined {
    return this.#swarmPort;
  }

  play(): void {
    this.#ask({ type: 'PLAY', song: this.#options.id }, true);
  }

  /** Nothing is told any more, and the host is told to stop. */
  close(): void {
    this.#stop();
    this.#finish(() => {});
  }

  opened(): void {
    this.#watch();
  }

  heard(): void {}

  frame(event: FrameEvent): void {
    for (const told of this.#download.receive(event, this.#options.clock.now())) this.#hear(told);
  }

  closed(error: Error | undefined): void {
    this.#lost(error?.message);
  }

  #ask(question: Extract<Question, { type: 'HELLO' | 'INFO' | 'PLAY' }>, live: boolean): void {
    if (this.#isOver) return;
    this.#download.ask(question, this.#options.clock.now(), { live });
    this.#wire?.send(question);
  }

  #hear(told: DownloadEvent): void {
    switch (told.kind) {
      case 'send':
        this.#wire?.send(told.message);
        return;
      case 'rows':
        for (const row of told.rows) this.#describe(parseHostRow(row));
        return;
      case 'begun':
        this.#runBytes = told.header.length;
        return;
      case 'data':
        this.#collect(told.bytes);
        return;
      case 'answered':
        if (told.question.type === 'PLAY') this.#finish(() => this.#holder.ended());
        // Nothing is owed then, so that it would be waited for without a limit.
        if (told.question.type === 'INFO' && !this.#isDescribed) this.#lost('says nothing of this feed');
        if (told.welcome !== undefined) this.#swarmPort = swarmPortOf(told.welcome);
        return;
      case 'refused':
        // Not everybody knows HELLO.
        if (told.question.type === 'HELLO') return;
        this.#lost(told.error.message ?? told.error.code, told.error.code === 'busy');
        return;
      case 'warned':
        return;
    }
  }

  #describe(row: HostRow): void {
    if (this.#isOver) return;
    this.#isDescribed = true;
    this.#at = row.at ?? this.#at;
    if (row.live === true && row.hash === this.#options.feed) this.#holder.described(row);
    else this.#lost('has something else under that ID');
  }

  #collect(bytes: Uint8Array): void {
    this.#run.add(bytes);
    if (this.#run.length < this.#runBytes || this.#isOver) return;
    const at = this.#at;
    if (at !== undefined) this.#at = at + this.#runBytes;
    this.#holder.run(this.#run.take(), at);
  }

  /** One timer at a time: when it fires too early, it is set again. */
  #watch(): void {
    const { clock } = this.#options;
    this.#cancelWatch = clock.after(PATIENCE_MS / 2, () => {
      const late = this.#download.expire(clock.now());
      if (late === undefined) return this.#watch();
      this.#stop();
      this.#lost(late.message);
    });
  }

  /** Who has nothing to send would not notice for as long that we have gone. */
  #stop(): void {
    if (this.#download.owed > 0) this.#wire?.send({ type: 'STOP', song: NO_SONG });
  }

  #lost(why = 'ended the connection', isBusy = false): void {
    this.#finish(() => this.#holder.lost(why, isBusy));
  }

  #finish(tell: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancelWatch?.();
    this.#wire?.close(new TransportError('not needed any more'));
    tell();
  }
}
