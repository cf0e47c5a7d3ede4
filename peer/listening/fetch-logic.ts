/**
 * How a song is fetched: what is asked, what is believed, and what is handed on (TSP §5.3, §5.6).
 *
 *     lead    ── HASHES, RANGE, INFO, RANGE … ──▶ ┐
 *     helpers ── RANGE, beyond what others owe ──▶ ├─ pieces, proven one by one ─▶ in order ─▶ deliver
 *     swarm   ── pieces that are left to it ─────▶ ┘
 *
 * The rule: a piece is delivered only when the song's hash vouches for it, in order, once. A song begins with one host; the
 * others help from the first piece on (`staffing.ts`). Pure: events and the time come in, effects go out.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { DownloadEvent, Question } from '../../protocol/tsp/download.js';
import type { ErrorBody } from '../../protocol/tsp/messages.js';
import type { HostBook } from './choose-host.js';
import {
  type FetchEffect,
  type FetchTask,
  LOOK_AGAIN_MS,
  SILENT,
  STALL_MS,
  sayError,
  UNNOTICED_MS,
} from './fetch-effects.js';
import type { FetchSource } from './fetch-source.js';
import { FetchState } from './fetch-state.js';
import type { ProvenPiece } from './piece-order.js';
import type { PieceHashes, PieceInProgress } from './pieces.js';
import type { FetchReport } from './song-stream.js';
import { Staffing } from './staffing.js';

export class FetchLogic {
  readonly #state: FetchState;
  readonly #staffing: Staffing;
  #lookAgainAt: Milliseconds = 0;

  /** `usesSwarms`: hosts are asked whether they speak PPSPP, and met there. */
  constructor(task: FetchTask, book: HostBook, usesSwarms = false) {
    this.#state = new FetchState(task, book);
    this.#staffing = new Staffing(this.#state, usesSwarms);
  }

  /** Proven nodes, as soon as there are some. */
  get hashes(): PieceHashes | undefined {
    return this.#state.facts.hashes;
  }

  /** The same, once a piece has shown that they are worth remembering. */
  get vouchedHashes(): PieceHashes | undefined {
    return this.#state.facts.areVouched ? this.hashes : undefined;
  }

  start(now: Milliseconds): FetchEffect[] {
    this.#state.supply.start(now);
    this.#state.heardAt = now;
    if (this.#state.isPastEnd) return this.#finish();
    return [...this.#state.facts.claimedSize(), ...this.#staffing.read(), ...this.#staffing.seek(now)];
  }

  /** The reader took everything before `offset`. */
  consumed(offset: number, now: Milliseconds): FetchEffect[] {
    this.#state.supply.take(offset, now);
    return this.#state.isOver ? [] : [...this.#staffing.recruit(now), ...this.#staffing.fill(now)];
  }

  receive(host: string, event: DownloadEvent, now: Milliseconds): FetchEffect[] {
    const source = this.#state.crew.of(host);
    if (this.#state.isOver || source === undefined) return [];
    if (event.kind === 'warned') return this.#staffing.fail(source, `said ${sayError(event.error)}`, now);
    if (event.kind === 'send' || !source.asked.includes(event.question)) return [];
    // To hear for ever that all are busy is no progress.
    if (event.kind !== 'refused') this.#state.heardAt = now;
    source.heardAt = now;
    switch (event.kind) {
      case 'begun':
        return this.#begun(source, event, now);
      case 'data':
        return this.#data(source, event, now);
      case 'rows':
        return this.#state.facts.info(event.rows);
      case 'answered':
        return this.#answered(source, event.question, event.nodes, now);
      case 'refused':
        return this.#refused(source, event.question, event.error, now);
    }
  }

  /** The connection to `host` could not be made, broke, or ended. */
  lost(host: string, why: string, now: Milliseconds): FetchEffect[] {
    const source = this.#state.crew.of(host);
    return this.#state.isOver || source === undefined ? [] : this.#staffing.fail(source, why, now);
  }

  moreHosts(hosts: readonly string[], now: Milliseconds): FetchEffect[] {
    this.#state.moreHosts.answered();
    this.#state.trials.add(hosts);
    return this.#state.isOver ? [] : this.#staffing.look(now);
  }

  /** A HELLO was answered, as the book knows, or it will not be. */
  greeted(host: string, now: Milliseconds): FetchEffect[] {
    return this.#state.isOver ? [] : this.#staffing.greeted(host, now);
  }

  /** A piece from disk; undefined when it cannot be read, or is not the song's. */
  read(index: number, bytes: Uint8Array | undefined, now: Milliseconds): FetchEffect[] {
    const { kept, crew, isOver } = this.#state;
    kept.over(index);
    if (isOver) return [];
    this.#state.heardAt = now;
    const from = [{ host: 'cache', bytes: bytes?.length ?? 0 }];
    const effects = this.#goOn(bytes === undefined ? [] : this.#came({ index, bytes, from }, now), now);
    return this.#state.isOver || crew.lead !== undefined
      ? effects
      : [...effects, ...this.#staffing.seek(now)];
  }

  /** The swarm takes pieces from now on. */
  joined(now: Milliseconds): FetchEffect[] {
    this.#state.swarm.joined();
    return this.#state.isOver ? [] : this.#staffing.fill(now);
  }

  /** There is no swarm to be joined: its hosts are asked by RANGE. */
  notJoined(now: Milliseconds): FetchEffect[] {
    this.#state.swarm.abandon();
    return this.#state.isOver ? [] : this.#staffing.look(now);
  }

  /** True bytes came out of the swarm; a whole piece is brought by `swarmBrought`. */
  swarmHeard(host: string, bytes: number, now: Milliseconds): void {
    this.#state.heardAt = now;
    this.#state.swarm.heard(host, bytes, now);
  }

  /** A proven piece out of the swarm. */
  swarmBrought(piece: ProvenPiece, now: Milliseconds): FetchEffect[] {
    return this.#state.isOver ? [] : this.#goOn(this.#came(piece, now), now);
  }

  /** A host lied in the swarm: it is asked no more, one way or the other. */
  swarmLied(host: string, why: string, now: Milliseconds): FetchEffect[] {
    const { swarm, crew, book, trials, isOver } = this.#state;
    swarm.lost(host);
    const source = crew.of(host);
    if (!isOver && source !== undefined) return this.#staffing.lied(source, why, now);
    book.lied(host, now);
    trials.lied(host, why);
    return [];
  }

  nextDeadline(): Milliseconds | undefined {
    const { crew, moreHosts, swarm, giveUpAt, isOver } = this.#state;
    if (isOver) return undefined;
    const stalls = crew.sources.flatMap(source => (source.owes ? [source.heardAt + STALL_MS] : []));
    const soonest = Math.min(
      giveUpAt,
      this.#staffing.nextDeadline(),
      moreHosts.nextDeadline() ?? Number.POSITIVE_INFINITY,
      swarm.nextDeadline() ?? Number.POSITIVE_INFINITY,
      ...stalls,
    );
    const next = Math.max(this.#lookAgainAt, soonest);
    return next === Number.POSITIVE_INFINITY ? undefined : next;
  }

  expire(now: Milliseconds): FetchEffect[] {
    const { crew, moreHosts, kept, order, isOver } = this.#state;
    if (isOver) return [];
    if (now >= this.#state.giveUpAt && kept.has(order.next)) {
      kept.abandon();
      this.#state.heardAt = now;
    }
    this.#lookAgainAt = now + LOOK_AGAIN_MS;
    moreHosts.expire(now);
    if (now >= this.#state.giveUpAt && crew.sources.every(source => source.owes))
      return this.#staffing.giveUp(now);
    const silent = crew.sources.find(
      source => source !== crew.lead && source.owes && now >= source.heardAt + STALL_MS,
    );
    if (silent !== undefined) return this.#staffing.fail(silent, SILENT, now);
    return [...this.#staffing.hearSwarm(now), ...this.#staffing.look(now)];
  }

  /** The reader has gone. */
  cancel(): FetchEffect[] {
    return this.#state.isOver ? [] : this.#staffing.dismiss(true);
  }

  report(now: Milliseconds): FetchReport {
    const waiting = this.#waiting(now);
    const { book, trials, supply } = this.#state;
    const { sources, ...supplied } = supply.report();
    const named = sources.map(share => {
      const name = book.nameOf(share.host);
      return name === undefined ? share : { ...share, name };
    });
    const failed = trials.failures();
    return { sources: named, ...supplied, failed, ...(waiting === undefined ? {} : { waiting }) };
  }

  #begun(source: FetchSource, event: DownloadEvent & { kind: 'begun' }, now: Milliseconds): FetchEffect[] {
    const { question, header } = event;
    if (question.type !== 'RANGE') return [];
    if (header.type !== 'SONG_DATA') return this.#staffing.strike(source, 'is a tracker, not a host', now);
    const dishonest = this.hashes && source.begun(question, header.length, this.hashes);
    return dishonest === undefined ? [] : this.#misfit(source, 'strike', dishonest, now);
  }

  #data(
    source: FetchSource,
    { question, bytes }: DownloadEvent & { kind: 'data' },
    now: Milliseconds,
  ): FetchEffect[] {
    const effects: FetchEffect[] = [];
    for (const piece of source.take(question, bytes, now)) {
      if (this.#state.isOver || !this.#state.crew.has(source)) break;
      effects.push(...this.#judge(source, piece, now));
    }
    return effects;
  }

  #judge(source: FetchSource, piece: PieceInProgress, now: Milliseconds): FetchEffect[] {
    const { index } = piece;
    const bytes = this.hashes && piece.prove(this.hashes);
    if (bytes === undefined) return this.#misfit(source, 'lied', `piece ${index} is not the song's`, now);
    this.#state.facts.vouch(bytes);
    source.proven += 1;
    source.doubt = undefined;
    this.#state.book.alive(source.host);
    const effects = this.#staffing.settle(source, index, now);
    effects.push(...this.#came({ index, bytes, from: [{ host: source.host, bytes: bytes.length }] }, now));
    return this.#goOn(effects, now);
  }

  /** What a host sent does not fit the nodes: it lies, or they do who come from another and fit no piece yet. */
  #misfit(source: FetchSource, blame: 'lied' | 'strike', why: string, now: Milliseconds): FetchEffect[] {
    const teller = this.#state.facts.forget();
    if (teller === undefined) return this.#staffing[blame](source, why, now);
    if (teller !== source.host) return this.#staffing.hearItself(source, teller, now);
    return [...this.#staffing.dropOthers(source), ...this.#staffing[blame](source, why, now)];
  }

  #goOn(effects: FetchEffect[], now: Milliseconds): FetchEffect[] {
    if (this.#state.isPastEnd) return [...effects, ...this.#finish()];
    return [...effects, ...this.#staffing.recruit(now), ...this.#staffing.fill(now)];
  }

  /** A proven piece; whatever can be delivered now is. */
  #came(piece: ProvenPiece, now: Milliseconds): FetchEffect[] {
    const { order, swarm, facts, task, supply } = this.#state;
    const { index, bytes } = piece;
    if (order.has(index)) return [];
    const isLast = index === facts.hashes!.count - 1;
    const effects: FetchEffect[] = [{ do: 'keep', index, piece: bytes }];
    if (swarm.unwant(index)) effects.push({ do: 'unwant', pieces: [index] });
    for (const next of order.add(piece)) {
      this.#state.deliveredAt = now;
      const skip = Math.min(next.bytes.length, Math.max(0, task.fromByte - next.index * PIECE_BYTES));
      supply.deliver(next.from, skip, now);
      effects.push({ do: 'deliver', index: next.index, piece: next.bytes, skip });
    }
    if (!isLast) return effects;
    facts.lastPiece = bytes;
    effects.push({ do: 'size', bytes: index * PIECE_BYTES + bytes.length });
    return swarm.state === 'joining' ? [...effects, { do: 'join', lastPiece: bytes }] : effects;
  }

  #answered(
    source: FetchSource,
    question: Question,
    nodes: Uint8Array | undefined,
    now: Milliseconds,
  ): FetchEffect[] {
    const { book, facts } = this.#state;
    const { bytes, ms } = source.answered(question, now);
    if (question.type === 'RANGE') {
      book.delivered(source.host, bytes, ms);
      return this.#staffing.fill(now);
    }
    if (nodes === undefined || facts.hashes !== undefined) return [];
    if (!facts.prove(nodes, source.host))
      return this.#staffing.lied(source, "its hashes are not the song's", now);
    if (this.#state.isPastEnd) return this.#finish();
    const size = facts.claimedSize();
    const asks = size.length === 0 ? facts.askInfo(source) : [];
    return asks.length === 0 ? size : [{ do: 'ask', host: source.host, asks }];
  }

  #refused(source: FetchSource, question: Question, error: ErrorBody, now: Milliseconds): FetchEffect[] {
    const { book, trials } = this.#state;
    source.answered(question, now);
    if (question.type === 'INFO') return [];
    // Asked before it was known where the song ends.
    const pastEnd =
      this.hashes !== undefined && 'offset' in question && question.offset > this.hashes.lastPieceAt;
    if (error.code === 'bad-range' && pastEnd) return this.#staffing.fill(now);
    const retryAfterMs = error.retryAfterMs ?? (error.code === 'busy' ? STALL_MS : undefined);
    if (retryAfterMs === undefined) return this.#staffing.strike(source, sayError(error), now, error.code);
    if (error.code === 'busy') book.busy(source.host, now + retryAfterMs);
    trials.rest(source.host, sayError(error), now + retryAfterMs, error.code);
    return this.#staffing.drop(source, true, now);
  }

  #waiting(now: Milliseconds): string | undefined {
    const { crew, moreHosts, trials, swarm, isOver } = this.#state;
    const { lead } = crew;
    if (isOver || swarm.isGiving) return undefined;
    if (lead === undefined) return moreHosts.isAwaited ? 'asking who else has it' : trials.shortage;
    return lead.owes && now - lead.heardAt >= UNNOTICED_MS ? `waiting for ${lead.host}` : undefined;
  }

  #finish(): FetchEffect[] {
    return [...this.#staffing.dismiss(true), { do: 'finish' }];
  }
}
