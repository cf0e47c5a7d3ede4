/**
 * A listener's part in a feed's live swarm (TSP §5.6): proven bytes in order, as whole frames, and how late they are.
 *
 *     swarm ─▶ chunks, signed ─▶ frames from `from` on, or from where the swarm is ─▶ heard(at, frames)
 *        └ what is here is given to others, too
 */
import type { Clock, Logger } from '../../protocol/ports.js';
import { formatHostPort, parseHostPort } from '../../protocol/tsp/addresses.js';
import { UploadSlots } from '../hosting/slots.js';
import { type Frame, FrameScanner } from '../mpeg/frame-scanner.js';
import { type LiveSwarm, tuneIn } from '../swarm/live-swarm.js';
import { FEED_CHUNK_BYTES, type FeedSwarmPart, type FeedSwarms, feedSwarm } from './feed-swarm.js';
import { SwarmLag } from './swarm-lag.js';

/** Enough to lose some of them, few enough that what they announce costs little. */
const MAX_NEIGHBOURS = 12;
/** Asked at a time: if one is late, there is another. */
const FEEDERS = 2;
/** Given to so many at a time: half a Mbit/s of 128 kbit/s. */
const GIVEN_TO = 3;
/** What is missing for so long is jumped over. */
const SKIP_MS = 2_500;
/** Before anything is heard nothing is missed. */
const SKIP_AT_FIRST_MS = 300;
/** Who has nothing yet begins so far in the past, so that sound does not stop at the first delay. */
const BEGIN_MS = 1_500;
const USUAL_BITRATE = 128_000;

export interface FeedHearingOptions {
  readonly swarms: FeedSwarms;
  readonly swarmId: Uint8Array;
  /** Where to begin in the stream; undefined: where the swarm is. */
  readonly from: number | undefined;
  readonly bitrate: number | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Proven, whole frames. */
  readonly heard: (at: number, frames: Uint8Array) => void;
  /** The source has signed the end. */
  readonly ended: () => void;
}

export class FeedHearing {
  readonly lag: SwarmLag;
  readonly #options: FeedHearingOptions;
  readonly #live: LiveSwarm;
  readonly #stop = new AbortController();
  /** TSP's names of those who have one, by where they speak PPSPP. */
  readonly #hosts = new Map<string, string>();
  #part: FeedSwarmPart | undefined;

  /** RemoteProtocolError when the ID is none. */
  constructor(options: FeedHearingOptions) {
    this.#options = options;
    this.#live = feedSwarm(options.swarmId);
    this.lag = new SwarmLag(options.clock.now());
  }

  start(): void {
    const { logger } = this.#options;
    this.#hear().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) logger.info({ err: error }, 'a feed comes without its swarm');
    });
  }

  /** `host` has the feed, and speaks PPSPP on this port. */
  meet(host: string, port: number): void {
    const address = parseHostPort(host)?.host;
    if (address === undefined) return;
    this.#hosts.set(formatHostPort(address, port), host);
    this.#part?.joined.addPeers([{ address, port }]);
  }

  stop(): void {
    this.#stop.abort();
    this.#part?.leave();
  }

  async #hear(): Promise<void> {
    const { swarms, from, ended } = this.#options;
    const { swarm, store } = this.#live;
    const { signal } = this.#stop;
    const part = await swarms.joinFeed({
      swarm,
      store,
      maxPeers: MAX_NEIGHBOURS,
      maxFeeders: FEEDERS,
      slots: new UploadSlots(GIVEN_TO),
      waits: true,
    });
    if (signal.aborted) return part.leave();
    this.#part = part;
    for (const [address, host] of [...this.#hosts]) this.meet(host, parseHostPort(address)!.port);
    if (from !== undefined) await this.#read(part, from, signal);
    else await this.#readFromPresent(part);
    ended();
  }

  /** Who has to wait for somebody to give it anything begins where the swarm is by then. */
  async #readFromPresent(part: FeedSwarmPart): Promise<void> {
    for (;;) {
      const at = await this.#begin(part);
      const stale = new AbortController();
      const cancel = this.#options.clock.after(BEGIN_MS, () => stale.abort());
      try {
        await this.#read(part, at, AbortSignal.any([this.#stop.signal, stale.signal]), cancel);
        return;
      } catch (error) {
        if (!stale.signal.aborted) throw error;
      } finally {
        cancel();
      }
    }
  }

  async #read(part: FeedSwarmPart, from: number, signal: AbortSignal, begun = (): void => {}): Promise<void> {
    let at = from;
    let frames = new FrameScanner();
    let isFirst = true;
    const reading = part.joined.read({
      fromByte: from,
      bytesPerSecond: this.#bytesPerSecond,
      aheadBytes: this.#live.swarm.metadata.live!.discardWindow * FEED_CHUNK_BYTES,
      skip: {
        get afterMs() {
          return isFirst ? SKIP_AT_FIRST_MS : SKIP_MS;
        },
        told: (_from, to) => {
          at = to;
          frames = new FrameScanner();
        },
      },
      signal,
    });
    for await (const bytes of reading) {
      begun();
      isFirst = false;
      this.#take(at, frames.push(bytes));
    }
    this.#take(at, frames.end());
  }

  get #bytesPerSecond(): number {
    return (this.#options.bitrate ?? USUAL_BITRATE) / 8;
  }

  /** Where the swarm is, and a little before: in bytes. */
  async #begin({ joined }: FeedSwarmPart): Promise<number> {
    const newest = await tuneIn(joined, this.#live, this.#stop.signal);
    const before = Math.floor((BEGIN_MS / 1_000) * (this.#bytesPerSecond / FEED_CHUNK_BYTES));
    // What is signed is known before it is here.
    const { there } = joined;
    const last = Math.min(newest, there.ranges.at(-1)?.end ?? newest);
    const first = there.firstFrom(Math.max(0, last - before)) ?? newest;
    return first * FEED_CHUNK_BYTES;
  }

  /** `at`: of the first byte that the scanner was given. */
  #take(at: number, frames: readonly Frame[]): void {
    const [first] = frames;
    if (first === undefined) return;
    const start = at + first.offset;
    const bytes = Buffer.concat(frames.map(frame => frame.bytes));
    const end = start + bytes.length;
    const signedAt = this.#live.integrity.signedAt(chunkOf(end - 1));
    if (signedAt !== undefined) this.lag.reached(signedAt, this.#options.clock.now());
    this.#options.heard(start, bytes);
  }

  /** Who gave how much of these bytes of the stream. */
  giversOf(start: number, end: number): ReadonlyMap<string, number> {
    const givers = new Map<string, number>();
    for (let chunk = chunkOf(start); chunk <= chunkOf(end - 1); chunk += 1) {
      const giver = this.#live.store.giverOf(chunk);
      if (giver === undefined) continue;
      const name = this.#hosts.get(giver) ?? giver;
      const from = Math.max(start, chunk * FEED_CHUNK_BYTES);
      const to = Math.min(end, (chunk + 1) * FEED_CHUNK_BYTES);
      givers.set(name, (givers.get(name) ?? 0) + to - from);
    }
    return givers;
  }
}

const chunkOf = (byte: number): number => Math.floor(byte / FEED_CHUNK_BYTES);
