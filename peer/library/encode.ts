/**
 * Makes an MP3 of a WAV or AIFF file with node-lame: its bundled lame, or the one on PATH.
 *
 * Both are optional on a machine. What is missing is said as a sentence, with the line that mends it, and never thrown.
 */
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { isRunnable } from '../programs.js';
import { openFile } from './open-file.js';

export interface Encoder {
  /** Undefined when it can encode; else why not, with what mends it. */
  missing(): Promise<string | undefined>;
  /** Writes `target`. Rejects when the source cannot be encoded, or when `signal` is aborted. */
  encode(source: string, target: string, signal: AbortSignal): Promise<void>;
}

/** Constant, so that a listener can seek by arithmetic; transparent enough for what somebody kept as WAV. */
const KBIT_PER_SECOND = 192;

/** The real encoder: node-lame's stream, fed from a descriptor, so that stopping it stops lame. */
export class LameEncoder implements Encoder {
  async missing(): Promise<string | undefined> {
    const lame = await import('node-lame').catch(() => undefined);
    if (lame === undefined) return 'node-lame is not installed (npm install node-lame)';
    const binary = lame.resolveLameBinary();
    return (await isRunnable(binary))
      ? undefined
      : 'lame is not installed (apt-get install lame, or brew install lame)';
  }

  async encode(source: string, target: string, signal: AbortSignal): Promise<void> {
    const { LameStream } = await import('node-lame');
    const file = await openFile(source);
    if (file.kind !== 'opened') throw new Error(`the source is ${file.kind}`);
    const lame = new LameStream({ mode: 'encode', bitrate: KBIT_PER_SECOND, quiet: true });
    await pipeline(file.handle.createReadStream(), lame, createWriteStream(target), { signal });
  }
}
