/** What a library is made of: folders, time, a log, and where it keeps what it knows. */
import type { watch } from 'node:fs';
import type { Clock, Logger, OpenDisk } from '../../protocol/ports.js';
import type { Encoder } from './encode.js';
import type { LibraryStore } from './store.js';

export interface LibraryOptions {
  readonly roots: readonly string[];
  readonly openDisk: OpenDisk;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where what is known is kept in lmdb, and encoded songs; absent: `store`, or memory. */
  readonly dataDir?: string;
  readonly store?: LibraryStore;
  /** Threads that hash; default: the cores, at most 4. */
  readonly workers?: number;
  /** Between two scans of everything; default 5 minutes. */
  readonly rescanMs?: number;
  /** Offer WAV and AIFF as MP3; needs `dataDir`. */
  readonly encode?: boolean;
  /** What encodes; default: node-lame. */
  readonly encoder?: Encoder;
  /** What watches folders; default: fs.watch. */
  readonly watch?: typeof watch;
}
