/**
 * One broadcast as the source of its live swarm (TSP §5.6).
 *
 *     LiveFeed ─▶ frames ─▶ chunks ─▶ a number is lent ─▶ four signed ─▶ announced, given        the feed ends: signed, too
 *
 * The rule: the stream is the ring's frames, silence too, without a gap. What cannot be had so ends the swarm, and TSP goes
 * on alone.
 */
import { LiveSource } from '../../protocol/ppspp/live-source.js';
import type { LiveSwarm } from '../swarm/live-swarm.js';
import type { FeedIdentity } from './feed-store.js';
import { FEED_CHUNK_BYTES, FEED_CHUNKS_PER_SIGNATURE, type FeedSwarmPart, feedSwarm } from './feed-swarm.js';
import { RING_MS } from './frame-ring.js';
import type { FeedReader, LiveFeed } from './live-feed.js';

export interface FeedSourceOptions {
  readonly feed: LiveFeed;
  readonly identity: FeedIdentity;
  readonly join: (live: LiveSwarm) => Promise<FeedSwarmPart>;
  /** Milliseconds since 1970. */
  readonly unixMs: () => number;
}

export class FeedSource {
  readonly swarmId: Uint8Array;
  readonly #options: FeedSourceOptions;
  readonly #live: LiveSwarm;
  readonly #source: LiveSource;
  readonly #reader: FeedReader;
  /** Of the feed's first byte in the stream. */
  readonly #offset: number;
  #wake = (): void => {};
  #isOver = false;
  #hasLeft = false;
  #rest: Uint8Array = new Uint8Array(0);
  #part: FeedSwarmPart | undefined;

  /** Begins with what is in the ring. */
  constructor(options: FeedSourceOptions) {
    const { feed, identity } = options;
    const { swarmId, privateKey, numbers } = identity;
    this.#options = options;
    this.swarmId = swarmId;
    this.#live = feedSwarm(swarmId);
    const first = numbers.begin();
    this.#source = new LiveSource({
      integrity: this.#live.integrity,
      key: privateKey,
      have: this.#live.swarm.have,
      chunksPerSignature: FEED_CHUNKS_PER_SIGNATURE,
      first,
    });
    this.#reader = feed.join(RING_MS, {
      frames: () => this.#wake(),
      ended: () => {
        this.#isOver = true;
        this.#wake();
      },
    });
    this.#offset = first * FEED_CHUNK_BYTES - (this.#reader.peek()?.atByte ?? feed.endByte);
  }

  /** Where that byte of the feed is in the stream. */
  positionOf(byteOfFeed: number): number {
    return this.#offset + byteOfFeed;
  }

  /** Resolves when the feed is over and its end is signed. Rejects when it cannot be given so, or not any more. */
  async run(): Promise<void> {
    this.#part = await this.#options.join(this.#live);
    if (this.#hasLeft) return this.#part.leave();
    for (;;) {
      const bytes = this.#takeFrames();
      if (bytes.length > 0) await this.#give(bytes);
      else if (this.#isOver) break;
      else await new Promise<void>(resolve => this.#sleep(resolve));
    }
    if (this.#rest.length > 0) await this.#addChunk(this.#rest);
    await this.#options.identity.numbers.lend(this.#source.next);
    this.#source.finish(this.#options.unixMs());
    this.#part.wake();
  }

  /** Nobody is given anything any more. */
  leave(): void {
    this.#hasLeft = true;
    this.#reader.leave();
    this.#part?.leave();
  }

  #sleep(wake: () => void): void {
    this.#wake = wake;
  }

  #takeFrames(): Buffer {
    const frames: Buffer[] = [];
    for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next())
      frames.push(frame.bytes);
    if (this.#reader.lostFrames > 0) throw new Error('its chunks were numbered too slowly');
    return Buffer.concat(frames);
  }

  async #give(bytes: Uint8Array): Promise<void> {
    const stream = Buffer.concat([this.#rest, bytes]);
    let at = 0;
    for (; stream.length - at >= FEED_CHUNK_BYTES; at += FEED_CHUNK_BYTES)
      await this.#addChunk(stream.subarray(at, at + FEED_CHUNK_BYTES));
    this.#rest = stream.subarray(at);
  }

  async #addChunk(chunk: Uint8Array): Promise<void> {
    const number = this.#source.next;
    await this.#options.identity.numbers.lend(number);
    this.#live.store.write(number, [chunk]);
    if (this.#source.add(chunk, this.#options.unixMs()) !== undefined) this.#part?.wake();
  }
}
