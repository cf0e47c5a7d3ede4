/** Content and hashes that tests can tell by sight. */
import type { ContentHash } from '../../protocol/tsp/rows.js';

/** As the vectors have it (TSP §4): byte *i* is *i* mod 251. */
export const content = (size: number): Buffer =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => i % 251));

/** A hash that is a number. */
export const hashOf = (n: number): ContentHash => n.toString(16).padStart(64, '0') as ContentHash;
