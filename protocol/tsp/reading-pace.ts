/**
 * How long a sender may take to say a message (TSP §2.2), against those who drip or fall silent in the middle of one.
 *
 * | what is being read         | must be whole within                                        |
 * |----------------------------|-------------------------------------------------------------|
 * | the first header           | 5 s of the connection, however its bytes come               |
 * | a later header             | 5 s of its first byte                                       |
 * | a payload that is held     | 5 s and a second for each 8 KiB, at most 30 s               |
 * | a payload read as it comes | no end, but 8 KiB (or what is left) in each 5 s             |
 *
 * Between messages there is no deadline here; silence is the sessions' affair.
 */
import { RemoteProtocolError } from '../errors.js';
import type { Milliseconds } from '../ports.js';
import {
  HEADER_DEADLINE_MS,
  PAYLOAD_BASE_MS,
  PAYLOAD_BYTES_PER_SECOND,
  PAYLOAD_LONGEST_MS,
  STREAM_WINDOW_BYTES,
  STREAM_WINDOW_MS,
} from './constants.js';
import type { Framer, FramerState } from './framing.js';

export class ReadingPace {
  #deadline: Milliseconds | undefined;
  #state: FramerState = 'idle';
  #message = 0;
  #owedAtWindowStart = 0;

  /** `now` is when the connection was accepted. */
  constructor(now: Milliseconds) {
    this.#deadline = now + HEADER_DEADLINE_MS;
  }

  /** Looks at how far the framer has come. To be called when the events of a chunk have been read. */
  received(framer: Framer, now: Milliseconds): void {
    // The first header keeps the deadline that began with the connection.
    if (!framer.hasGreeted) return;
    const moved = framer.state !== this.#state || framer.messages !== this.#message;
    const windowFilled =
      framer.state === 'stream' && this.#owedAtWindowStart - framer.owedBytes >= STREAM_WINDOW_BYTES;
    if (!moved && !windowFilled) return;
    this.#state = framer.state;
    this.#message = framer.messages;
    this.#owedAtWindowStart = framer.owedBytes;
    this.#deadline = deadlineIn(framer, now);
  }

  nextDeadline(): Milliseconds | undefined {
    return this.#deadline;
  }

  /** What to end the connection with, once the deadline has passed. */
  expired(now: Milliseconds): RemoteProtocolError | undefined {
    if (this.#deadline === undefined || now < this.#deadline) return undefined;
    return new RemoteProtocolError('too-slow', 'the message did not come in time');
  }
}

function deadlineIn(framer: Framer, now: Milliseconds): Milliseconds | undefined {
  switch (framer.state) {
    case 'idle':
      return undefined;
    case 'header':
      return now + HEADER_DEADLINE_MS;
    case 'payload':
      return (
        now +
        Math.min(PAYLOAD_LONGEST_MS, PAYLOAD_BASE_MS + (framer.owedBytes * 1_000) / PAYLOAD_BYTES_PER_SECOND)
      );
    case 'stream':
      return now + STREAM_WINDOW_MS;
  }
}
