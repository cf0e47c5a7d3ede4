/** The ways in which the same bytes can arrive: whole, byte by byte, cut at random places. */
import { randomNumbers } from './crowd.js';

/** Deterministic: the same seed, the same cuts. */
export function* arrivals(bytes: Uint8Array, seeds = 4): Generator<Uint8Array[]> {
  yield [bytes];
  yield byteByByte(bytes);
  for (let seed = 1; seed <= seeds; seed += 1) yield cutAtRandom(bytes, seed);
}

export const byteByByte = (bytes: Uint8Array): Uint8Array[] =>
  Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));

function cutAtRandom(bytes: Uint8Array, seed: number): Uint8Array[] {
  const random = randomNumbers(seed);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + (random() % (random() % 2 === 0 ? 5 : 700));
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
