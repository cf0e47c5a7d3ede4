/**
 * Which chunk is asked of which host, for content that is used from its front while it comes.
 *
 *     ▓▓▓▓▓▓▓▓░▓▓░░░░░░░░░│░░░░░▓▓▓▓░░░░░░░░░▓▓░░░░░
 *             └ window ───┘└ beyond: the rarest pieces first, from a place of our own
 *
 * - the window goes in order, to the fastest host first; what is late in it is asked of a second host too
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

/** What is fetched in order before anything else: 256 KiB at 1,024 bytes. */
export const WINDOW_CHUNKS = 256;
/** What is rare or not is counted by so many chunks, which share most of their proofs. */
export const PIECE_CHUNKS = 64;
/** How often it is counted anew who has what. */
const COUNT_EVERY_MS = 500;
/** A host takes over from another only if it is that much sooner done. */
const MARGIN_S = 0.25;
/** Gaps looked at in one go; what is behind them has its turn later. */
const MOST_GAPS = 512;

export class Picker {
  readonly #have: ChunkSet;
  /** Where to begin where all is equal, 0 … 1. */
  readonly #place: number;
  readonly #hosts = new Map<Asked, AskedHost>();
  /** Pieces beyond the window with something missing, the first to be asked for in front. */
  #order: number[] = [];
  #countedAt: Milliseconds = Number.NEGATIVE_INFINITY;
  /** Asked of two hosts: who comes second is told to stop. */
  readonly #doubled = new ChunkSet();

  constructor(have: ChunkSet, place: number) {
    this.#have = have;
    this.#place = place;
  }

  get hosts(): readonly AskedHost[] {
    return [...this.#hosts.values()];
  }

  add(channel: Asked): void {
    this.#hosts.set(channel, new AskedHost(channel));
  }

  remove(channel: Asked): void {
    this.#hosts.delete(channel);
  }

  came(chunk: number, from: Asked, now: Milliseconds): void {
    this.#hosts.get(from)?.came(now);
    if (!this.#doubled.has(chunk)) return;
    const range = { start: chunk, end: chunk };
    this.#doubled.delete(range);
    for (const channel of this.#hosts.keys()) if (channel !== from) channel.cancel(range);
  }

  /** Asks for what there is room for. `chunks`: how many there are; undefined while nobody knows. */
  pick(chunks: number | undefined, now: Milliseconds): void {
    const hosts = this.hosts.toSorted((a, b) => b.perSecond(now) - a.perSecond(now));
    if (chunks === undefined) {
      this.#askForSize(hosts, now);
      return;
    }
    const [head] = this.#have.gaps({ start: 0, end: chunks - 1 }, 1);
    if (head === undefined) return;
    const window = { start: head.start, end: Math.min(chunks, head.start + WINDOW_CHUNKS) - 1 };
    const asked = new ChunkSet();
    for (const host of hosts) for (const range of host.channel.wanted) asked.add(range);
    if (now - this.#countedAt >= COUNT_EVERY_MS) this.#count(window.end + 1, chunks, now);
    const debtors = hosts.filter(host => host.owed > 0);
    const silent = new Set(debtors.filter(host => host.isSilent(now)));
    for (const host of hosts) {
      let room = host.room(now);
      if (room === 0) continue;
      for (const debtor of debtors)
        if (debtor !== host && room > 0) room -= this.#double(host, debtor, window, room, now);
      room -= this.#take(host, window, asked, room, now);
      for (const piece of this.#order) {
        if (room <= 0) break;
        const start = piece * PIECE_CHUNKS;
        const end = Math.min(chunks, start + PIECE_CHUNKS) - 1;
        room -= this.#take(host, { start, end }, asked, room, now);
      }
      if (room <= 0) continue;
      for (const debtor of debtors) {
        if (debtor === host || room <= 0) continue;
        room -= this.#double(host, debtor, { start: 0, end: chunks - 1 }, room, now);
        if (!silent.has(debtor)) room -= this.#takeOver(host, debtor, room, now);
      }
    }
    this.#order = this.#order.filter(piece => {
      const start = piece * PIECE_CHUNKS;
      const end = Math.min(chunks, start + PIECE_CHUNKS) - 1;
      return this.#have.gaps({ start, end }, 2).some(gap => asked.gaps(gap, 1).length > 0);
    });
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
        }
      }
    }
    return taken;
  }

  /** What another is late with, asked of this one too. */
  #double(host: AskedHost, debtor: AskedHost, within: ChunkRange, room: number, now: Milliseconds): number {
    let taken = 0;
    const theirs = host.channel.peerHas;
    if (theirs === undefined) return 0;
    for (const late of debtor.late(now).ranges) {
      const start = Math.max(late.start, within.start);
      const end = Math.min(late.end, within.end);
      if (start > end) continue;
      for (const gap of this.#doubled.gaps({ start, end }, MOST_GAPS)) {
        for (const range of shared(theirs, gap)) {
          const part = cut(range, room - taken);
          if (part === undefined || !host.ask(part, now)) return taken;
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

  #count(from: number, chunks: number, now: Milliseconds): void {
    this.#countedAt = now;
    const first = Math.floor(from / PIECE_CHUNKS);
    const pieces = Math.ceil(chunks / PIECE_CHUNKS);
    const turn = first + Math.floor(this.#place * (pieces - first));
    const rarity = new Map<number, number>();
    const known = this.hosts.flatMap(({ channel }) => channel.peerHas ?? []);
    for (let i = 0; i < pieces - first; i += 1) {
      const piece = turn + i < pieces ? turn + i : turn + i - pieces + first;
      const start = piece * PIECE_CHUNKS;
      const range = { start, end: Math.min(chunks, start + PIECE_CHUNKS) - 1 };
      if (this.#have.covers(range)) continue;
      rarity.set(piece, known.filter(has => has.touches(range)).length);
    }
    // Sorting keeps the order of equals.
    this.#order = [...rarity.keys()].sort((a, b) => rarity.get(a)! - rarity.get(b)!);
  }
}
