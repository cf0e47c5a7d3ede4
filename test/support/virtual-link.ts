/**
 * What a bad link does to datagrams: it loses, doubles, delays, spoils and cuts them.
 *
 *     for (const { delayMs, datagram } of carried(link, chance, sent)) …          nothing, one, or two of them
 */
import type { Chance } from '../simulation/chance.js';

export interface Link {
  /** Probabilities of being lost, sent twice, changed in one bit, and cut short. */
  readonly loss?: number;
  readonly doubles?: number;
  readonly spoils?: number;
  readonly cuts?: number;
  readonly delayMs?: number;
  /** Up to so much more, so that datagrams overtake one another. */
  readonly reorderMs?: number;
}

/** What of it arrives, and after how long: copies. */
export function* carried(
  { loss = 0, doubles = 0, spoils = 0, cuts = 0, delayMs = 20, reorderMs = 0 }: Link,
  chance: Chance,
  sent: Uint8Array,
): Iterable<{ readonly delayMs: number; readonly datagram: Uint8Array }> {
  for (let copies = chance.is(doubles) ? 2 : 1; copies > 0; copies -= 1) {
    if (chance.is(loss)) continue;
    const datagram = Uint8Array.from(sent);
    if (chance.is(spoils)) datagram[chance.int(0, datagram.length - 1)]! ^= 1 << chance.int(0, 7);
    const length = chance.is(cuts) ? chance.int(0, datagram.length) : datagram.length;
    yield { delayMs: delayMs + chance.unit() * reorderMs, datagram: datagram.subarray(0, length) };
  }
}
