/**
 * What a listener of a feed hears, sewn together from hosts and from the swarm.
 *
 *     host   │ 41 42 43 44 45 │ 46 47 …          both say where in the stream a run lies: what was heard is left out
 *     swarm        43 44 │ 45 46 47 │ 48 …
 *     relay  … ? ? ? …                            says nothing: the seam is found in the bytes (RunQueue)
 */
import { RunQueue } from './run-queue.js';

/** Who says where a run lies gives a burst of three seconds. */
const PLACED_SEAM_RUNS = 16;

/** A host, or the swarm, which knows by itself who gave what. */
interface Giver {
  readonly host?: string;
}

const SWARM: Giver = {};

export class FeedSeam {
  readonly queue = new RunQueue(bytes => {
    const host = this.#giver?.host;
    if (host !== undefined) this.#count(host, bytes);
  });
  /** Where what was heard ends; undefined: nothing was, or nobody said where. */
  #next: number | undefined;
  #giver: Giver | undefined;
  #verifiedBytes = 0;
  readonly #sources = new Map<string, number>();

  get next(): number | undefined {
    return this.#next;
  }

  /** In the order in which they first helped. */
  get sources(): ReadonlyMap<string, number> {
    return this.#sources;
  }

  get verifiedBytes(): number {
    return this.#verifiedBytes;
  }

  /** Whole frames from a host. `mayJump` false: what lies between comes from elsewhere. */
  fromHost(
    connection: { readonly host: string },
    run: Uint8Array,
    at: number | undefined,
    mayJump: boolean,
  ): void {
    const isNew = this.#giver !== connection;
    const isPlaced = at !== undefined && this.#next !== undefined;
    if (!isPlaced && isNew && this.#giver !== undefined)
      this.queue.broken(at === undefined ? undefined : PLACED_SEAM_RUNS);
    if (!isPlaced) this.#next = at;
    if (at === undefined) this.#give(connection, run);
    else this.#giveFresh(connection, run, at, mayJump);
  }

  /** Whole, proven frames; `giversOf`: who gave what lies from there up to there. True: it was new. */
  fromSwarm(
    at: number,
    frames: Uint8Array,
    giversOf: (from: number, to: number) => ReadonlyMap<string, number>,
    mayJump: boolean,
  ): boolean {
    const fresh = this.#giveFresh(SWARM, frames, at, mayJump);
    if (fresh === undefined) return false;
    this.#verifiedBytes += fresh.length;
    for (const [host, bytes] of giversOf(at + frames.length - fresh.length, at + frames.length))
      this.#count(host, bytes);
    return true;
  }

  /** Gives what was not heard yet. Undefined: nothing. */
  #giveFresh(giver: Giver, bytes: Uint8Array, at: number, mayJump: boolean): Uint8Array | undefined {
    const next = this.#next ?? at;
    const end = at + bytes.length;
    if (end <= next || (at > next && !mayJump)) return undefined;
    const fresh = bytes.subarray(Math.max(0, next - at));
    this.#next = end;
    this.#give(giver, fresh);
    return fresh;
  }

  #give(giver: Giver, bytes: Uint8Array): void {
    this.#giver = giver;
    this.queue.push(bytes);
  }

  #count(host: string, bytes: number): void {
    this.#sources.set(host, (this.#sources.get(host) ?? 0) + bytes);
  }
}
