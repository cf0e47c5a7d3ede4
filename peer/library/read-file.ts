/**
 * Everything that is wanted of a file from one pass over its bytes: hash tree, frames, tags.
 *
 *     open safely ──▶ read 1 MiB ──▶ hash it, count its frames      while the next 1 MiB is read
 *                         └ of the first: tags                      └ at the end: is it still the same file?
 *
 * Runs in a worker thread (hashing-worker.ts). A file that is no MP3 is left after its first block; of WAV and
 * AIFF the tags may be wanted (pcm-tags.ts).
 */
import type { FileHandle } from 'node:fs/promises';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree } from '../../protocol/merkle.js';
import { PIECE_LEVEL } from '../../protocol/tsp/constants.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { type FileReading, type Fingerprint, isSameFile, MAX_FILE_BYTES } from './file-facts.js';
import { MpegScan } from './mpeg-scan.js';
import { fingerprintOf, openFile } from './open-file.js';
import { readPcmTags } from './pcm-tags.js';
import { readTags, type SongTags, TAG_HEAD_BYTES, TAG_TAIL_BYTES } from './tags.js';

/** Where a reading stands; whoever waits for it knows from this how long the silence may last. */
export type ReadingNote = { readonly stage: 'tags' } | { readonly stage: 'bytes'; readonly bytes: number };

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

/** Two blocks are reused for every file, so one FileReader reads one file at a time. */
export class FileReader {
  readonly #blocks = [Buffer.allocUnsafeSlow(BLOCK_BYTES), Buffer.allocUnsafeSlow(BLOCK_BYTES)] as const;

  async read(path: string, options: ReadFileOptions): Promise<FileReading> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const file = await openFile(path);
      if (file.kind !== 'opened') return file;
      try {
        const reading = await this.#readOpened(file.handle, file.fingerprint, options);
        const after = fingerprintOf(await file.handle.stat({ bigint: true }));
        if (isSameFile(file.fingerprint, after)) return reading;
      } catch {
        return { kind: 'refused', reason: 'unreadable', passing: true };
      } finally {
        await file.handle.close();
      }
    }
    return { kind: 'changing' };
  }

  async #readOpened(
    file: FileHandle,
    fingerprint: Fingerprint,
    options: ReadFileOptions,
  ): Promise<FileReading> {
    const { size } = fingerprint;
    if (size === 0) return { kind: 'read', fingerprint, content: { kind: 'skipped', reason: 'empty' } };
    if (size > MAX_FILE_BYTES)
      return { kind: 'read', fingerprint, content: { kind: 'skipped', reason: 'too-large' } };
    const tree = new MerkleTree();
    const scan = new MpegScan();
    let tags: SongTags = {};
    let isPcm = false;
    let arriving = this.#fill(file, 0, 0);
    for (let at = 0, blocks = 0; at < size; blocks += 1) {
      const block = await arriving;
      if (block.length === 0) break;
      const isFirst = at === 0;
      at += block.length;
      if (at < size) {
        arriving = this.#fill(file, blocks + 1, at);
        // It may fail while this block is worked on; whoever awaits it next hears of it.
        arriving.catch(() => {});
      }
      if (isFirst) isPcm = isPcmHead(block);
      scan.push(block);
      if (scan.refused) {
        if (at < size) await arriving;
        break;
      }
      if (isFirst && options.tags) {
        options.note({ stage: 'tags' });
        const tagging = readTags(block, await tailOf(file, size));
        tree.update(block);
        tags = await tagging;
        options.note({ stage: 'bytes', bytes: at });
      } else {
        tree.update(block);
      }
      if (blocks % NOTE_EVERY_BLOCKS === NOTE_EVERY_BLOCKS - 1) options.note({ stage: 'bytes', bytes: at });
    }
    const audio = scan.end();
    if (typeof audio === 'string') {
      const skipped = { kind: 'skipped', reason: isPcm ? 'pcm' : audio } as const;
      if (!isPcm || !options.tags || options.pcmTags !== true)
        return { kind: 'read', fingerprint, content: skipped };
      const parsing = () => options.note({ stage: 'tags' });
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

  async #fill(file: FileHandle, turn: number, at: number): Promise<Buffer> {
    const block = this.#blocks[turn % 2 === 0 ? 0 : 1];
    const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, at);
    return block.subarray(0, bytesRead);
  }
}

async function tailOf(file: FileHandle, size: number): Promise<Uint8Array> {
  const tail = Buffer.alloc(Math.min(TAG_TAIL_BYTES, size));
  await file.read(tail, 0, tail.length, size - tail.length);
  return tail;
}

/** RIFF … WAVE, FORM … AIFF or AIFC. */
function isPcmHead(head: Buffer): boolean {
  const [form, kind] = [head.toString('latin1', 0, 4), head.toString('latin1', 8, 12)];
  return (form === 'RIFF' && kind === 'WAVE') || (form === 'FORM' && (kind === 'AIFF' || kind === 'AIFC'));
}
