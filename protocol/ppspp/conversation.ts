/**
 * What the two ends of an open channel say to each other: both halves, giving and taking, and what goes along.
 *
 *     hear(message) ─▶ serving · fetching ─▶ events          say(packer) ◀─ orders, wishes, news, ACKs, then chunks
 *
 * Small messages go first: a question or an ACK should not wait behind a window of chunks.
 */
import type { Milliseconds } from '../ports.js';
import type { ChannelEvent } from './channel.js';
import { ChunkSet } from './chunk-set.js';
import { sayable } from './chunk-spec.js';
import type { MessageName } from './constants.js';
import { Fetching } from './fetching.js';
import { endsFrame, frameBytesOf } from './frames.js';
import type { PeerAddress } from './gate.js';
import type { Dialect } from './handshake.js';
import { NoIntegrity } from './integrity.js';
import { earliest } from './liveness.js';
import type { Claim, Message } from './messages.js';
import type { Packer } from './packer.js';
import { decodePeer, ExchangeLimits, encodePeer } from './peer-exchange.js';
import { Serving } from './serving.js';
import type { Swarm } from './swarm.js';

/** News of chunks waits so long for more of it. */
const HAVE_EVERY_MS = 100;
/** In a live swarm there is always news, and who asked for nothing so long, or may not ask, can wait for it. */
const IDLE_MS = 2_000;
const IDLE_HAVE_EVERY_MS = 1_000;
/** Ranges announced at once; the rest follows. */
const MAX_HAVES = 64;

export interface ConversationOptions {
  readonly swarm: Swarm;
  readonly dialect: Dialect;
  readonly isReliable: boolean;
  readonly maxDatagramBytes: number;
  /** How many chunks the other side keeps; Infinity: all. */
  readonly peerKeeps: number;
  /** From `now` to milliseconds since 1970. */
  readonly unixOffsetMs: number;
  readonly now: Milliseconds;
  /** What the other side can read. */
  speaks(name: MessageName): boolean;
}

export class Conversation {
  readonly dialect: Dialect;
  readonly serving: Serving;
  readonly fetching: Fetching;
  readonly #options: ConversationOptions;
  readonly limits = new ExchangeLimits();
  readonly #orders: Message[] = [];
  #hasChoked = false;
  /** What we told the other side that we have, and at which state of ours that was all. */
  readonly #told = new ChunkSet();
  #toldChanges = -1;
  /** What is being told was told before. */
  #isEcho = false;
  #tellAt: Milliseconds = Number.NEGATIVE_INFINITY;
  /** When the other side last wanted something; at first, when it was there to be told. */
  #askedAt: Milliseconds;

  constructor(options: ConversationOptions) {
    const { dialect, isReliable, maxDatagramBytes } = options;
    const swarm = asSeenBy(options.swarm, dialect);
    this.#options = options;
    this.dialect = dialect;
    this.serving = new Serving({
      swarm,
      dialect,
      isReliable,
      maxDatagramBytes,
      peerKeeps: options.peerKeeps,
    });
    this.fetching = new Fetching({ swarm, dialect, isReliable });
    this.#askedAt = options.now;
  }

  /** The other side asks for chunks. */
  wished(now: Milliseconds): void {
    // What it was not told yet it may be told at once.
    if (now - this.#askedAt > IDLE_MS) this.#tellAt = now;
    this.#askedAt = now;
  }

  choke(): void {
    this.#hasChoked = true;
    this.#isEcho = false;
    this.serving.choke();
    this.#orders.push({ type: 'CHOKE' });
  }

  unchoke(): void {
    this.#isEcho = false;
    this.serving.unchoke();
    this.#orders.push({ type: 'UNCHOKE' });
  }

  askForPeers(): void {
    this.limits.asked();
    this.#orders.push({ type: 'PEX_REQ' });
  }

  tell(peers: readonly PeerAddress[]): void {
    this.#orders.push(...peers.map(encodePeer));
  }

  /** Undefined: the other side is at fault, and the rest of the datagram is not to be read (RFC 7574 §8.2). */
  hear(message: Message, now: Milliseconds): readonly ChannelEvent[] | undefined {
    const step = STEPS[message.type] as Step<Message>;
    return step(this, message, now);
  }

  /** DATA of chunks that follow one another. */
  hearRun(run: readonly Extract<Message, { type: 'DATA' }>[], now: Milliseconds): readonly ChannelEvent[] {
    return this.fetching.run(run, this.unixUs(now));
  }

  /** Something is to be said that has nothing to do with chunks of ours, or is news of them. */
  hasToSay(now: Milliseconds): boolean {
    return this.#orders.length > 0 || this.fetching.hasToSay || (this.#hasNews && now >= this.#tellAt);
  }

  /**
   * Says what there is to say, chunks last, until about `budgetBytes` are full; with `mustSpeak` also where nothing is new.
   * True: there was news that may get lost, and not only what a sign of life says again.
   */
  say(packer: Packer, now: Milliseconds, budgetBytes: number, mustSpeak: boolean): boolean {
    const isNews = !this.#isEcho && (this.#orders.length > 0 || (this.#hasNews && now >= this.#tellAt));
    const words = [...this.#orders.splice(0), ...this.#news(now), ...this.fetching.say(now)];
    if (!this.#hasNews) this.#isEcho = false;
    // Where a live swarm is now, with everything that is said until the other side is there too (RFC 7574 §6.1.2.3).
    const tuneIn = mustSpeak || words.length > 0 ? this.#tuneIn() : [];
    for (const word of [...tuneIn, ...words]) if (this.#options.speaks(word.type)) packer.add(word);
    const { chunkBytes } = this.#options.swarm.metadata;
    for (let left = budgetBytes; left > 0; ) {
      const unit = this.serving.next(this.unixUs(now), left);
      if (unit === undefined) break;
      const bytes = packer.addChunk(unit);
      this.serving.sent(unit, bytes, now);
      left -= bytes;
      // A frame that there is no budget for is better left whole than cut: all of it is judged at once over there.
      const isFrame = this.#options.isReliable && endsFrame(unit.data.at(-1)!.chunk);
      if (isFrame && left < frameBytesOf(chunkBytes)) break;
    }
    return isNews;
  }

  /** Says again what may have been lost. */
  beat(): void {
    this.#isEcho = true;
    this.#told.clear();
    this.#toldChanges = -1;
    if (this.#hasChoked) this.#orders.push({ type: this.serving.isChoking ? 'CHOKE' : 'UNCHOKE' });
  }

  expire(now: Milliseconds): void {
    this.serving.expire(now);
    this.fetching.wanted.expire(now);
  }

  nextDeadline(): Milliseconds | undefined {
    const news = this.#hasNews ? this.#tellAt : undefined;
    return earliest(news, this.serving.nextDeadline(), this.fetching.wanted.nextDeadline());
  }

  /** Microseconds since 1970. */
  unixUs(now: Milliseconds): number {
    return Math.round((now + this.#options.unixOffsetMs) * 1_000);
  }

  /** Chunks that it should know of: not if it has everything (RFC 7574 §3.2). */
  get #hasNews(): boolean {
    return this.#toldChanges !== this.#options.swarm.have.changes && !this.serving.peerIsComplete;
  }

  #tuneIn(): Message[] {
    return this.#options.swarm.integrity.tuneIn(this.serving);
  }

  #news(now: Milliseconds): Message[] {
    if (!this.#hasNews || now < this.#tellAt) return [];
    const { have, metadata } = this.#options.swarm;
    const untold = have.ranges.filter(range => !this.#told.covers(range));
    const news = untold.slice(0, MAX_HAVES);
    for (const range of news) this.#told.add(range);
    if (news.length === untold.length) this.#toldChanges = have.changes;
    const isIdle = metadata.live !== undefined && now - this.#askedAt > IDLE_MS;
    this.#tellAt = now + (isIdle ? IDLE_HAVE_EVERY_MS : HAVE_EVERY_MS);
    return news.flatMap(have => sayable(have, metadata.addressing)).map(range => ({ type: 'HAVE', range }));
  }
}

/** PyPPSPP proves nothing and reads no proofs, whatever the swarm does. */
function asSeenBy(swarm: Swarm, dialect: Dialect): Swarm {
  if (dialect !== 'pyppspp') return swarm;
  const { metadata, dialects, have, source, integrity } = swarm;
  return { metadata, dialects, have, source, integrity: new NoIntegrity(integrity.chunks) };
}

type Step<M> = (talk: Conversation, message: M, now: Milliseconds) => readonly ChannelEvent[] | undefined;

const NOTHING: readonly ChannelEvent[] = [];

const claim: Step<Claim> = (talk, message, now) =>
  talk.fetching.hear(message, talk.unixUs(now) / 1_000) ? NOTHING : undefined;
const meet: Step<Extract<Message, { type: 'PEX_RESv4' | 'PEX_RESv6' }>> = (talk, message) =>
  talk.limits.listens() ? [{ kind: 'peer', peer: decodePeer(message) }] : NOTHING;

/** What each message does to an open channel. */
const STEPS: { readonly [N in MessageName]: Step<Extract<Message, { type: N }>> } = {
  // The answer once more: the same HANDSHAKE has no effect (RFC 7574 §3.1).
  HANDSHAKE: () => NOTHING,
  DATA: (talk, message, now) => {
    const event = talk.fetching.data(message, talk.unixUs(now));
    return event === undefined ? NOTHING : [event];
  },
  ACK: ({ serving }, { range, delayUs }, now) => {
    serving.acked(range, delayUs, now);
    return NOTHING;
  },
  HAVE: ({ serving, fetching }, { range }) => {
    serving.announced(range);
    if (serving.peerForgot !== undefined) fetching.wanted.delete(serving.peerForgot);
    return [{ kind: 'have', range }];
  },
  INTEGRITY: claim,
  SIGNED_INTEGRITY: claim,
  REQUEST: (talk, { range }, now) => {
    const { serving } = talk;
    talk.wished(now);
    const isNew = !serving.isAsked;
    serving.asked(range);
    return isNew && serving.isAsked ? [{ kind: 'asked' }] : NOTHING;
  },
  CANCEL: ({ serving }, { range }) => {
    serving.cancelled(range);
    return NOTHING;
  },
  CHOKE: ({ fetching }) => [{ kind: 'choked', dead: fetching.choked() }],
  UNCHOKE: ({ fetching }) => {
    fetching.unchoked();
    return [{ kind: 'unchoked' }];
  },
  PEX_REQ: ({ limits }, _, now) => (limits.answers(now) ? [{ kind: 'peers-wanted' }] : NOTHING),
  PEX_RESv4: meet,
  PEX_RESv6: meet,
  // Nobody is trusted here to have signed one.
  PEX_REScert: () => NOTHING,
};
