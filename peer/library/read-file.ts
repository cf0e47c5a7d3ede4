/**
 * Everything that is wanted of a file from one pass over its bytes: hash tree, frames, tags.
 *
 *     open safely ──▶ read 1 MiB ──▶ hash it, count its frames ──▶ read 1 MiB … ──▶ is it still the same file?
 *                         └ of the first: tags
 *
 * Runs in a worker thread (hashing-worker.ts), hence the synchronous calls: with promises a small file takes twice the
 * time, and a share that hangs keeps the threads that all of the process reads with. A file that is no MP3 is left after
 * its first block; of WAV and AIFF the tags may be wanted (pcm-tags.ts).
 */
import { closeSync, fstatSync, readSync } from 'node:fs';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree } from '../../protocol/merkle.js';
import { NO_SONG_BYTES, PIECE_LEVEL } from '../../protocol/tsp/constants.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { END_BYTES, endTagBytes } from '../mpeg/end-tags.js';
import { type FileReading, type Fingerprint, isSameFile, MAX_FILE_BYTES } from './file-facts.js';
import { MpegScan } from './mpeg-scan.js';
import { fingerprintOf, openFileSync } from './open-file.js';
import { readPcmTags } from './pcm-tags.js';
import { readTags, type SongTags, TAG_HEAD_BYTES, TAG_TAIL_BYTES } from './tags.js';

/** Where a reading stands; whoever waits for it knows from this how long the silence may last. */
export type ReadingNote = 'tags' | 'bytes';

export interface ReadFileOptions {
  /** False: the tags of this file were tried and hung. */
  readonly tags: boolean;
  /** Those of a WAV or AIFF file too: it is about to be encoded. */
  readonly pcmTags?: boolean | undefined;
  readonly note: (note: ReadingNote) => void;
}

const BLOCK_BYTES = TAG_HEAD_BYTES;
const NOTE_EVERY_BLOCKS = 8;
/** A file that changes more often than that while it is read is left until it is quiet. */
const ATTEMPTS = 3;

/** One block is reused for every file, so one FileReader reads one file at a time. */
export class FileReader {
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);

  async read(path: string, options: ReadFileOptions): Promise<FileReading> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const file = openFileSync(path);
      if (file.kind !== 'opened') return file;
      try {
        const reading = await this.#readOpened(file.handle, file.fingerprint, options);
        const after = fingerprintOf(fstatSync(file.handle, { bigint: true }));
        if (isSameFile(file.fingerprint, after)) return reading;
      } catch {
        return { kind: 'refused', reason: 'unreadable', passing: true };
      } finally {
        closeSync(file.handle);
      }
    }
    return { kind: 'changing' };
  }

  async #readOpened(file: number, fingerprint: Fingerprint, options: ReadFileOptions): Promise<FileReading> {
    const { size } = fingerprint;
    if (size === 0) return { kind: 'read', fingerprint, content: { kind: 'skipped', reason: 'empty' } };
    if (size > MAX_FILE_BYTES)
      return { kind: 'read', fingerprint, content: { kind: 'skipped', reason: 'too-large' } };
    const tree = new MerkleTree();
    const scan = new MpegScan();
    let tags: SongTags = {};
    let isPcm = false;
    for (let at = 0, blocks = 0; at < size; blocks += 1) {
      const block = this.#block.subarray(0, readSync(file, this.#block, 0, BLOCK_BYTES, at));
      if (block.length === 0) break;
      const isFirst = at === 0;
      at += block.length;
      if (isFirst) isPcm = isPcmHead(block);
      scan.push(block);
      if (scan.refused) break;
      if (isFirst && options.tags) {
        options.note('tags');
        const tagging = readTags(block, tailOf(file, size));
        tree.update(block);
        tags = await tagging;
        options.note('bytes');
      } else {
        tree.update(block);
      }
      if (blocks % NOTE_EVERY_BLOCKS === NOTE_EVERY_BLOCKS - 1) options.note('bytes');
    }
    const audio = size === NO_SONG_BYTES ? 'truncated' : scan.end();
    if (typeof audio === 'string') {
      const skipped = { kind: 'skipped', reason: isPcm ? 'pcm' : audio } as const;
      if (!isPcm || !options.tags || options.pcmTags !== true)
        return { kind: 'read', fingerprint, content: skipped };
      const parsing = () => options.note('tags');
      return { kind: 'read', fingerprint, content: skipped, tags: await readPcmTags(file, size, parsing) };
    }
    const digest = tree.digest();
    const fields = { ...tags, size, ...audio };
    const hash = toHex(digest.root) as ContentHash;
    return {
      kind: 'read',
      fingerprint,
      content: { kind: 'song', hash, fields },
      nodes: digest.nodes(PIECE_LEVEL),
    };
  }
}

/** The tags at the file's end. */
function tailOf(file: number, size: number): Uint8Array {
  const limit = Math.min(TAG_TAIL_BYTES, size);
  return lastBytes(file, size, endTagBytes(lastBytes(file, size, END_BYTES), limit));
}

function lastBytes(file: number, size: number, count: number): Uint8Array {
  const bytes = Buffer.alloc(Math.min(count, size));
  readSync(file, bytes, 0, bytes.length, size - bytes.length);
  return bytes;
}

/** RIFF … WAVE, FORM … AIFF or AIFC. */
function isPcmHead(head: Buffer): boolean {
  const [form, kind] = [head.toString('latin1', 0, 4), head.toString('latin1', 8, 12)];
  return (form === 'RIFF' && kind === 'WAVE') || (form === 'FORM' && (kind === 'AIFF' || kind === 'AIFC'));
}
