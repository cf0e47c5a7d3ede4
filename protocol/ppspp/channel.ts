/**
 * One end of a channel (RFC 7574 §3): the session with one peer about one swarm. It opens nothing and knows no time.
 *
 *     receive(datagram, now) ─▶ events        transmit(now) ─▶ datagrams        expire(now) · nextDeadline()
 *
 *     initiator   opening ─ HANDSHAKE n ─▶ open ─ HANDSHAKE 0 · dead · lies ─▶ ended
 *     responder   made by the gate with the third datagram ─┘
 *
 * In `opening` only a HANDSHAKE that fits is heard; open, both ends are alike (`conversation.ts`). An engine says what to
 * ask, whom to choke and when to stop. What the wire needs beside (answers, ACKs, HAVEs, lost chunks, doubled questions,
 * signs of life) goes with `transmit`, to be called after everything that may have changed something.
 */
import type { Milliseconds } from '../ports.js';
import type { ChunkSet } from './chunk-set.js';
import { decodeDatagram, encodeDatagram } from './codec.js';
import { NO_CHANNEL, PROTOCOL_VERSION } from './constants.js';
import { Conversation } from './conversation.js';
import { Dialling } from './dialling.js';
import type { ChunkEvent } from './fetching.js';
import { HALF_OPEN_MS, type HalfOpen, type PeerAddress } from './gate.js';
import {
  type Abilities,
  abilitiesOf,
  type Dialect,
  dialectOf,
  handshakeMismatch,
  ownOptions,
  speaks,
  wireFormatOf,
} from './handshake.js';
import { earliest, Liveness } from './liveness.js';
import type { ChunkRange, Message, WireFormat } from './messages.js';
import { type Allocate, DATAGRAM_BYTES, FRAME_BYTES, Packer } from './packer.js';
import type { Swarm } from './swarm.js';

/** Datagrams that make no sense, before the other side is left alone (RFC 7574 §8.2). */
export const MAX_NONSENSE = 8;
/** So many that do make up for one: a bit may have flipped on the way. */
const DATAGRAMS_A_MISTAKE = 64;
/** What one `transmit` sends at most, unless it is told otherwise. */
const TRANSMIT_BYTES = 256 * 1_024;

/**
 * - closed: either side said so
 * - unanswered: no HANDSHAKE came back, or nothing after it
 * - dead: silent for three minutes
 * - lies: chunks or hashes that were false
 * - nonsense: what this protocol does not have
 */
export type EndReason = 'closed' | 'unanswered' | 'dead' | 'lies' | 'nonsense';

export type ChannelEvent =
  /** From now on it may be asked. */
  | { readonly kind: 'open'; readonly dialect: Dialect }
  | ChunkEvent
  /** The other side has these, as it says; `peerHas` knows all. */
  | { readonly kind: 'have'; readonly range: ChunkRange }
  /** `dead`: what was asked and will not come. */
  | { readonly kind: 'choked'; readonly dead: readonly ChunkRange[] }
  | { readonly kind: 'unchoked' }
  /** The other side wants chunks, and wanted none before: it is served, unless it is choked. */
  | { readonly kind: 'asked' }
  /** The other side asks for peers: `tell` it (`peersToTell`). */
  | { readonly kind: 'peers-wanted' }
  /** A peer that the other side knows, as it says (`maySpeakOf`). */
  | { readonly kind: 'peer'; readonly peer: PeerAddress }
  | { readonly kind: 'ended'; readonly why: EndReason };

export interface ChannelOptions {
  readonly swarm: Swarm;
  /** Ours: random, and not 0. */
  readonly channel: number;
  /** From `now` to milliseconds since 1970. */
  readonly unixOffsetMs: number;
  /** Over a stream (TCP): no ACK, no congestion window, nothing twice. */
  readonly isReliable?: boolean;
  /** Where datagrams are put; default: on the heap. */
  readonly allocate?: Allocate | undefined;
  /** Called when `transmit` may have something to send, but for what `nextDeadline` knows. */
  readonly stirred?: () => unknown;
  /** The other side's first HANDSHAKE, where it was first. */
  readonly halfOpen?: HalfOpen;
}

export class Channel {
  readonly swarm: Swarm;
  readonly channel: number;
  readonly #unixOffsetMs: number;
  readonly #isReliable: boolean;
  readonly #maxBytes: number;
  readonly #allocate: Allocate | undefined;
  readonly #stirred: () => unknown;
  readonly #format: WireFormat;
  readonly #dialling: Dialling;
  readonly #liveness: Liveness;
  #peerChannel = NO_CHANNEL;
  /** Both once it is open. */
  #talk: Conversation | undefined;
  #packer: Packer | undefined;
  #end: EndReason | undefined;
  /** An initiator hears more than a HANDSHAKE by then, or has been forgotten there; undefined: it did. */
  #confirmBy: Milliseconds | undefined;
  /** A datagram must go, whatever is in it. */
  #owesDatagram = false;
  #nonsense = 0;

  constructor(options: ChannelOptions, now: Milliseconds) {
    const { swarm, halfOpen, isReliable = false } = options;
    this.swarm = swarm;
    this.channel = options.channel;
    this.#unixOffsetMs = options.unixOffsetMs;
    this.#isReliable = isReliable;
    this.#maxBytes = isReliable ? FRAME_BYTES : DATAGRAM_BYTES;
    this.#allocate = options.allocate;
    this.#stirred = options.stirred ?? (() => {});
    this.#format = wireFormatOf(swarm.metadata, swarm.dialects);
    this.#dialling = new Dialling(swarm.dialects, isReliable, now);
    this.#liveness = new Liveness(now);
    if (halfOpen !== undefined) this.#open(halfOpen.peerChannel, halfOpen.dialect, halfOpen, now);
  }

  /** The other side's number, once it is open. */
  get peerChannel(): number {
    return this.#peerChannel;
  }

  get state(): 'opening' | 'open' | 'ended' {
    if (this.#end !== undefined) return 'ended';
    return this.#talk === undefined ? 'opening' : 'open';
  }

  /** When anything last came from the other side. */
  get heardAt(): Milliseconds {
    return this.#liveness.heardAt;
  }

  /** What the other side says it has; undefined while opening. */
  get peerHas(): ChunkSet | undefined {
    return this.#talk?.serving.peerHas;
  }

  /** What it was asked and has not sent. */
  get wanted(): readonly ChunkRange[] {
    return this.#talk?.fetching.wanted.chunks.ranges ?? [];
  }

  /** It may be asked. */
  get mayRequest(): boolean {
    return this.state === 'open' && this.#talk?.fetching.isChoked === false;
  }

  /** Chunks wait for it and the way to it is free: they lack budget, or are not at hand. */
  get isReady(): boolean {
    return this.state === 'open' && this.#talk!.serving.isReady;
  }

  /** The other side wants chunks that it has not got. */
  get isAsked(): boolean {
    return this.state === 'open' && this.#talk!.serving.isAsked;
  }

  get isChoking(): boolean {
    return this.#talk?.serving.isChoking ?? false;
  }

  /** Round trip to it, once something was measured. */
  get roundTripMs(): Milliseconds | undefined {
    return this.#talk?.serving.roundTripMs;
  }

  /** Asks for chunks, which it should have. False: it may not be asked now, or in so many pieces. */
  request(range: ChunkRange): boolean {
    this.#stirred();
    return this.mayRequest && this.#talk!.fetching.request(range);
  }

  cancel(range: ChunkRange): void {
    this.#stirred();
    this.#talk?.fetching.cancel(range);
  }

  /** It is served no more, and what it asked is forgotten. */
  choke(): void {
    this.#stirred();
    this.#talk?.choke();
  }

  unchoke(): void {
    this.#stirred();
    this.#talk?.unchoke();
  }

  askForPeers(): void {
    this.#stirred();
    this.#talk?.askForPeers();
  }

  tell(peers: readonly PeerAddress[]): void {
    this.#stirred();
    this.#talk?.tell(peers);
  }

  /** The last datagram, saying so, goes with the next `transmit`. */
  close(): void {
    if (this.#end !== undefined) return;
    this.#stirred();
    this.#owesDatagram = this.#talk !== undefined;
    this.#end = 'closed';
  }

  /** A datagram to this channel, from where its peer is. */
  receive(datagram: Uint8Array, now: Milliseconds): ChannelEvent[] {
    if (this.#end !== undefined) return [];
    const { messages, error } = decodeDatagram(datagram, this.#format);
    const events: ChannelEvent[] = [];
    let isNonsense = error !== undefined;
    if (messages[0]?.type !== 'HANDSHAKE') this.#confirmBy = undefined;
    for (let i = 0; i < messages.length && this.#end === undefined; ) {
      const run = this.#talk === undefined ? [] : runFrom(messages, i);
      const heard = run.length > 1 ? this.#talk!.hearRun(run, now) : this.#hear(messages[i]!, now);
      isNonsense ||= heard === undefined;
      if (heard === undefined) break;
      for (const event of heard) {
        if (event.kind === 'asked') this.#liveness.news(now);
        events.push(event);
      }
      i += Math.max(1, run.length);
    }
    if (this.#talk !== undefined) this.#liveness.heard(now);
    this.#nonsense = Math.max(0, this.#nonsense + (isNonsense ? 1 : -1 / DATAGRAMS_A_MISTAKE));
    if (this.#end !== undefined) return events;
    if (this.#talk?.fetching.hasLied) events.push(...this.#finish('lies'));
    else if (this.#nonsense >= MAX_NONSENSE) events.push(...this.#finish('nonsense'));
    return events;
  }

  /** All that is to be sent now, chunks up to about `budgetBytes`; each datagram with its channel. */
  transmit(now: Milliseconds, budgetBytes = TRANSMIT_BYTES): Buffer[] {
    const datagrams = this.#compose(now, budgetBytes);
    this.#owesDatagram = false;
    this.#liveness.sent(datagrams.length);
    return datagrams;
  }

  expire(now: Milliseconds): ChannelEvent[] {
    if (this.#end !== undefined) return [];
    if (this.#talk === undefined) return this.#dialling.isOver(now) ? this.#finish('unanswered') : [];
    if (now >= (this.#confirmBy ?? Number.POSITIVE_INFINITY)) return this.#finish('unanswered');
    if (this.#liveness.isDead(now)) return this.#finish('dead');
    this.#talk.expire(now);
    // In a live swarm everybody waits for what comes next.
    const isAwaited = this.isAsked || this.swarm.metadata.live !== undefined;
    if (this.#liveness.beats(now, isAwaited)) {
      this.#talk.beat();
      this.#owesDatagram = true;
    }
    return [];
  }

  /** When `expire` and `transmit` have something to do, if nothing happens before. */
  nextDeadline(): Milliseconds | undefined {
    if (this.#end !== undefined) return undefined;
    if (this.#talk === undefined) return this.#dialling.nextDeadline();
    return earliest(this.#talk.nextDeadline(), this.#liveness.nextDeadline(), this.#confirmBy);
  }

  /** Undefined: it may not be said here. */
  #hear(message: Message, now: Milliseconds): readonly ChannelEvent[] | undefined {
    if (message.type === 'HANDSHAKE' && message.channel === NO_CHANNEL && this.#talk !== undefined)
      return this.#finish('closed');
    if (this.#talk !== undefined) return this.#talk.hear(message, now);
    if (message.type !== 'HANDSHAKE' || message.channel === NO_CHANNEL) return undefined;
    const { options, channel } = message;
    if (handshakeMismatch(options, this.swarm.metadata, 'responder', this.swarm.dialects) !== undefined)
      return undefined;
    const dialect = dialectOf(options, this.swarm.metadata);
    this.#open(channel, dialect, abilitiesOf(options, this.swarm.metadata), now);
    this.#confirmBy = now + HALF_OPEN_MS;
    return [{ kind: 'open', dialect }];
  }

  #open(peerChannel: number, dialect: Dialect, abilities: Abilities, now: Milliseconds): void {
    this.#peerChannel = peerChannel;
    this.#packer = new Packer({
      channel: peerChannel,
      format: this.#format,
      dialect,
      maxBytes: this.#maxBytes,
      allocate: this.#allocate,
    });
    this.#talk = new Conversation({
      swarm: this.swarm,
      dialect,
      isReliable: this.#isReliable,
      maxDatagramBytes: this.#maxBytes,
      unixOffsetMs: this.#unixOffsetMs,
      now,
      peerKeeps: abilities.keeps,
      speaks: speaks(dialect, abilities.supportedMessages),
    });
    // The third datagram lets the other side give too, and the fourth tells it where we are (RFC 7574 §3.1.1).
    this.#owesDatagram = true;
  }

  #compose(now: Milliseconds, budgetBytes: number): Buffer[] {
    if (this.#end !== undefined) return this.#owesDatagram ? [this.#farewell()] : [];
    if (this.#talk === undefined) return this.#dial(now);
    if (!this.#owesDatagram && !this.#talk.hasToSay(now) && !this.isReady) return [];
    const packer = this.#packer!;
    if (this.#talk.say(packer, now, budgetBytes, this.#owesDatagram)) this.#liveness.news(now);
    if (this.#owesDatagram) packer.keepAlive();
    return packer.finish();
  }

  #dial(now: Milliseconds): Buffer[] {
    const dialect = this.#dialling.due(now);
    if (dialect === undefined) return [];
    const options = ownOptions(this.swarm.metadata, dialect, 'initiator');
    const handshake = { type: 'HANDSHAKE', channel: this.channel, options } as const;
    return [encodeDatagram(NO_CHANNEL, [handshake], this.#format)];
  }

  /** Channel 0 as our own closes (RFC 7574 §3.1.2). */
  #farewell(): Buffer {
    const options = { version: PROTOCOL_VERSION };
    return encodeDatagram(
      this.#peerChannel,
      [{ type: 'HANDSHAKE', channel: NO_CHANNEL, options }],
      this.#format,
    );
  }

  #finish(why: EndReason): ChannelEvent[] {
    this.#end = why;
    return [{ kind: 'ended', why }];
  }
}

/** DATA messages from a place on whose chunks follow one another. */
function runFrom(messages: readonly Message[], from: number): Extract<Message, { type: 'DATA' }>[] {
  const run: Extract<Message, { type: 'DATA' }>[] = [];
  for (let i = from; i < messages.length; i += 1) {
    const message = messages[i]!;
    const previous = run.at(-1);
    if (message.type !== 'DATA' || (previous !== undefined && message.chunk !== previous.chunk + 1)) break;
    run.push(message);
  }
  return run;
}
