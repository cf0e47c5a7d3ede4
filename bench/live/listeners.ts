/**
 * Many TSP listeners of one feed in one process: each plays it for a while and notes which frames it missed, and the last
 * of them how late they were.
 *
 *     fork ─▶ task ─▶ all play ─▶ `seconds` ─▶ report
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { encode } from '../../protocol/tsp/codec.js';
import { Framer } from '../../protocol/tsp/framing.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { monotonicMs, stampsOf } from './stamped-frames.js';

/** Over IPC, from `bench/live.ts`. */
export interface ListenersTask {
  readonly port: number;
  readonly song: SongId;
  readonly listeners: number;
  readonly seconds: number;
}

export interface ListenersReport {
  readonly frames: number;
  /** Of all listeners together. */
  readonly lost: number;
  /** Of each frame at the listeners, but for the burst. */
  readonly delaysMs: readonly number[];
}

/** The burst is late by nature, and what comes in the first moments is mixed with it. */
const SETTLED_MS = 2_000;
/** Each such a one notes its delays. */
const NOTED = 10;

process.once('message', async (task: ListenersTask) => {
  const listeners = await Promise.all(Array.from({ length: task.listeners }, (_, n) => listen(task, n)));
  setTimeout(() => {
    const report: ListenersReport = {
      frames: listeners.reduce((sum, { frames }) => sum + frames, 0),
      lost: listeners.reduce((sum, { lost }) => sum + lost, 0),
      delaysMs: listeners.flatMap(({ delaysMs }) => delaysMs),
    };
    process.send!(report, () => process.exit(0));
  }, task.seconds * 1_000);
});

async function listen({ port, song }: ListenersTask, number: number) {
  const socket = connect({ host: '127.0.0.1', port });
  await once(socket, 'connect');
  const heard = { frames: 0, lost: 0, next: undefined as number | undefined, delaysMs: [] as number[] };
  const framer = new Framer();
  const settledAt = monotonicMs() + SETTLED_MS;
  let run: Buffer[] = [];
  socket.on('data', chunk => {
    const now = monotonicMs();
    framer.push(chunk);
    for (let event = framer.next(); event !== undefined; event = framer.next()) {
      if (event.kind === 'data') run.push(Buffer.from(event.bytes));
      if (event.kind !== 'end') continue;
      const stamps = event.header.type === 'SONG_DATA' ? stampsOf(Buffer.concat(run)) : [];
      run = [];
      for (const { seq, sentAtMs } of stamps) {
        heard.frames += 1;
        heard.lost += heard.next === undefined ? 0 : seq - heard.next;
        heard.next = seq + 1;
        if (number % NOTED === 0 && now > settledAt) heard.delaysMs.push(now - sentAtMs);
      }
    }
  });
  socket.write(encode({ type: 'PLAY', song }));
  return heard;
}
