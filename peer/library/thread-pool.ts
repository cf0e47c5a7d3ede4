/**
 * Worker threads that do one job at a time and are watched while they do it.
 *
 *     run(job) ──▶ queue ──▶ thread: job ─▶ note, note, … ─▶ result
 *                               └ silent too long, or dead: ended, replaced, and the job fails with ThreadLost
 *
 * A parser that hangs blocks only its thread, and only until the deadline; it cannot be asked to stop, so it is
 * terminated. Threads are started when there is work and ended after a while without. When the system has no room for
 * another one (descriptors, memory), those that there are do the work.
 */
import { Worker } from 'node:worker_threads';
import type { Clock, Logger } from '../../protocol/ports.js';

/** What a thread posts: notes while it works, then one result. */
export type ThreadMessage<Note, Result> = { readonly note: Note } | { readonly result: Result };

export class ThreadLost extends Error {
  override readonly name = 'ThreadLost';
  constructor(readonly why: 'silent' | 'crashed' | 'cancelled') {
    super(`the thread was ${why}`);
  }
}

export interface ThreadPoolOptions<Note> {
  /** An ES module that answers each message (a job) with ThreadMessages. */
  readonly script: URL;
  readonly threads: number;
  readonly clock: Clock;
  /** Told why a thread died: the fault may be its own, not the file's. */
  readonly logger: Logger;
  /** How long a thread may say nothing after this note; undefined: after it got the job. */
  readonly patienceMs: (note: Note | undefined) => number;
}

interface Task<Job, Note, Result> {
  readonly job: Job;
  readonly onNote: ((note: Note) => void) | undefined;
  readonly resolve: (result: Result) => void;
  readonly reject: (why: ThreadLost) => void;
}

interface Thread<Job, Note, Result> {
  readonly worker: Worker;
  /** It has said something: it has its code and its memory. */
  hasSpoken: boolean;
  task: Task<Job, Note, Result> | undefined;
  /** Of its task's deadline, or of its idleness. */
  cancelTimer: () => void;
}

/** One file of 128 MB of JavaScript heap is a bomb, not a song (blocks of bytes are outside of it). */
const HEAP_MB = 128;
/** Hardly anything outlives its file, and V8 would let 32 MB a thread pile up before it looks. */
const YOUNG_HEAP_MB = 4;
/** Long enough to bridge the pauses of somebody who copies an album file by file. */
const IDLE_MS = 5_000;
/** Threads in a row that ended before they said a word, each after a rest; then it is not for want of room. */
const MAX_STILLBORN = 6;
const REST_MS = 300;

export class ThreadPool<Job, Note, Result> {
  readonly #options: ThreadPoolOptions<Note>;
  readonly #threads = new Set<Thread<Job, Note, Result>>();
  readonly #ending = new Set<Promise<unknown>>();
  readonly #queue: Task<Job, Note, Result>[] = [];
  #limit: number;
  #stillborn = 0;
  #cancelRest: (() => void) | undefined;
  #stopped = false;

  constructor(options: ThreadPoolOptions<Note>) {
    this.#options = options;
    this.#limit = options.threads;
  }

  /** `urgent` jobs come before those that wait. Rejects with ThreadLost only. */
  run(
    job: Job,
    options: { readonly urgent?: boolean; readonly onNote?: (note: Note) => void } = {},
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const task = { job, onNote: options.onNote, resolve, reject };
      if (this.#stopped) return reject(new ThreadLost('cancelled'));
      if (options.urgent === true) this.#queue.unshift(task);
      else this.#queue.push(task);
      this.#assign();
    });
  }

  /** Gives up what waits and what runs, each failing as `cancelled`. Resolves when every thread has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRest?.();
    for (const task of this.#queue.splice(0)) task.reject(new ThreadLost('cancelled'));
    for (const thread of [...this.#threads]) this.#lose(thread, 'cancelled');
    await Promise.all(this.#ending);
  }

  #assign(): void {
    while (this.#queue.length > 0) {
      const idle = [...this.#threads].find(thread => thread.task === undefined);
      if (idle === undefined && (this.#threads.size >= this.#limit || this.#cancelRest !== undefined)) return;
      this.#give(idle ?? this.#begin(), this.#queue.shift()!);
    }
  }

  #begin(): Thread<Job, Note, Result> {
    const worker = new Worker(this.#options.script, {
      // What the process was started with (loaders, profilers) would only slow a thread down.
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: YOUNG_HEAP_MB },
    });
    const thread: Thread<Job, Note, Result> = {
      worker,
      hasSpoken: false,
      task: undefined,
      cancelTimer: () => {},
    };
    worker.on('message', (message: ThreadMessage<Note, Result>) => this.#hear(thread, message));
    worker.on('error', error => {
      this.#options.logger.debug({ err: error }, 'a thread of the library died');
      this.#lose(thread, 'crashed');
    });
    worker.on('exit', () => this.#lose(thread, 'crashed'));
    this.#threads.add(thread);
    return thread;
  }

  #give(thread: Thread<Job, Note, Result>, task: Task<Job, Note, Result>): void {
    thread.task = task;
    this.#expect(thread, undefined);
    thread.worker.postMessage(task.job);
  }

  #hear(thread: Thread<Job, Note, Result>, message: ThreadMessage<Note, Result>): void {
    const { task } = thread;
    // What a thread said just before it was given up.
    if (task === undefined || !this.#threads.has(thread)) return;
    thread.hasSpoken = true;
    this.#stillborn = 0;
    if ('note' in message) {
      this.#expect(thread, message.note);
      task.onNote?.(message.note);
      return;
    }
    thread.cancelTimer();
    thread.task = undefined;
    this.#assign();
    if (thread.task === undefined)
      thread.cancelTimer = this.#options.clock.after(IDLE_MS, () => this.#end(thread));
    task.resolve(message.result);
  }

  #expect(thread: Thread<Job, Note, Result>, note: Note | undefined): void {
    thread.cancelTimer();
    const { clock, patienceMs } = this.#options;
    thread.cancelTimer = clock.after(patienceMs(note), () => this.#lose(thread, 'silent'));
  }

  #lose(thread: Thread<Job, Note, Result>, why: ThreadLost['why']): void {
    if (!this.#threads.has(thread)) return;
    this.#end(thread);
    if (why === 'crashed' && !thread.hasSpoken && thread.task !== undefined && this.#mayRest()) {
      this.#limit = Math.max(1, this.#threads.size);
      this.#queue.unshift(thread.task);
    } else {
      thread.task?.reject(new ThreadLost(why));
    }
    thread.task = undefined;
    this.#assign();
  }

  /** Where one has room, several that begin at once may have none, nor one while the whole process begins. */
  #mayRest(): boolean {
    this.#stillborn += 1;
    if (this.#stillborn > MAX_STILLBORN || this.#stopped) return false;
    this.#cancelRest ??= this.#options.clock.after(REST_MS, () => {
      this.#cancelRest = undefined;
      this.#assign();
    });
    return true;
  }

  #end(thread: Thread<Job, Note, Result>): void {
    thread.cancelTimer();
    this.#threads.delete(thread);
    if (this.#threads.size === 0 && thread.hasSpoken) this.#limit = this.#options.threads;
    const ended = thread.worker.terminate().finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }
}
