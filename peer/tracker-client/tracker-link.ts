/**
 * This peer's connection to its tracker: registers its songs, follows the list, and comes back when it is lost.
 *
 *     catalogue ──UPDATE──▶ tracker ──BROADCAST_LIST──▶ SongList          info, find ◀─▶ the same connection
 *
 * The rule: a tracker that is gone is said once and changes nothing else. The list stays, marked stale; the IDs of own
 * songs stay, for listeners who know them; until it is back every question fails at once instead of hanging.
 */
import { isFatal, RequestError, TransportError } from '../../protocol/errors.js';
import type { Milliseconds } from '../../protocol/ports.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import { encode } from '../../protocol/tsp/codec.js';
import type { FrameEvent } from '../../protocol/tsp/framing.js';
import type { ErrorBody, Message, SongId, Welcome } from '../../protocol/tsp/messages.js';
import { PeerSession } from '../../protocol/tsp/peer-session.js';
import type { PeerEffect, TrackerQuestion } from '../../protocol/tsp/peer-table.js';
import {
  type ContentHash,
  encodeOfferChange,
  type OfferChange,
  type SongIdRow,
  type SongRow,
} from '../../protocol/tsp/rows.js';
import { DeadlineTimer } from '../deadline-timer.js';
import type { ProofEcho, SongIdTable } from '../hosting/neighbours.js';
import { WireConnection, type WireOwner } from '../wire/wire-connection.js';
import { Backoff } from './backoff.js';
import type { LinkEvent, LinkStatus, RefusedSong, TrackerLinkOptions } from './link-events.js';
import type { OfferChanges } from './offers.js';
import { OwnSongIds } from './own-song-ids.js';
import { SongList } from './song-list.js';

/** Rows encoded before others get their turn: about a millisecond. */
const SONGS_A_TURN = 500;
/** What waits for our list to be sent: some PONGs, and what a person asks. */
const MAX_HELD = 4_096;

interface Waiting {
  readonly rows: SongRow[];
  readonly resolve: (rows: readonly SongRow[]) => void;
  readonly reject: (error: Error) => void;
}

export class TrackerLink implements SongIdTable, ProofEcho, WireOwner {
  readonly list = new SongList();
  readonly #options: TrackerLinkOptions;
  readonly #backoff: Backoff;
  readonly #ids = new OwnSongIds();
  readonly #listeners = new Set<(event: LinkEvent) => void>();
  readonly #questions = new Map<TrackerQuestion, Waiting>();
  #port = 0;
  #wire: WireConnection | undefined;
  #session: PeerSession | undefined;
  #welcome: Welcome | undefined;
  #registeredAt: Milliseconds | undefined;
  #unreachable = false;
  #saidLost = false;
  #goodbye: ErrorBody | undefined;
  #why: string | undefined;
  /** While the songs are being sent, what else there is to say waits: nothing may come between their rows. */
  #held: Message[] | undefined;
  readonly #timer: DeadlineTimer;
  #cancelRetry: (() => void) | undefined;
  #endSongs: (() => void) | undefined;
  #attempted: ((registered: boolean) => void) | undefined;
  #running = false;

  constructor(options: TrackerLinkOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.randomUnit);
    this.#timer = new DeadlineTimer(
      options.clock,
      () => this.#session?.nextDeadline(),
      now => this.#perform(this.#session!.expire(now)),
    );
  }

  /**
   * Connects, and from then on keeps connected. Resolves when the first attempt has ended: true if it registered.
   * `port`: where our song server listens, from anybody's view; 0: only listening.
   */
  start(port = 0): Promise<boolean> {
    this.#port = this.#options.songs === undefined ? 0 : port;
    this.#running = true;
    if (this.#port !== 0)
      this.#endSongs = this.#options.songs?.onChange(change => this.#songsChanged(change));
    return new Promise(resolve => {
      this.#attempted = resolve;
      this.#connect();
    });
  }

  /** Says goodbye, so that our songs leave the list at once. Resolves when that is sent, or can't be. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#endSongs?.();
    this.#cancelRetry?.();
    const wire = this.#wire;
    if (this.#session !== undefined && this.#held === undefined) this.#perform(this.#session.quit());
    wire?.close();
    await wire?.over;
  }

  onEvent(listener: (event: LinkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  status(): LinkStatus {
    const { tracker } = this.#options;
    const { name, listed = [], maxSongs } = this.#welcome ?? {};
    const missing = this.#welcome === undefined ? 'absent' : 'lost';
    const isHere = this.#registeredAt !== undefined;
    return {
      address: formatHostPort(tracker.host, tracker.port),
      state: isHere ? 'registered' : this.#saidLost ? missing : 'connecting',
      listed: isHere ? listed : [],
      unreachable: this.#unreachable,
      ...(isHere || this.#why === undefined ? {} : { why: this.#why }),
      ...(name === undefined ? {} : { name }),
      ...(maxSongs === undefined ? {} : { maxSongs }),
    };
  }

  /** Everything known of a song, or of all (0). TransportError when the tracker is gone, RequestError as it answers. */
  info(song: SongId | 0): Promise<readonly SongRow[]> {
    return this.#ask({ type: 'INFO', song });
  }

  /** Best match first, at most 50. Fails as `info` does. */
  find(words: string): Promise<readonly SongRow[]> {
    return this.#ask({ type: 'FIND', words });
  }

  hashOf(id: SongId): ContentHash | undefined {
    return this.#ids.hashOf(id);
  }

  idOf(hash: ContentHash): SongId | undefined {
    return this.#ids.idOf(hash);
  }

  get owed(): boolean {
    return this.#session?.idsOwed ?? false;
  }

  ping(value: number): void {
    if (this.#session !== undefined) this.#perform(this.#session.echo(value, this.#now));
  }

  opened(): void {
    const { hello } = this.#options;
    const { revision } = this.list;
    const tracker = this.#welcome?.tracker;
    const since = tracker === undefined || revision === undefined ? {} : { since: { tracker, revision } };
    this.#ids.connected();
    this.#session = new PeerSession({ port: this.#port, hello: { ...hello, ...since } }, this.#now);
    this.#perform(this.#session.start());
  }

  heard(): void {
    this.#session?.heard(this.#now);
  }

  frame(event: FrameEvent): void {
    if (this.#session !== undefined) this.#perform(this.#session.receive(event, this.#now));
  }

  closed(error: Error | undefined): void {
    const why =
      this.#goodbye === undefined ? `it ${error?.message ?? 'closed the connection'}` : say(this.#goodbye);
    this.#why = why;
    const upForMs = this.#registeredAt === undefined ? 0 : this.#now - this.#registeredAt;
    this.#wire = undefined;
    this.#session = undefined;
    this.#registeredAt = undefined;
    this.#held = undefined;
    this.#timer.cancel();
    this.list.lost();
    for (const { reject } of this.#questions.values())
      reject(new TransportError(`the tracker is gone: ${why}`));
    this.#questions.clear();
    if (this.#running) this.#retry(why, upForMs);
    this.#attempted?.(false);
    this.#attempted = undefined;
  }

  get #now(): Milliseconds {
    return this.#options.clock.now();
  }

  #connect(): void {
    const { tracker, clock, trace, openSocket } = this.#options;
    this.#goodbye = undefined;
    this.#wire = new WireConnection({ to: tracker, clock, trace, openSocket }, this);
    this.#wire.open();
  }

  #retry(why: string, upForMs: Milliseconds): void {
    const { clock, logger } = this.#options;
    const delayMs = Math.max(this.#backoff.next(upForMs), this.#goodbye?.retryAfterMs ?? 0);
    logger.debug({ why, delayMs: Math.round(delayMs) }, 'the tracker is tried again');
    if (this.#goodbye?.code === 'replaced') {
      this.#port = 0;
      this.#emit({ kind: 'replaced' });
    } else if (!this.#saidLost) {
      this.#saidLost = true;
      this.#emit({ kind: 'lost', why });
    }
    this.#cancelRetry = clock.after(delayMs, () => this.#connect());
  }

  #ask(question: TrackerQuestion): Promise<readonly SongRow[]> {
    const session = this.#session;
    if (session === undefined || this.#registeredAt === undefined) {
      const { address, state } = this.status();
      const how = state === 'lost' ? 'is gone' : 'does not answer yet';
      return Promise.reject(new TransportError(`the tracker ${address} ${how}`));
    }
    return new Promise((resolve, reject) => {
      this.#questions.set(question, { rows: [], resolve, reject });
      this.#perform(session.ask(question, this.#now));
    });
  }

  #songsChanged({ changed, removed }: OfferChanges): void {
    if (this.#session === undefined) return;
    const gone = removed.map((hash): OfferChange => ({ hash, gone: true }));
    this.#perform(this.#session.offer([...gone, ...changed.map(song => song.offer)], this.#now));
  }

  #perform(effects: readonly PeerEffect[]): void {
    for (const effect of effects) this.#do(effect);
    this.#timer.arm();
  }

  #do(effect: PeerEffect): void {
    switch (effect.do) {
      case 'send':
        this.#send(effect.message);
        return;
      case 'send-songs':
        void this.#sendSongs();
        return;
      case 'welcomed':
        this.#welcomed(effect.revision, effect.welcome);
        return;
      case 'song-ids':
        this.#songIds(effect.rows);
        return;
      case 'unreachable':
        this.#unreachable = true;
        this.#emit({ kind: 'unreachable', why: say(effect.error) });
        return;
      case 'list-begin':
        this.list.begin(effect.revision, effect.whole);
        return;
      case 'list-rows':
        this.list.rows(effect.rows);
        return;
      case 'list-end':
        this.#listEnd();
        return;
      case 'rows':
        this.#questions.get(effect.question)?.rows.push(...effect.rows);
        return;
      case 'answered':
      case 'refused':
        this.#answered(effect);
        return;
      case 'changes-refused':
        this.#options.logger.warn(
          { songs: effect.changes.length },
          `the tracker refused changes: ${say(effect.error)}`,
        );
        return;
      case 'warned':
        this.#options.logger.info({ code: effect.error.code }, `the tracker says: ${say(effect.error)}`);
        return;
      case 'close':
        this.#giveUp(effect.error);
        return;
    }
  }

  #send(message: Message): void {
    if (this.#held !== undefined) {
      if (this.#held.push(message) > MAX_HELD) this.#wire?.close(new TransportError('does not listen'));
      return;
    }
    this.#wire?.send(message);
    this.#session?.spoke(this.#now);
  }

  /** LIST_INFO of all own songs: encoded first, for its length comes before its rows, then written as it is taken. */
  async #sendSongs(): Promise<void> {
    const wire = this.#wire;
    const songs = [...(this.#options.songs?.songs() ?? [])];
    this.#held = [];
    const parts: Buffer[] = [];
    for (let at = 0; at < songs.length; at += SONGS_A_TURN) {
      if (at > 0) await new Promise<void>(resolve => this.#options.clock.after(0, resolve));
      parts.push(
        Buffer.concat(songs.slice(at, at + SONGS_A_TURN).map(song => encodeOfferChange(song.offer))),
      );
    }
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    for (const part of [encode({ type: 'LIST_INFO', revision: 0, length }), ...parts]) {
      if (wire === undefined || wire !== this.#wire) return;
      wire.write(part);
      await wire.drained();
      this.#session?.spoke(this.#now);
    }
    if (wire !== this.#wire) return;
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const message of held) this.#send(message);
    this.#timer.arm();
  }

  #welcomed(revision: number, welcome: Welcome): void {
    const before = this.#welcome;
    const isSame = this.#ids.welcomed(welcome.tracker);
    if (before !== undefined && !isSame) this.list.clear();
    this.#welcome = welcome;
    this.list.welcomed(revision, this.#wire?.remoteAddress);
    this.#registeredAt ??= this.#now;
    this.#saidLost = false;
    const { listed = [] } = welcome;
    if (listed.length > 0) this.#unreachable = false;
    const anotherTracker = before !== undefined && !isSame;
    this.#emit({ kind: 'registered', listed, anotherTracker });
    this.#attempted?.(true);
    this.#attempted = undefined;
  }

  #songIds(rows: readonly SongIdRow[]): void {
    let given = 0;
    const refused: RefusedSong[] = [];
    for (const row of rows) {
      if (this.#options.songs?.get(row.hash) === undefined) continue;
      if ('error' in row) {
        if (row.error !== 'unreachable') refused.push(row);
      } else {
        this.#ids.add(row.hash, row.id);
        given += 1;
      }
    }
    if (given + refused.length > 0) this.#emit({ kind: 'song-ids', given, refused });
  }

  #listEnd(): void {
    const outcome = this.list.end();
    if (outcome.kind === 'applied') this.#emit({ kind: 'list', change: outcome.change });
    if (outcome.kind === 'jump' && this.#session !== undefined)
      this.#perform(this.#session.askList(this.#now));
  }

  #answered(effect: Extract<PeerEffect, { do: 'answered' | 'refused' }>): void {
    const waiting = this.#questions.get(effect.question);
    this.#questions.delete(effect.question);
    if (effect.do === 'answered') waiting?.resolve(waiting.rows);
    else waiting?.reject(errorOf(effect.error));
  }

  #giveUp(error: ErrorBody | TransportError): void {
    if (error instanceof TransportError) {
      this.#wire?.close(error);
      return;
    }
    this.#goodbye = error;
    this.#wire?.close(new TransportError(say(error)));
  }

  #emit(event: LinkEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

const say = (error: ErrorBody): string => error.message ?? error.code;

function errorOf(error: ErrorBody): RequestError | TransportError {
  const { code, retryAfterMs } = error;
  if (isFatal(code)) return new TransportError(say(error));
  return new RequestError(code, say(error), { retryAfterMs });
}
