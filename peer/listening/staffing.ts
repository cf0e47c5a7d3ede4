/**
 * Who works on a song: which host is opened, asked for more, given a rival, or let go.
 *
 *     seek ─▶ lead ─ first piece ─▶ recruit ─▶ helpers, swarm          late, silent, slow ─▶ race ─▶ settled by a proven piece
 *
 * A host that is slow to begin, silent, or holds all others up gets a rival, never more than one, so that a switch costs at
 * most one piece twice. Pure, as the logic that it serves.
 */
import type { ErrorCode } from '../../protocol/errors.js';
import type { Milliseconds } from '../../protocol/ports.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import {
  type FetchEffect,
  HEDGE_MS,
  LATE_MS,
  MEASURE_MS,
  OVERTAKEN_MS,
  SILENT,
  STALL_MS,
} from './fetch-effects.js';
import { type Ask, FetchSource } from './fetch-source.js';
import type { FetchState } from './fetch-state.js';
import { freePieces, isFirstAwaited, piecesIn, planRanges } from './range-plan.js';
import { Recruiting } from './recruiting.js';

export class Staffing {
  readonly #state: FetchState;
  readonly #recruiting: Recruiting;
  /** Somebody else was quicker: they need not help. */
  readonly #overtaken = new Set<string>();

  constructor(state: FetchState, usesSwarms: boolean) {
    this.#state = state;
    this.#recruiting = new Recruiting(state.book, state.trials, state.swarm, usesSwarms);
  }

  /** Opens the best host that is not in use; without one asks for more, waits, or gives up. */
  seek(now: Milliseconds): FetchEffect[] {
    const { trials, crew, moreHosts, swarm, kept, order, giveUpAt } = this.#state;
    if (this.#needsNobody) return [];
    const [host] = trials.ready(now, crew.hosts);
    if (host !== undefined) return this.#open(host, now);
    if (moreHosts.ask(now)) return [{ do: 'more-hosts' }];
    if (moreHosts.isAwaited || crew.lead !== undefined || swarm.isGiving || kept.has(order.next)) return [];
    const nextTryAt = trials.nextTryAt();
    return nextTryAt === undefined || nextTryAt > giveUpAt ? this.giveUp(now) : [];
  }

  /** Looks whether somebody is late or missing, or could help. */
  look(now: Milliseconds): FetchEffect[] {
    const { crew, task } = this.#state;
    const { lead, race } = crew;
    if (lead === undefined) return this.seek(now);
    lead.doubt = this.#doubtOf(lead, now) ?? lead.doubt;
    if (race !== undefined) return [];
    const isLate = task.urgency === 'now' && lead.proven === 0 && now >= lead.openedAt + HEDGE_MS;
    if (lead.owes && (isLate || lead.doubt !== undefined)) return this.#challenge(lead, now);
    return [...this.#hurry(now), ...this.recruit(now)];
  }

  /** When `look` may find something. */
  nextDeadline(): Milliseconds {
    const { crew, trials, task } = this.#state;
    const { lead, race } = crew;
    if (this.#needsNobody) return Number.POSITIVE_INFINITY;
    if (lead === undefined) return trials.nextTryAt() ?? Number.POSITIVE_INFINITY;
    if (race !== undefined) return Number.POSITIVE_INFINITY;
    const late = this.#lateAt() ?? Number.POSITIVE_INFINITY;
    if (!lead.owes) return late;
    const isHedged = lead.proven === 0 && task.urgency === 'now';
    const hedge = isHedged ? lead.openedAt + HEDGE_MS : Number.POSITIVE_INFINITY;
    return Math.min(late, hedge, lead.measuredAt + MEASURE_MS);
  }

  /** Asks everybody for as much as there is room for. */
  fill(now: Milliseconds): FetchEffect[] {
    const { crew, swarm, kept, order } = this.#state;
    const effects = this.read();
    if (crew.lead === undefined && kept.has(order.next)) effects.push(...this.seek(now));
    for (const source of crew.sources) {
      // Until a piece of it is proven, a host is asked for no more than it was at the beginning.
      if (source.proven === 0) continue;
      const rate = this.#state.book.bytesPerSecond(source.host);
      if (swarm.relieves(source.host, rate, now)) continue;
      let asks = planRanges(source, this.#state.planFor(source, now));
      if (asks.length === 0 && !source.owes && rate !== undefined) {
        // Nothing is left but what the swarm has, and it is slower.
        const taken = this.#takeBack(swarm.better(rate, now));
        effects.push(...taken);
        if (taken.length > 0) asks = planRanges(source, this.#state.planFor(source, now));
      }
      if (asks.length > 0) effects.push({ do: 'ask', host: source.host, asks });
    }
    const room = swarm.room(now);
    if (room < 0) effects.push(...this.#takeBack(swarm.lastWanted(-room)));
    const pieces = room > 0 ? freePieces(this.#state.window, room) : [];
    swarm.want(pieces, now);
    return pieces.length === 0 ? effects : [...effects, { do: 'want', pieces }];
  }

  /** What is on disk, as far ahead as anything is fetched. */
  read(): FetchEffect[] {
    const { kept, window } = this.#state;
    const pieces = kept.isEmpty ? [] : kept.read(piecesIn(window));
    return pieces.length === 0 ? [] : [{ do: 'read', pieces }];
  }

  /** From the first piece on, others help, where that helps. */
  recruit(now: Milliseconds): FetchEffect[] {
    const { crew, swarm, needs, order, kept, facts, task, supply, book } = this.#state;
    const { lead } = crew;
    if (lead === undefined || lead.proven === 0 || isFirstAwaited(task, supply.takenTo)) return [];
    const look = this.#recruiting.look({
      working: crew.hosts,
      except: this.#overtaken,
      isSlow: (lead.bytesPerSecond(now) ?? needs) < needs,
      leadRate: book.bytesPerSecond(lead.host),
      piecesLeft: (facts.hashes?.count ?? 0) - order.next - kept.countFrom(order.next),
      now,
    });
    const effects: FetchEffect[] = look.greet.map(host => ({ do: 'greet', host }));
    for (const { host, port } of look.meet) {
      effects.push({ do: 'meet', host, port });
      if (swarm.meet(host)) effects.push(...this.#join(lead, now));
    }
    for (const host of look.help) {
      const source = new FetchSource(host, now);
      const asks = planRanges(source, this.#state.planFor(source, now), 1);
      if (asks.length === 0) break;
      crew.add(source);
      effects.push({ do: 'ask', host, asks });
    }
    return effects;
  }

  /** A HELLO was answered, or will not be. */
  greeted(host: string, now: Milliseconds): FetchEffect[] {
    this.#recruiting.greeted(host);
    return this.recruit(now);
  }

  /** Who proved a piece first that two were asked for stays; a rival that was here for that alone goes, and so does who was late. */
  settle(winner: FetchSource, piece: number, now: Milliseconds): FetchEffect[] {
    const { crew, book, trials } = this.#state;
    const { race } = crew;
    if (race?.piece !== piece) return [];
    crew.endRace();
    if (winner !== race.rival) {
      if (!race.isFresh || !crew.has(race.rival)) return [];
      crew.remove(race.rival);
      return [{ do: 'let-go', host: race.rival.host, keep: true }];
    }
    const { owner } = race;
    if (!crew.has(owner)) return [];
    if (owner === crew.lead) crew.lead = winner;
    crew.remove(owner);
    this.#overtaken.add(owner.host);
    const { doubt } = owner;
    if (doubt !== undefined) book.failed(owner.host, now);
    if (doubt !== undefined) trials.rest(owner.host, doubt, now + OVERTAKEN_MS);
    return [{ do: 'let-go', host: owner.host, keep: doubt === undefined }];
  }

  lied(source: FetchSource, why: string, now: Milliseconds): FetchEffect[] {
    this.#state.book.lied(source.host, now);
    this.#state.trials.lied(source.host, why);
    return this.drop(source, false, now);
  }

  /** With hashes of its own, since those that `teller` told and what `source` sends don't fit each other. */
  hearItself(source: FetchSource, teller: string, now: Milliseconds): FetchEffect[] {
    const { host } = source;
    this.#state.trials.failed(teller, `its hashes do not fit what ${host} sends`, { retry: true, now });
    const gone = this.dropOthers(source);
    this.#state.crew.remove(source);
    return [...gone, { do: 'let-go', host, keep: false }, ...this.#open(host, now)];
  }

  /** What they were asked is of no use without the hashes of then. */
  dropOthers(source: FetchSource): FetchEffect[] {
    const { crew } = this.#state;
    const others = crew.sources.filter(other => other !== source);
    for (const other of others) crew.remove(other);
    return others.map(({ host }) => ({ do: 'let-go', host, keep: false }));
  }

  /** It may be back soon: unreachable, broken off, silent. */
  fail(source: FetchSource, why: string, now: Milliseconds): FetchEffect[] {
    const { book, trials, supply } = this.#state;
    book.failed(source.host, now);
    // At the beginning nothing is lost by saying soon that the song can't be had.
    trials.failed(source.host, why, { retry: supply.hasBegun, now });
    return this.drop(source, false, now);
  }

  /** It will not send this song, but its connection may serve for another when all it did was to say so. */
  strike(source: FetchSource, why: string, now: Milliseconds, code?: ErrorCode): FetchEffect[] {
    this.#state.trials.refused(source.host, why, code);
    return this.drop(source, code !== undefined, now);
  }

  drop(source: FetchSource, keep: boolean, now: Milliseconds): FetchEffect[] {
    const { crew } = this.#state;
    crew.remove(source);
    const letGo = { do: 'let-go', host: source.host, keep } as const;
    return [letGo, ...(crew.lead === undefined ? this.seek(now) : this.fill(now))];
  }

  /** A swarm that brings nothing loses what was left to it. */
  hearSwarm(now: Milliseconds): FetchEffect[] {
    const { swarm, book } = this.#state;
    const silent = swarm.expire(now);
    if (silent === undefined) return [];
    for (const host of silent.deaf) book.deaf(host, now);
    return [{ do: 'unwant', pieces: silent.pieces }, ...this.fill(now)];
  }

  giveUp(now: Milliseconds): FetchEffect[] {
    const { crew, trials } = this.#state;
    for (const { host, heardAt } of crew.sources)
      trials.failed(host, `sent nothing for ${Math.round((now - heardAt) / 1_000)} s`, { retry: false, now });
    return [...this.dismiss(false), { do: 'fail', error: trials.verdict() }];
  }

  /** All are let go: it is over. */
  dismiss(keep: boolean): FetchEffect[] {
    const { crew } = this.#state;
    this.#state.isOver = true;
    const gone = crew.sources.map(({ host }) => ({ do: 'let-go', host, keep }) as const);
    crew.clear();
    return gone;
  }

  /** The disk brings whatever may be here by now. */
  get #needsNobody(): boolean {
    const { crew, kept, order, window } = this.#state;
    return crew.lead === undefined && kept.has(order.next) && freePieces(window, 1).length === 0;
  }

  /** What the reader needs first of what is not on disk. */
  get #firstMissing(): number {
    const { kept, order, window } = this.#state;
    const [free] = kept.has(order.next) ? freePieces(window, 1) : [];
    return free ?? order.next;
  }

  /** As the lead, or, where there is one, as its rival. */
  #open(host: string, now: Milliseconds): FetchEffect[] {
    const { task, crew, facts } = this.#state;
    const { song } = task;
    const { lead } = crew;
    const source = new FetchSource(host, now);
    const piece = lead?.nextOwed ?? this.#firstMissing;
    crew.add(source);
    const asks: Ask[] = [];
    if (facts.hashes === undefined) asks.push(source.askHashes(song));
    asks.push(source.askRange(song, { first: piece, count: 1 }, now, facts.hashes));
    if (lead !== undefined) crew.begin({ piece, owner: lead, rival: source, isFresh: true });
    else {
      if (song.size === undefined) asks.push(...facts.askInfo(source));
      asks.push(...planRanges(source, this.#state.planFor(source, now)));
    }
    return [{ do: 'ask', host, asks }];
  }

  /** What `owner` owes is asked of another one too: of a helper that has time, or of a new host. */
  #challenge(owner: FetchSource, now: Milliseconds): FetchEffect[] {
    const { crew, order } = this.#state;
    const rival = this.#quickest(owner, now);
    if (rival === undefined) return owner === crew.lead ? this.seek(now) : [];
    const piece = owner.nextOwed ?? order.next;
    if (rival.isToSend(piece) || order.has(piece)) return [];
    crew.begin({ piece, owner, rival, isFresh: false });
    return this.#askPiece(rival, piece, now);
  }

  #askPiece(source: FetchSource, piece: number, now: Milliseconds): FetchEffect[] {
    const { task, facts } = this.#state;
    const ask = source.askRange(task.song, { first: piece, count: 1 }, now, facts.hashes);
    return [{ do: 'ask', host: source.host, asks: [ask] }];
  }

  /** Of those that have shown what they can. */
  #quickest(except: FetchSource | undefined, now: Milliseconds): FetchSource | undefined {
    const { crew, book } = this.#state;
    const able = crew.sources.filter(
      source => source !== except && source.proven > 0 && (!source.owes || now < source.heardAt + STALL_MS),
    );
    const rate = ({ host }: FetchSource): number => book.bytesPerSecond(host) ?? 0;
    return able.sort((a, b) => rate(b) - rate(a))[0];
  }

  /** When the piece that the reader needs next is late; undefined when nobody else could be asked for it. */
  #lateAt(): Milliseconds | undefined {
    const { order, crew, swarm, deliveredAt } = this.#state;
    const owner = crew.whoOwes(order.next);
    if (owner !== undefined && crew.sources.length < 2) return undefined;
    const since = owner?.owesSince(order.next) ?? swarm.wanted.get(order.next);
    return since === undefined ? undefined : Math.max(since, deliveredAt) + LATE_MS;
  }

  /** The piece that others, or the reader, wait for: asked of somebody else too when it is late. */
  #hurry(now: Milliseconds): FetchEffect[] {
    const { order, crew, book, needs, supply, task } = this.#state;
    const piece = order.next;
    const lateAt = this.#lateAt();
    if (lateAt === undefined || now < lateAt) return [];
    if (!order.isHeldUp && supply.suffices(task.urgency, now)) return [];
    const owner = crew.whoOwes(piece);
    const able = this.#quickest(owner, now);
    if (able === undefined) return [];
    if (owner === undefined) return [...this.#takeBack([piece]), ...this.#askPiece(able, piece, now)];
    // Whoever is as slow as that would not be sooner.
    const takesMs = (PIECE_BYTES * 1_000) / (book.bytesPerSecond(able.host) ?? needs);
    if (now < lateAt + 2 * takesMs) return [];
    owner.doubt ??= 'held the others up';
    return this.#challenge(owner, now);
  }

  /** Only the last piece proves the size, without which no tree is whole (TSP §5.6). */
  #join(lead: FetchSource, now: Milliseconds): FetchEffect[] {
    const { lastPiece, hashes } = this.#state.facts;
    if (lastPiece !== undefined) return [{ do: 'join', lastPiece }];
    const last = hashes!.count - 1;
    const pieces = this.#state.kept.read([last]);
    if (pieces.length > 0) return [{ do: 'read', pieces }];
    return this.#state.isFree(last) ? this.#askPiece(lead, last, now) : [];
  }

  #takeBack(pieces: readonly number[]): FetchEffect[] {
    const taken = pieces.filter(piece => this.#state.swarm.unwant(piece));
    return taken.length === 0 ? [] : [{ do: 'unwant', pieces: taken }];
  }

  /** What is wrong with a host that owes bytes, if anything. */
  #doubtOf(source: FetchSource, now: Milliseconds): string | undefined {
    const { supply, task, needs, crew, swarm } = this.#state;
    if (!source.owes) return undefined;
    if (now >= source.heardAt + STALL_MS) return SILENT;
    // Among several nobody need be as quick as the song: who holds the others up is found out otherwise.
    if (crew.sources.length > 1 || swarm.isGiving) return undefined;
    const rate = source.bytesPerSecond(now);
    if (rate === undefined || rate >= needs || supply.suffices(task.urgency, now)) return undefined;
    return `sent only ${Math.round(rate / 1_000)} kB/s`;
  }
}
