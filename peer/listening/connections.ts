/**
 * The connections to hosts: at most 16 kept warm, each lent to one fetch at a time.
 *
 *     warm(hosts) ─▶ [ idle … ] ──lease──▶ fetch ──give back──▶ [ idle … ] ──5 min unused, or a 17th──▶ closed
 *
 * The rule: whoever holds a connection hears only what it asked itself; what an earlier holder left unread drains
 * away. An idle connection is pinged, which keeps the host from closing it and tells how near it is.
 */
import { RemoteProtocolError, TransportError } from '../../protocol/errors.js';
import type { Clock, Logger, Milliseconds } from '../../protocol/ports.js';
import { parseHostPort } from '../../protocol/tsp/addresses.js';
import { CONNECTION_IDLE_MS, NO_SONG, PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import { Download, type DownloadEvent, type Question } from '../../protocol/tsp/download.js';
import type { FrameEvent } from '../../protocol/tsp/framing.js';
import { type OpenSocket, WireConnection, type WireOwner } from '../wire/wire-connection.js';
import type { HostBook } from './choose-host.js';
import type { Ask } from './fetch-source.js';

const MAX_WARM_CONNECTIONS = 16;
/** Three times within the minute after which a host closes an idle connection (TSP §5.3). */
export const WARM_PING_MS = CONNECTION_IDLE_MS / 3;
export const WARM_FOR_MS = 5 * 60_000;
/** What a connection may still be sending when it is given back: a new dial would cost more than to let it drain. */
const DRAIN_AT_MOST_BYTES = 4 * PIECE_BYTES;
/** So long it may take for that. */
const DRAIN_AT_MOST_MS = 500;
/** A host that owes an answer and is silent for this long is gone; fetches lose patience long before. */
const PATIENCE_MS = 10_000;

export interface Holder {
  event(event: DownloadEvent): void;
  /** `why` follows the host's name. */
  lost(why: string): void;
}

export interface ConnectionsOptions {
  readonly book: HostBook;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace?: WireTrace | undefined;
  readonly openSocket?: OpenSocket | undefined;
}

export class HostConnections {
  readonly #options: ConnectionsOptions;
  /** Least recently used first. */
  readonly #idle = new Set<HostConnection>();
  readonly #lent = new Set<HostConnection>();
  #stopped = false;

  constructor(options: ConnectionsOptions) {
    this.#options = options;
  }

  /** A warm connection to `host`, or a new one. Requests may be sent at once. */
  lease(host: string, holder: Holder): HostConnection {
    const warm = [...this.#idle].findLast(connection => connection.host === host);
    const connection = warm ?? this.#dial(host);
    this.#idle.delete(connection);
    this.#lent.add(connection);
    connection.holder = holder;
    return connection;
  }

  /** Given back: kept when it is healthy and drains soon. */
  giveBack(connection: HostConnection): void {
    if (this.#stopped || !connection.drainsSoon) {
      this.discard(connection);
      return;
    }
    connection.holder = undefined;
    this.#lent.delete(connection);
    this.#keep(connection);
  }

  /** Given up: closed, whatever it still sends. */
  discard(connection: HostConnection): void {
    connection.holder = undefined;
    this.#lent.delete(connection);
    connection.close();
  }

  /**
   * Dials hosts that are likely to be asked soon, the likeliest last. One that is lent does not count: whoever skips to
   * another song of the same host should not wait for a handshake.
   */
  warm(hosts: readonly string[]): void {
    if (this.#stopped) return;
    for (const host of hosts.slice(-MAX_WARM_CONNECTIONS))
      this.#keep([...this.#idle].find(connection => connection.host === host) ?? this.#dial(host));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const connection of [...this.#idle, ...this.#lent]) this.discard(connection);
  }

  #dial(host: string): HostConnection {
    const connection = new HostConnection(host, this.#options, () => {
      this.#idle.delete(connection);
      this.#lent.delete(connection);
    });
    connection.open();
    return connection;
  }

  #keep(connection: HostConnection): void {
    this.#idle.delete(connection);
    if (connection.isClosed) return;
    connection.restedAt = this.#options.clock.now();
    this.#idle.add(connection);
    for (const oldest of this.#idle) {
      if (this.#idle.size <= MAX_WARM_CONNECTIONS) break;
      oldest.close();
    }
  }
}

export class HostConnection implements WireOwner {
  holder: Holder | undefined;
  /** Since when nobody uses it. */
  restedAt: Milliseconds = 0;
  readonly #options: ConnectionsOptions;
  readonly #gone: () => void;
  readonly #download = new Download({ patienceMs: PATIENCE_MS });
  #wire: WireConnection | undefined;
  #owedBytes = 0;
  /** Since when it has owed some without a break, and how many came since. */
  #owesSince: Milliseconds = 0;
  #bytesSince = 0;
  #dialledAt: Milliseconds = 0;
  #quietSince: Milliseconds = 0;
  #ping: { readonly question: Question; readonly sentAt: Milliseconds } | undefined;
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  constructor(
    readonly host: string,
    options: ConnectionsOptions,
    gone: () => void,
  ) {
    this.#options = options;
    this.#gone = gone;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Song bytes that were asked for and have not come. */
  get owedBytes(): number {
    return this.#owedBytes;
  }

  /** It owes little, and brings that as quickly as far as can be told. */
  get drainsSoon(): boolean {
    if (this.#owedBytes === 0) return true;
    const owesMs = this.#options.clock.now() - this.#owesSince;
    const isQuick =
      owesMs <= DRAIN_AT_MOST_MS || this.#owedBytes * owesMs <= this.#bytesSince * DRAIN_AT_MOST_MS;
    return isQuick && this.#owedBytes <= DRAIN_AT_MOST_BYTES;
  }

  open(): void {
    const { clock, trace, openSocket } = this.#options;
    const to = parseHostPort(this.host);
    this.#dialledAt = clock.now();
    this.#quietSince = this.#dialledAt;
    if (to === undefined || to.host === '') {
      // Told later, like every other failure: whoever leases it is not ready to hear of it yet.
      clock.after(0, () => this.closed(new TransportError('is no address')));
      return;
    }
    this.#wire = new WireConnection({ to, clock, trace, openSocket }, this);
    this.#wire.open();
    this.#watch();
  }

  /** All in one write. */
  ask(asks: readonly Ask[]): void {
    const now = this.#options.clock.now();
    if (this.#owedBytes === 0) {
      this.#owesSince = now;
      this.#bytesSince = 0;
    }
    for (const { question, least } of asks) {
      this.#download.ask(question, now, { least });
      if (question.type === 'RANGE') this.#owedBytes += question.count;
    }
    this.#quietSince = now;
    this.#wire?.send(...asks.map(({ question }) => question));
  }

  close(): void {
    if (this.#owedBytes > 0) this.#wire?.send({ type: 'STOP', song: NO_SONG });
    if (this.#wire === undefined) this.closed(undefined);
    else this.#wire.close(new TransportError('not needed any more'));
  }

  opened(): void {
    this.#options.book.alive(this.host, this.#options.clock.now() - this.#dialledAt);
  }

  heard(): void {
    this.#quietSince = this.#options.clock.now();
  }

  frame(event: FrameEvent): void {
    const now = this.#options.clock.now();
    for (const heard of this.#download.receive(event, now)) this.#tell(heard, now);
  }

  closed(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer?.();
    this.#gone();
    if (error instanceof RemoteProtocolError)
      this.#options.logger.info({ host: this.host, code: error.code }, error.message);
    this.holder?.lost(error?.message ?? 'ended the connection');
  }

  #tell(event: DownloadEvent, now: Milliseconds): void {
    if (event.kind === 'send') {
      this.#wire?.send(event.message);
      return;
    }
    if (event.kind === 'data') {
      this.#owedBytes -= event.bytes.length;
      this.#bytesSince += event.bytes.length;
    }
    if (event.kind === 'begun' && event.question.type === 'RANGE' && event.header.type === 'SONG_DATA')
      this.#owedBytes -= event.question.count - event.header.length;
    if (event.kind === 'refused' && event.question.type === 'RANGE') this.#owedBytes -= event.question.count;
    if (event.kind === 'answered' && event.question === this.#ping?.question) {
      this.#options.book.alive(this.host, now - this.#ping.sentAt);
      this.#ping = undefined;
    }
    this.holder?.event(event);
  }

  /** Pings when it is quiet, and ends when it is silent or was not used for long. */
  #watch(): void {
    const { clock } = this.#options;
    this.#cancelTimer = clock.after(WARM_PING_MS / 2, () => {
      const now = clock.now();
      const unused = this.holder === undefined && this.restedAt > 0 && now - this.restedAt >= WARM_FOR_MS;
      const silent = this.#download.expire(now);
      if (silent !== undefined || unused) {
        this.#wire?.close(silent ?? new TransportError('not needed any more'));
        return;
      }
      if (this.#download.owed === 0 && now - this.#quietSince >= WARM_PING_MS) {
        const question = { type: 'PING', value: 0 } as const;
        this.#ping = { question, sentAt: now };
        this.ask([{ question, least: 0 }]);
      }
      this.#watch();
    });
  }
}
