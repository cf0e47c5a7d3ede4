/** The real clock: monotonic, so that changing the time of day moves no deadline. */
import type { Clock } from '../protocol/ports.js';

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
