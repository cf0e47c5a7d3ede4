/**
 * Many listeners in one process, each from an address of its own, that read as fast as the song plays and not faster: what
 * they have not read yet waits in the kernel's buffers and, once those are full, at the host.
 *
 *     RadioTask ─▶ all connect and ask at once ─▶ each tick reads 100 ms of sound ─▶ 'playing' … RadioReport at the end
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';
import { addressOf, range } from '../../../test/support/crowd.js';
import { quantile } from '../../harness.js';

/** Over IPC, from `bench/load/radio.ts`. */
export interface RadioTask {
  readonly port: number;
  readonly listeners: number;
  /** As latin1. */
  readonly request: string;
  readonly bytesPerSecond: number;
  readonly seconds: number;
}

export interface RadioReport {
  readonly bytes: number;
  /** From asking to the first byte. */
  readonly firstByteMs: { readonly p50: number; readonly p99: number; readonly worst: number };
  /** Each listener's longest time between two bytes; what it waits by itself, a tick, is in it. */
  readonly gapMs: { readonly p50: number; readonly p99: number; readonly worst: number };
  /** How many listeners were ever without a byte that should have sounded by then, a second being kept in hand. */
  readonly starved: number;
  readonly cpuSeconds: number;
}

const TICK_MS = 100;
/** A player begins when it has this much, and goes on silently for so long when nothing comes. */
const IN_HAND_MS = 1_000;

process.once('message', async (task: RadioTask) => {
  const before = process.cpuUsage();
  const listeners = await Promise.all(range(task.listeners).map(index => RadioListener.connect(task, index)));
  const began = performance.now();
  for (const listener of listeners) listener.ask();
  const end = began + task.seconds * 1_000;
  for (let now = began; now < end; now = performance.now()) {
    for (const listener of listeners) listener.tick();
    await rest(Math.max(0, now + TICK_MS - performance.now()));
  }
  for (const listener of listeners) listener.end();
  const { user, system } = process.cpuUsage(before);
  const spread = (values: readonly number[]): RadioReport['gapMs'] => ({
    p50: quantile(values, 0.5),
    p99: quantile(values, 0.99),
    worst: quantile(values, 1),
  });
  const report: RadioReport = {
    bytes: listeners.reduce((sum, { taken }) => sum + taken, 0),
    firstByteMs: spread(listeners.map(({ firstByteMs }) => firstByteMs)),
    gapMs: spread(listeners.map(({ worstGapMs }) => worstGapMs)),
    starved: listeners.filter(({ isStarved }) => isStarved).length,
    cpuSeconds: (user + system) / 1e6,
  };
  process.send!(report, () => process.disconnect());
});

class RadioListener {
  readonly #task: RadioTask;
  readonly #socket: Socket;
  #askedAt = 0;
  #lastByteAt = 0;
  firstByteMs = Number.POSITIVE_INFINITY;
  worstGapMs = 0;
  isStarved = false;
  taken = 0;

  static connect(task: RadioTask, index: number): Promise<RadioListener> {
    return new Promise((resolve, reject) => {
      const listener: RadioListener = new RadioListener(task, index, () => resolve(listener), reject);
    });
  }

  private constructor(task: RadioTask, index: number, connected: () => void, failed: (error: Error) => void) {
    this.#task = task;
    // A buffer as small as what is due at a tick, so that no more is taken from the kernel.
    const buffer = Buffer.allocUnsafeSlow((task.bytesPerSecond * TICK_MS) / 1_000);
    this.#socket = connect({
      port: task.port,
      host: '127.0.0.1',
      localAddress: addressOf(index),
      onread: { buffer, callback: length => this.#take(length) },
    });
    this.#socket.once('connect', connected).once('error', failed);
  }

  ask(): void {
    this.#askedAt = performance.now();
    this.#socket.write(Buffer.from(this.#task.request, 'latin1'));
  }

  tick(): void {
    const sinceFirst = performance.now() - this.#askedAt - this.firstByteMs;
    const soundedBytes = ((sinceFirst - IN_HAND_MS) * this.#task.bytesPerSecond) / 1_000;
    if (soundedBytes > this.taken) this.isStarved = true;
    if (this.taken < this.#due) this.#socket.resume();
  }

  end(): void {
    this.#gap(performance.now());
    this.#socket.destroy();
  }

  /** What a player has asked of its buffer by now. */
  get #due(): number {
    const elapsedMs = performance.now() - this.#askedAt;
    return ((elapsedMs + TICK_MS) * this.#task.bytesPerSecond) / 1_000;
  }

  #take(length: number): boolean {
    const now = performance.now();
    if (this.taken === 0) this.firstByteMs = now - this.#askedAt;
    else this.#gap(now);
    this.#lastByteAt = now;
    this.taken += length;
    return this.taken < this.#due;
  }

  #gap(now: number): void {
    const since = this.taken === 0 ? this.#askedAt : this.#lastByteAt;
    this.worstGapMs = Math.max(this.worstGapMs, now - since);
  }
}
