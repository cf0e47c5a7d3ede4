/**
 * How a song is fetched: which host is asked for what, what is believed, and when another one is asked (TSP §5.3).
 *
 *     lead  ── HASHES, RANGE, INFO, RANGE … ──▶ pieces, proven one by one ──▶ deliver
 *     rival ── the piece that the lead owes ──▶ whoever proves it first is the lead from then on
 *
 * The rule: a piece is delivered only when the song's hash vouches for it, in order, once. A lead that is slow to
 * begin, silent, or slower than the song gets a rival, never more than one, so that a switch costs at most one piece
 * twice. Pure: events and the time come in, effects go out.
 */
import type { ErrorCode } from '../../protocol/errors.js';
import type { Milliseconds } from '../../protocol/ports.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { DownloadEvent, Question } from '../../protocol/tsp/download.js';
import type { ErrorBody } from '../../protocol/tsp/messages.js';
import { parseHostRow } from '../../protocol/tsp/rows.js';
import type { HostBook } from './choose-host.js';
import {
  bytesPerSecondOf,
  type FetchEffect,
  type FetchTask,
  GIVE_UP_MS,
  HEDGE_MS,
  LOOK_AGAIN_MS,
  MEASURE_MS,
  OVERTAKEN_MS,
  SILENT,
  STALL_MS,
  sayError,
  UNNOTICED_MS,
} from './fetch-effects.js';
import { type Ask, FetchSource } from './fetch-source.js';
import { HostTrials } from './host-trials.js';
import { MoreHosts } from './more-hosts.js';
import { PieceOrder, type ProvenPiece } from './piece-order.js';
import { PieceHashes, type PieceInProgress } from './pieces.js';
import { planRanges } from './range-plan.js';
import type { FetchReport } from './song-stream.js';
import { Supply } from './supply.js';

export class FetchLogic {
  readonly #task: FetchTask;
  readonly #book: HostBook;
  readonly #trials: HostTrials;
  readonly #needs: number;
  #hashes: PieceHashes | undefined;
  readonly #order: PieceOrder;
  /** The lead, and after it a rival if there is one. */
  #sources: FetchSource[] = [];
  readonly #supply: Supply;
  #heardAt: Milliseconds = 0;
  #lookAgainAt: Milliseconds = 0;
  readonly #moreHosts: MoreHosts;
  #infoAsked = false;
  #over = false;

  constructor(task: FetchTask, book: HostBook) {
    this.#task = task;
    this.#book = book;
    this.#trials = new HostTrials(book, task.song.hosts);
    this.#moreHosts = new MoreHosts(task.song.moreHosts !== undefined);
    this.#hashes = task.hashes;
    this.#order = new PieceOrder(Math.floor(task.fromByte / PIECE_BYTES));
    this.#needs = bytesPerSecondOf(task.song);
    this.#supply = new Supply(task.fromByte, this.#needs);
  }

  /** Proven nodes, as soon as there are some. */
  get hashes(): PieceHashes | undefined {
    return this.#hashes;
  }

  start(now: Milliseconds): FetchEffect[] {
    this.#supply.start(now);
    this.#heardAt = now;
    if (this.#isPastEnd) return this.#finish();
    return [...this.#claimedSize(), ...this.#seek(now)];
  }

  /** The reader took everything before `offset`. */
  consumed(offset: number, now: Milliseconds): FetchEffect[] {
    this.#supply.take(offset, now);
    return this.#over ? [] : this.#fill(now);
  }

  receive(host: string, event: DownloadEvent, now: Milliseconds): FetchEffect[] {
    const source = this.#sourceOf(host);
    if (this.#over || source === undefined) return [];
    if (event.kind === 'warned') return this.#fail(source, `said ${sayError(event.error)}`, now);
    if (event.kind === 'send' || !source.asked.includes(event.question)) return [];
    // To hear for ever that all are busy is no progress.
    if (event.kind !== 'refused') this.#heardAt = now;
    source.heardAt = now;
    switch (event.kind) {
      case 'begun':
        return this.#begun(source, event, now);
      case 'data':
        return this.#data(source, event, now);
      case 'rows':
        return this.#info(event.rows);
      case 'answered':
        return this.#answered(source, event.question, event.nodes, now);
      case 'refused':
        return this.#refused(source, event.question, event.error, now);
    }
  }

  /** The connection to `host` could not be made, broke, or ended. */
  lost(host: string, why: string, now: Milliseconds): FetchEffect[] {
    const source = this.#sourceOf(host);
    return this.#over || source === undefined ? [] : this.#fail(source, why, now);
  }

  moreHosts(hosts: readonly string[], now: Milliseconds): FetchEffect[] {
    this.#moreHosts.answered();
    this.#trials.add(hosts);
    return this.#over ? [] : this.#seekIfNeeded(now);
  }

  nextDeadline(): Milliseconds | undefined {
    if (this.#over) return undefined;
    const times = [this.#giveUpAt];
    for (const source of this.#sources) if (source.owes) times.push(source.heardAt + STALL_MS);
    const [lead, rival] = this.#sources;
    if (lead === undefined) times.push(this.#trials.nextTryAt() ?? Number.POSITIVE_INFINITY);
    else if (lead.owes && rival === undefined) times.push(this.#nextDoubtAt(lead));
    times.push(this.#moreHosts.nextDeadline() ?? Number.POSITIVE_INFINITY);
    const next = Math.max(this.#lookAgainAt, Math.min(...times));
    return next === Number.POSITIVE_INFINITY ? undefined : next;
  }

  expire(now: Milliseconds): FetchEffect[] {
    if (this.#over) return [];
    this.#lookAgainAt = now + LOOK_AGAIN_MS;
    this.#moreHosts.expire(now);
    if (now >= this.#giveUpAt && this.#sources.every(source => source.owes)) return this.#giveUp(now);
    const rival = this.#sources[1];
    if (rival !== undefined && now >= rival.heardAt + STALL_MS) return this.#fail(rival, SILENT, now);
    return this.#seekIfNeeded(now);
  }

  /** The reader has gone. */
  cancel(): FetchEffect[] {
    if (this.#over) return [];
    this.#over = true;
    return this.#dismissAll();
  }

  report(now: Milliseconds): FetchReport {
    const waiting = this.#waiting(now);
    const failed = this.#trials.failures();
    return { ...this.#supply.report(), failed, ...(waiting === undefined ? {} : { waiting }) };
  }

  get #isUrgent(): boolean {
    return this.#task.urgency === 'now';
  }

  get #isPastEnd(): boolean {
    return this.#hashes !== undefined && this.#order.next >= this.#hashes.count;
  }

  get #giveUpAt(): Milliseconds {
    const { starvedSince } = this.#supply;
    return starvedSince === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(starvedSince, this.#heardAt) + GIVE_UP_MS;
  }

  #sourceOf(host: string): FetchSource | undefined {
    return this.#sources.find(source => source.host === host);
  }

  #seekIfNeeded(now: Milliseconds): FetchEffect[] {
    const [lead, rival] = this.#sources;
    if (lead === undefined) return this.#seek(now);
    const isLate = this.#isUrgent && lead.proven === 0 && now >= lead.openedAt + HEDGE_MS;
    lead.doubt = this.#doubtOf(lead, now) ?? lead.doubt;
    const wanted = rival === undefined && lead.owes && (isLate || lead.doubt !== undefined);
    return wanted ? this.#seek(now) : [];
  }

  #nextDoubtAt(lead: FetchSource): Milliseconds {
    const measureAt = lead.measuredAt + MEASURE_MS;
    return lead.proven === 0 && this.#isUrgent ? Math.min(measureAt, lead.openedAt + HEDGE_MS) : measureAt;
  }

  /** Opens the best host that is not in use; without one asks for more, waits, or gives up. */
  #seek(now: Milliseconds): FetchEffect[] {
    const host = this.#trials.next(now, new Set(this.#sources.map(source => source.host)));
    if (host !== undefined) return this.#open(host, now);
    if (this.#moreHosts.ask(now)) return [{ do: 'more-hosts' }];
    if (this.#moreHosts.isAwaited || this.#sources.length > 0) return [];
    const nextTryAt = this.#trials.nextTryAt();
    return nextTryAt === undefined || nextTryAt > this.#giveUpAt ? this.#giveUp(now) : [];
  }

  #open(host: string, now: Milliseconds): FetchEffect[] {
    const { song } = this.#task;
    const source = new FetchSource(host, now);
    const isLead = this.#sources.length === 0;
    this.#sources.push(source);
    const asks: Ask[] = [];
    if (this.#hashes === undefined) asks.push(source.askHashes(song));
    asks.push(source.askRange(song, { first: this.#order.next, count: 1 }, now, this.#hashes));
    if (isLead && song.size === undefined) asks.push(...this.#askInfo(source));
    if (isLead) asks.push(...this.#rangesFor(source, now));
    return [{ do: 'ask', host, asks }];
  }

  #fill(now: Milliseconds): FetchEffect[] {
    const lead = this.#sources[0];
    // Until a piece of it is proven, a host is asked for no more than it was at the beginning.
    if (lead === undefined || lead.proven === 0) return [];
    const asks = this.#rangesFor(lead, now);
    return asks.length === 0 ? [] : [{ do: 'ask', host: lead.host, asks }];
  }

  #rangesFor(source: FetchSource, now: Milliseconds): Ask[] {
    return planRanges(source, {
      task: this.#task,
      hashes: this.#hashes,
      next: this.#order.next,
      takenTo: this.#supply.takenTo,
      isFree: index => this.#isFree(index),
      bytesPerSecond: this.#book.bytesPerSecond(source.host),
      now,
    });
  }

  #isFree(index: number): boolean {
    return !this.#order.has(index) && !this.#sources.some(source => source.isToSend(index));
  }

  #begun(source: FetchSource, event: DownloadEvent & { kind: 'begun' }, now: Milliseconds): FetchEffect[] {
    const { question, header } = event;
    if (question.type !== 'RANGE') return [];
    if (header.type !== 'SONG_DATA') return this.#strike(source, 'is a tracker, not a host', now);
    const dishonest = this.#hashes && source.begun(question, header.length, this.#hashes);
    return dishonest === undefined ? [] : this.#strike(source, dishonest, now);
  }

  #data(
    source: FetchSource,
    { question, bytes }: DownloadEvent & { kind: 'data' },
    now: Milliseconds,
  ): FetchEffect[] {
    const effects: FetchEffect[] = [];
    for (const piece of source.take(question, bytes, now)) {
      if (this.#over || !this.#sources.includes(source)) break;
      effects.push(...this.#judge(source, piece, now));
    }
    return effects;
  }

  #judge(source: FetchSource, piece: PieceInProgress, now: Milliseconds): FetchEffect[] {
    const bytes = this.#hashes && piece.prove(this.#hashes);
    if (bytes === undefined) return this.#lied(source, `piece ${piece.index} is not the song's`, now);
    source.proven += 1;
    source.doubt = undefined;
    this.#book.alive(source.host);
    const effects = this.#overtake(source, now);
    if (this.#order.has(piece.index)) return [...effects, ...this.#fill(now)];
    effects.push(
      ...this.#take({ index: piece.index, bytes, from: [{ host: source.host, bytes: bytes.length }] }, now),
    );
    return this.#isPastEnd ? [...effects, ...this.#finish()] : [...effects, ...this.#fill(now)];
  }

  /** A piece that nobody brought before; whatever can be delivered now is. */
  #take(piece: ProvenPiece, now: Milliseconds): FetchEffect[] {
    const effects: FetchEffect[] = [];
    for (const { index, bytes, from } of this.#order.add(piece)) {
      const skip = Math.min(bytes.length, Math.max(0, this.#task.fromByte - index * PIECE_BYTES));
      this.#supply.deliver(from, skip, now);
      effects.push({ do: 'deliver', index, piece: bytes, skip });
    }
    if (piece.index === this.#hashes!.count - 1)
      effects.push({ do: 'size', bytes: piece.index * PIECE_BYTES + piece.bytes.length });
    return effects;
  }

  /** `winner` proved the next piece first: it leads now, and the other one is let go. */
  #overtake(winner: FetchSource, now: Milliseconds): FetchEffect[] {
    const loser = this.#sources.find(source => source !== winner);
    this.#sources = [winner];
    if (loser === undefined) return [];
    const why = loser.doubt;
    if (why !== undefined) {
      this.#book.failed(loser.host, now);
      this.#trials.rest(loser.host, why, now + OVERTAKEN_MS);
    }
    return [{ do: 'let-go', host: loser.host, keep: why === undefined }];
  }

  #info(rows: (DownloadEvent & { kind: 'rows' })['rows']): FetchEffect[] {
    const row = rows.map(json => parseHostRow(json)).find(info => info.hash === this.#task.song.hash);
    if (row?.size === undefined || this.#hashes?.allowsSize(row.size) !== true) return [];
    return [{ do: 'size', bytes: row.size }];
  }

  #answered(
    source: FetchSource,
    question: Question,
    nodes: Uint8Array | undefined,
    now: Milliseconds,
  ): FetchEffect[] {
    const { bytes, ms } = source.answered(question, now);
    if (question.type === 'RANGE') {
      this.#book.delivered(source.host, bytes, ms);
      return this.#fill(now);
    }
    if (nodes === undefined || this.#hashes !== undefined) return [];
    this.#hashes = PieceHashes.prove(nodes, this.#task.song.hash);
    if (this.#hashes === undefined) return this.#lied(source, "its hashes are not the song's", now);
    if (this.#isPastEnd) return this.#finish();
    const size = this.#claimedSize();
    const asks = size.length === 0 ? this.#askInfo(source) : [];
    return asks.length === 0 ? size : [{ do: 'ask', host: source.host, asks }];
  }

  /** Only a host can say how long the song is before its last piece does. */
  #askInfo(source: FetchSource): Ask[] {
    const { id } = this.#task.song;
    if (this.#infoAsked || id === undefined) return [];
    this.#infoAsked = true;
    return [source.askInfo(id)];
  }

  #claimedSize(): FetchEffect[] {
    const { size } = this.#task.song;
    return size !== undefined && this.#hashes?.allowsSize(size) ? [{ do: 'size', bytes: size }] : [];
  }

  #refused(source: FetchSource, question: Question, error: ErrorBody, now: Milliseconds): FetchEffect[] {
    source.answered(question, now);
    if (question.type === 'INFO') return [];
    // Asked before it was known where the song ends.
    const pastEnd =
      this.#hashes !== undefined && 'offset' in question && question.offset > this.#hashes.lastPieceAt;
    if (error.code === 'bad-range' && pastEnd) return this.#fill(now);
    const retryAfterMs = error.retryAfterMs ?? (error.code === 'busy' ? STALL_MS : undefined);
    if (retryAfterMs === undefined) return this.#strike(source, sayError(error), now, error.code);
    if (error.code === 'busy') this.#book.busy(source.host, now + retryAfterMs);
    this.#trials.rest(source.host, sayError(error), now + retryAfterMs, error.code);
    return this.#drop(source, true, now);
  }

  #lied(source: FetchSource, why: string, now: Milliseconds): FetchEffect[] {
    this.#book.lied(source.host, now);
    this.#trials.lied(source.host, why);
    return this.#drop(source, false, now);
  }

  /** It may be back soon: unreachable, broken off, silent. */
  #fail(source: FetchSource, why: string, now: Milliseconds): FetchEffect[] {
    this.#book.failed(source.host, now);
    // At the beginning nothing is lost by saying soon that the song can't be had.
    this.#trials.failed(source.host, why, { retry: this.#supply.hasBegun, now });
    return this.#drop(source, false, now);
  }

  /** It will not send this song, but its connection may serve for another when all it did was to say so. */
  #strike(source: FetchSource, why: string, now: Milliseconds, code?: ErrorCode): FetchEffect[] {
    this.#trials.refused(source.host, why, code);
    return this.#drop(source, code !== undefined, now);
  }

  #drop(source: FetchSource, keep: boolean, now: Milliseconds): FetchEffect[] {
    this.#sources = this.#sources.filter(other => other !== source);
    const letGo = { do: 'let-go', host: source.host, keep } as const;
    return [letGo, ...(this.#sources.length === 0 ? this.#seek(now) : this.#fill(now))];
  }

  /** What is wrong with a host that owes bytes, if anything. */
  #doubtOf(source: FetchSource, now: Milliseconds): string | undefined {
    if (!source.owes) return undefined;
    if (now >= source.heardAt + STALL_MS) return SILENT;
    const rate = source.bytesPerSecond(now);
    if (rate === undefined || rate >= this.#needs) return undefined;
    if (this.#supply.suffices(this.#task.urgency, now)) return undefined;
    return `sent only ${Math.round(rate / 1_000)} kB/s`;
  }

  #waiting(now: Milliseconds): string | undefined {
    if (this.#over) return undefined;
    const [lead] = this.#sources;
    if (lead === undefined)
      return this.#moreHosts.isAwaited ? 'asking who else has it' : this.#trials.shortage;
    return lead.owes && now - lead.heardAt >= UNNOTICED_MS ? `waiting for ${lead.host}` : undefined;
  }

  #finish(): FetchEffect[] {
    this.#over = true;
    return [...this.#dismissAll(), { do: 'finish' }];
  }

  #giveUp(now: Milliseconds): FetchEffect[] {
    for (const source of this.#sources)
      this.#trials.failed(source.host, `sent nothing for ${Math.round((now - source.heardAt) / 1_000)} s`, {
        retry: false,
        now,
      });
    this.#over = true;
    const gone = this.#sources.map(({ host }) => ({ do: 'let-go', host, keep: false }) as const);
    this.#sources = [];
    return [...gone, { do: 'fail', error: this.#trials.verdict() }];
  }

  #dismissAll(): FetchEffect[] {
    const gone = this.#sources.map(({ host }) => ({ do: 'let-go', host, keep: true }) as const);
    this.#sources = [];
    return gone;
  }
}
