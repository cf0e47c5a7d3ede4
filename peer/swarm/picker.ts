/**
 * Which chunk is asked of which host, for content that is used in its order while it comes.
 *
 *     ▓▓▓▓▓▓▓▓░▓▓░░░░░░░░░│░░░░░▓▓▓▓░░░░░░░░░▓▓░░░░░┊
 *     played ─▲ └ window ─┘└ beyond: the rarest pieces first, from a place of our own ┊ no further ahead
 *
 * - the window goes in order, to the fastest host first; what is late in it is asked of a second host too, and where the
 *   pace is known, what is needed soon is late sooner
 * - beyond it, what few hosts have goes first, and where all is equal two listeners begin at different places
 * - who has room and nothing new to fetch takes over the last of what the slowest owes, or doubles what is late
 *
 * Pure: told the time, it asks and cancels at the hosts' channels, which say so on the wire when they next speak.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import type { ChunkRange } from '../../protocol/ppspp/messages.js';
import { type Asked, AskedHost } from './asked-host.js';
import { cut, shared } from './chunk-ranges.js';
import type { Feeders } from './feeders.js';

/** What is fetched in order before anything else: 256 KiB at 1,024 bytes. */
export const WINDOW_CHUNKS = 256;
/** What is rare or not is counted by so many chunks, which share most of their proofs. */
const PIECE_CHUNKS = 64;
/** How often it is counted anew who has what. */
const COUNT_EVERY_MS = 500;
/** A host takes over from another only if it is that much sooner done. */
const MARGIN_S = 0.25;
/** Gaps looked at in one go; what is behind them has its turn later. */
const MOST_GAPS = 512;

/** What is used, from which chunk on. */
export interface Playhead {
  readonly chunk: number;
  /** Chunks after it are needed so much later; absent: nobody knows when. */
  readonly chunksPerSecond?: number;
  /** How many chunks beyond it are fetched; absent: all. */
  readonly ahead?: number;
}

export class Picker {
  readonly #have: ChunkSet;
  /** Nothing else is asked for; absent: everything. */
  readonly #wanted: ChunkSet | undefined;
  /** Where to begin where all is equal, 0 … 1. */
  readonly #place: number;
  /** Only these are asked; absent: everybody. */
  readonly #feeders: Feeders | undefined;
  readonly #hosts = new Map<Asked, AskedHost>();
  #playhead: Playhead = { chunk: 0 };
  /** When the chunk at the playhead is needed. */
  #playedAt: Milliseconds = 0;
  #hasMoved = false;
  /** Pieces beyond the window with something missing, the first to be asked for in front. */
  #order: number[] = [];
  #countedAt: Milliseconds = Number.NEGATIVE_INFINITY;
  /** Asked of two hosts: who comes second is told to stop. */
  readonly #doubled = new ChunkSet();

  constructor(have: ChunkSet, place: number, wanted?: ChunkSet, feeders?: Feeders) {
    this.#have = have;
    this.#wanted = wanted;
    this.#place = place;
    this.#feeders = feeders;
  }

  add(channel: Asked): void {
    this.#hosts.set(channel, new AskedHost(channel));
  }

  remove(channel: Asked): void {
    this.#hosts.delete(channel);
  }

  /** Since when a host owes something; undefined: nothing. */
  owesSince(channel: Asked): Milliseconds | undefined {
    return this.#hosts.get(channel)?.owesSince;
  }

  /** Fewer are there to be asked than might be. */
  get lacksFeeders(): boolean {
    return this.#feeders?.isComplete === false;
  }

  /** What is needed first from now on. After a jump what was asked beyond the new window has to wait for it. */
  playFrom(playhead: Playhead, now: Milliseconds): void {
    const isOn =
      playhead.chunk >= this.#playhead.chunk && playhead.chunk <= this.#playhead.chunk + WINDOW_CHUNKS;
    this.#hasMoved ||= !isOn;
    this.#playhead = playhead;
    this.#playedAt = now;
  }

  /** What is wanted changed. */
  countAnew(): void {
    this.#countedAt = Number.NEGATIVE_INFINITY;
  }

  came(range: ChunkRange, from: Asked, now: Milliseconds): void {
    this.#hosts.get(from)?.came(range.end - range.start + 1, now);
    if (!this.#doubled.touches(range)) return;
    this.#doubled.delete(range);
    for (const channel of this.#hosts.keys()) if (channel !== from) channel.cancel(range);
  }

  /** Asks for what there is room for. `chunks`: how many there are; undefined while nobody knows. */
  pick(chunks: number | undefined, now: Milliseconds): void {
    let hosts = [...this.#hosts.values()];
    if (chunks === undefined) {
      this.#askForSize(hosts, now);
      return;
    }
    // Called with every datagram; whoever is asked is asked for a good deal at once.
    const able = this.#feeders?.choose(hosts, now) ?? hosts;
    if (!this.#hasMoved && able.every(host => host.room(now) === 0)) return;
    hosts = hosts.sort((a, b) => b.perSecond(now) - a.perSecond(now));
    const window = this.#window(chunks);
    if (window === undefined) return;
    if (this.#hasMoved) this.#jump(hosts, window);
    const end = this.#end(chunks);
    const asked = this.#unwanted(chunks);
    for (const host of hosts) for (const range of host.channel.wanted) asked.add(range);
    if (now - this.#countedAt >= COUNT_EVERY_MS) this.#count(window.end + 1, end, now);
    const debtors = hosts.filter(host => host.owed > 0);
    const silent = new Set(debtors.filter(host => host.isSilent(now)));
    const late = new Map(debtors.map(host => [host, host.late(now, chunk => this.#dueAt(chunk))]));
    const overdue = overdueOf(late);
    let looked = 0;
    for (const host of hosts) {
      if (!able.includes(host)) continue;
      let room = host.room(now);
      if (room === 0) continue;
      room -= this.#double(host, late.get(host), overdue, window, room, now);
      room -= this.#take(host, window, asked, room, now);
      for (const [i, piece] of this.#order.entries()) {
        if (room <= 0) break;
        looked = Math.max(looked, i + 1);
        room -= this.#take(host, pieceRange(piece, end), asked, room, now);
      }
      if (room <= 0) continue;
      room -= this.#double(host, late.get(host), overdue, { start: 0, end: end - 1 }, room, now);
      for (const debtor of debtors)
        if (debtor !== host && room > 0 && !silent.has(debtor))
          room -= this.#takeOver(host, debtor, room, now);
    }
    const isOpen = (piece: number): boolean =>
      this.#have.gaps(pieceRange(piece, end), 2).some(gap => asked.gaps(gap, 1).length > 0);
    this.#order = [...this.#order.slice(0, looked).filter(isOpen), ...this.#order.slice(looked)];
  }

  /** What comes before anything else; undefined when nothing is missing that may be fetched. */
  #window(chunks: number): ChunkRange | undefined {
    const { chunk } = this.#playhead;
    const end = this.#end(chunks);
    if (this.#wanted !== undefined) return this.#wantedWindow(end);
    const [ahead] = chunk < end ? this.#have.gaps({ start: chunk, end: end - 1 }, 1) : [];
    // What lies before is fetched in the end, so that the whole may be kept and given.
    const isAll = this.#playhead.ahead === undefined || chunk + this.#playhead.ahead >= chunks;
    const [before] =
      ahead === undefined && isAll && chunk > 0 ? this.#have.gaps({ start: 0, end: chunk - 1 }, 1) : [];
    const start = (ahead ?? before)?.start;
    return start === undefined ? undefined : windowFrom(start, end);
  }

  #wantedWindow(end: number): ChunkRange | undefined {
    for (const gap of this.#have.gaps({ start: 0, end: end - 1 }, Number.POSITIVE_INFINITY)) {
      const [first] = shared(this.#wanted!, gap);
      if (first !== undefined) return windowFrom(first.start, end);
    }
    return undefined;
  }

  /** What is not to be asked for at all. */
  #unwanted(chunks: number): ChunkSet {
    const unwanted = new ChunkSet();
    const all = { start: 0, end: chunks - 1 };
    for (const gap of this.#wanted?.gaps(all, Number.POSITIVE_INFINITY) ?? []) unwanted.add(gap);
    return unwanted;
  }

  /** What is fetched ends before this chunk: in a live swarm, after the last that anybody has. */
  #end(chunks: number): number {
    const { chunk, ahead = Number.POSITIVE_INFINITY } = this.#playhead;
    const end = Math.min(chunks, chunk + ahead);
    if (end < Number.POSITIVE_INFINITY) return end;
    const last = [...this.#hosts.keys()].map(({ peerHas }) => peerHas?.ranges.at(-1)?.end ?? -1);
    return Math.max(-1, ...last) + 1;
  }

  /** What nobody waits for any more makes way. */
  #jump(hosts: readonly AskedHost[], window: ChunkRange): void {
    this.#hasMoved = false;
    this.#countedAt = Number.NEGATIVE_INFINITY;
    for (const { channel } of hosts)
      for (const { start, end } of [...channel.wanted]) {
        if (start < window.start) channel.cancel({ start, end: Math.min(end, window.start - 1) });
        if (end > window.end) channel.cancel({ start: Math.max(start, window.end + 1), end });
      }
  }

  #dueAt(chunk: number): Milliseconds {
    const { chunk: first, chunksPerSecond } = this.#playhead;
    if (chunksPerSecond === undefined || chunk < first) return Number.POSITIVE_INFINITY;
    return this.#playedAt + ((chunk - first) * 1_000) / chunksPerSecond;
  }

  /** With the first chunk comes the size (RFC 7574 §5.6). */
  #askForSize(hosts: readonly AskedHost[], now: Milliseconds): void {
    for (const host of hosts) if (host.room(now) > 0 && host.owed === 0) host.ask({ start: 0, end: 0 }, now);
  }

  /** What nobody was asked for, of `within`; how many chunks it was. */
  #take(host: AskedHost, within: ChunkRange, asked: ChunkSet, room: number, now: Milliseconds): number {
    let taken = 0;
    const theirs = host.channel.peerHas;
    if (theirs === undefined) return 0;
    for (const gap of this.#have.gaps(within, MOST_GAPS)) {
      for (const free of asked.gaps(gap, MOST_GAPS)) {
        for (const range of shared(theirs, free)) {
          const part = cut(range, room - taken);
          if (part === undefined || !host.ask(part, now)) return taken;
          asked.add(part);
          taken += part.end - part.start + 1;
          // What room is left is less than a frame, and would cut the next one.
          if (part.end < range.end) return room;
        }
      }
    }
    return taken;
  }

  /** What all who owe it are late with, asked of this one too, unless it is one of them. */
  #double(
    host: AskedHost,
    own: ChunkSet | undefined,
    overdue: ChunkSet,
    within: ChunkRange,
    room: number,
    now: Milliseconds,
  ): number {
    let taken = 0;
    const theirs = host.channel.peerHas;
    if (theirs === undefined) return 0;
    for (const range of shared(overdue, within)) {
      for (const free of own?.gaps(range, MOST_GAPS) ?? [range]) {
        for (const common of shared(theirs, free)) {
          const part = cut(common, room - taken);
          if (part === undefined || !host.ask(part, now)) return taken;
          overdue.delete(part);
          this.#doubled.add(part);
          taken += part.end - part.start + 1;
        }
      }
    }
    return taken;
  }

  /** The last of what a slower one owes, so that both are done at the same time. */
  #takeOver(host: AskedHost, debtor: AskedHost, room: number, now: Milliseconds): number {
    const ours = host.perSecond(now);
    const its = debtor.perSecond(now);
    if (debtor.owed / Math.max(its, 1) - host.owed / Math.max(ours, 1) < MARGIN_S || ours <= its) return 0;
    let left = Math.min(room, Math.floor((debtor.owed * ours - host.owed * its) / (ours + its)));
    const most = left;
    const theirs = host.channel.peerHas ?? new ChunkSet();
    for (const owed of [...debtor.channel.wanted].reverse()) {
      for (const range of shared(theirs, owed).reverse()) {
        if (left <= 0) return most;
        const part = { start: Math.max(range.start, range.end - left + 1), end: range.end };
        if (this.#doubled.touches(part) || !host.ask(part, now)) continue;
        debtor.channel.cancel(part);
        left -= part.end - part.start + 1;
      }
    }
    return most - left;
  }

  #count(from: number, end: number, now: Milliseconds): void {
    this.#countedAt = now;
    const first = Math.floor(from / PIECE_CHUNKS);
    const pieces = Math.max(first, Math.ceil(end / PIECE_CHUNKS));
    const turn = first + Math.floor(this.#place * (pieces - first));
    const rarity = new Map<number, number>();
    const known = [...this.#hosts.keys()].flatMap(({ peerHas }) => peerHas ?? []);
    for (let i = 0; i < pieces - first; i += 1) {
      const piece = turn + i < pieces ? turn + i : turn + i - pieces + first;
      const range = pieceRange(piece, end);
      if (this.#have.covers(range)) continue;
      rarity.set(piece, known.filter(has => has.touches(range)).length);
    }
    // Sorting keeps the order of equals.
    this.#order = [...rarity.keys()].sort((a, b) => rarity.get(a)! - rarity.get(b)!);
  }
}

/** What is owed, and by nobody who is not late with it. */
function overdueOf(late: ReadonlyMap<AskedHost, ChunkSet>): ChunkSet {
  const overdue = new ChunkSet();
  for (const ofHost of late.values()) for (const range of ofHost.ranges) overdue.add(range);
  if (overdue.isEmpty) return overdue;
  for (const [host, ofHost] of late)
    for (const wanted of host.channel.wanted)
      for (const onTime of ofHost.gaps(wanted, MOST_GAPS)) overdue.delete(onTime);
  return overdue;
}

/** It ends with a whole piece: one that is asked for as it comes into the window, a few chunks at a time, costs more proofs. */
function windowFrom(start: number, end: number): ChunkRange {
  const last = Math.ceil((start + WINDOW_CHUNKS) / PIECE_CHUNKS) * PIECE_CHUNKS;
  return { start, end: Math.min(end, last) - 1 };
}

/** The chunks of a piece of a content that ends before `end`. */
function pieceRange(piece: number, end: number): ChunkRange {
  const start = piece * PIECE_CHUNKS;
  return { start, end: Math.min(end, start + PIECE_CHUNKS) - 1 };
}
