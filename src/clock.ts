/**
 * The real clock: monotonic, so that changing the time of day moves no deadline.
 *
 *     timer is due ──▶ what has arrived is read ──▶ callback
 *
 * A process that was stopped, or had no processor, finds its timers due and its sockets full: nobody was silent whose
 * bytes lie there already, so these are heard first.
 */
import type { Clock } from '../protocol/ports.js';

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    let heard: NodeJS.Immediate | undefined;
    const due = setTimeout(() => {
      heard = setImmediate(callback);
    }, delayMs);
    return () => {
      clearTimeout(due);
      clearImmediate(heard);
    };
  },
};
