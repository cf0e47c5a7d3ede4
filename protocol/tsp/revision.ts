/**
 * List revisions (TSP §3.1): one coalesced batch of changes is one revision.
 *
 * They go round modulo 2³² and skip 0, which stands for «no list yet»; comparison is by the shorter way round.
 */
import { U32_MAX } from '../bytes.js';

export const nextRevision = (revision: number): number => (revision === U32_MAX ? 1 : revision + 1);

/** True when `a` comes after `b`. */
export const isNewer = (a: number, b: number): boolean => a !== b && (a - b) >>> 0 < 0x8000_0000;
