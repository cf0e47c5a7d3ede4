/**
 * Loaded into a measured process before its program: tells over IPC what it holds and how late its event loop was.
 *
 *     node --expose-gc --import build/bench/probed/probe.js build/src/bin/tsp-tracker.js …     {collect} in ─▶ Told out
 *
 * Only in the process that was started so, not in its workers or in the programs that it starts: the variable goes.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

export const PROBE_VARIABLE = 'TORERO_PROBE';
/** The histogram tells when its timer came; what is late is what is past this. */
const RESOLUTION_MS = 1;
const NS_PER_MS = 1e6;

export interface Asked {
  /** First let go of all that is not reachable. */
  readonly collect: boolean;
}

export interface Told {
  /** Bytes on V8's heap and outside it. */
  readonly liveBytes: number;
  readonly residentBytes: number;
  /** The most that were resident ever. */
  readonly peakBytes: number;
  /** User and system. */
  readonly cpuSeconds: number;
  /** How late the event loop was, since it was asked last. */
  readonly lateMs: { readonly p99: number; readonly max: number };
}

if (isMainThread && process.env[PROBE_VARIABLE] !== undefined) {
  delete process.env[PROBE_VARIABLE];
  const loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  loop.enable();
  const late = (ns: number): number => Math.max(0, ns / NS_PER_MS - RESOLUTION_MS);
  process.on('message', async ({ collect }: Asked) => {
    const lateMs = { p99: late(loop.percentile(99)), max: late(loop.max) };
    // What a finaliser lets go of is only free after the next collection.
    for (let times = 0; collect && times < 3; times += 1) {
      globalThis.gc?.();
      await new Promise(resolve => setImmediate(resolve));
    }
    const { heapUsed, external, rss } = process.memoryUsage();
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    const told: Told = {
      liveBytes: heapUsed + external,
      residentBytes: rss,
      peakBytes: maxRSS * 1024,
      cpuSeconds: (userCPUTime + systemCPUTime) / 1e6,
      lateMs,
    };
    process.send?.(told);
    loop.reset();
  });
  process.channel?.unref();
}
