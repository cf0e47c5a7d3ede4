/**
 * How far ahead of its clock a player is sent a song: as far as it said that it buffers, and far enough to begin.
 *
 *     start ─▶ │▓▓▓▓▓▓▓▓▓▓▓▓│          sent
 *              │▓▓▓▓│·······│          played, as far as time tells: `lead` lies between
 *
 * ffmpeg asks for 3 s and then looks at 5 s before it makes a sound, so nobody gets less than six. rtmpdump asks for ten
 * hours: it gets the song as fast as its connection takes it. Pure.
 */
import type { Milliseconds } from '../../protocol/ports.js';

export const LEAST_LEAD_MS = 6_000;

export class PlayPace {
  #leadMs = LEAST_LEAD_MS;
  /** When `startMs` of the song began to play, pauses left out. */
  #begunAt: Milliseconds;
  readonly #startMs: number;
  #pausedAt: Milliseconds | undefined;

  constructor(startMs: number, now: Milliseconds) {
    this.#startMs = startMs;
    this.#begunAt = now;
  }

  /** What the player says that it buffers. */
  buffer(ms: number): void {
    this.#leadMs = Math.max(LEAST_LEAD_MS, ms);
  }

  pause(now: Milliseconds): void {
    this.#pausedAt ??= now;
  }

  resume(now: Milliseconds): void {
    if (this.#pausedAt !== undefined) this.#begunAt += now - this.#pausedAt;
    this.#pausedAt = undefined;
  }

  /** When what begins at `ms` of the song may be sent; undefined while it is paused. */
  dueAt(ms: number): Milliseconds | undefined {
    return this.#pausedAt === undefined ? this.#begunAt + ms - this.#startMs - this.#leadMs : undefined;
  }
}
