/**
 * Bin numbers (RFC 7574 §4.2): the nodes of a binary tree, numbered as they stand from left to right.
 *
 *          3              layer 2          chunk c is bin 2c
 *      1       5          layer 1          layer l, offset o: (o << l+1) + (1 << l) − 1
 *    0   2   4   6        layer 0
 *
 * A bin is a number up to 2^53 − 1. JavaScript's shifts end at 32 bits, so powers come from a table, and only where a bin
 * is known to be small are its bits looked at as such.
 */
import { LAST_CHUNK } from './constants.js';
import type { ChunkRange } from './messages.js';

/** 2 ** n, without the cost of computing it: a chunk's proof asks for dozens. */
const POWER = Float64Array.from({ length: 64 }, (_, n) => 2 ** n);

export const binAt = (layer: number, offset: number): number =>
  offset * POWER[layer + 1]! + (POWER[layer]! - 1);

/** 0 for a chunk: how many ones the number ends in. */
export function layerOf(bin: number): number {
  if (bin < 0x7fff_ffff) return 31 - Math.clz32(~bin & (bin + 1));
  let layer = 0;
  for (let left = bin; left % 2 === 1; left = Math.floor(left / 2)) layer += 1;
  return layer;
}

export const offsetOf = (bin: number): number => Math.floor(bin / POWER[layerOf(bin) + 1]!);

export const parentOf = (bin: number): number => {
  const layer = layerOf(bin);
  return binAt(layer + 1, Math.floor(offsetOf(bin) / 2));
};

/** The other child of its parent. */
export const siblingOf = (bin: number): number => {
  const offset = offsetOf(bin);
  return binAt(layerOf(bin), offset % 2 === 0 ? offset + 1 : offset - 1);
};

/** The chunks below it. */
export function rangeOf(bin: number): ChunkRange {
  const layer = layerOf(bin);
  const width = POWER[layer]!;
  const start = Math.floor(bin / POWER[layer + 1]!) * width;
  return { start, end: start + width - 1 };
}

/** The bin whose chunks these are; undefined when there is no such bin. */
export function binOf({ start, end }: ChunkRange): number | undefined {
  const width = end - start + 1;
  const layer = width <= 0x7fff_ffff ? 31 - Math.clz32(width) : Math.round(Math.log2(width));
  if (POWER[layer] !== width || start % width !== 0) return undefined;
  return binAt(layer, start / width);
}

/** The layer of the largest bin that begins at a chunk and has no more than `count`, which is small. */
export function layerOfRun(start: number, count: number): number {
  let layer = 0;
  while (start % POWER[layer + 1]! === 0 && POWER[layer + 1]! <= count) layer += 1;
  return layer;
}

/** The fewest bins that make up a range, from left to right: at most two a layer. */
export function binsOf({ start, end }: ChunkRange): number[] {
  const bins: number[] = [];
  for (let at = start; at <= end; ) {
    let layer = 0;
    while (at % 2 ** (layer + 1) === 0 && at + 2 ** (layer + 1) - 1 <= Math.min(end, LAST_CHUNK)) layer += 1;
    bins.push(binAt(layer, at / 2 ** layer));
    at += 2 ** layer;
  }
  return bins;
}

/** The peaks of a content of so many chunks (RFC 7574 §5.6.1): one for each 1 in the number, the largest first. */
export const peaksOf = (chunks: number): number[] =>
  chunks === 0 ? [] : binsOf({ start: 0, end: chunks - 1 });

/**
 * The uncles of a chunk up to `top`, which is left out, by descending height (RFC 7574 §5.3): the siblings of every
 * node on the way. With `known`, without those that the reader has: it has verified a chunk under their parent, so it has
 * all that is above too. `from`: the layer of the node over `chunk` and those after it whose uncles they are.
 */
export function unclesOf(
  chunk: number,
  top: number,
  known: (range: ChunkRange) => boolean = () => false,
  from = 0,
): number[] {
  const uncles: number[] = [];
  const height = layerOf(top);
  let offset = chunk / POWER[from]!;
  for (let layer = from; layer < height; layer += 1) {
    const sibling = offset % 2 === 0 ? offset + 1 : offset - 1;
    offset = Math.floor(offset / 2);
    const width = POWER[layer + 1]!;
    if (known({ start: offset * width, end: (offset + 1) * width - 1 })) break;
    uncles.push(binAt(layer, sibling));
  }
  return uncles.reverse();
}
