/**
 * A song that this machine has already, from the disk cache or the library, read as if from a host.
 *
 *     file ──1 MiB──▶ pieces of 64 KiB, each checked against its node ──▶ reader
 *
 * The rule: a disk is believed no more than a host. What does not agree with the song's hash is not handed on, and
 * the fetch goes on over the network from that piece.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { PieceHashes } from './pieces.js';

/** Bytes a read: large enough that the system calls don't count. The first is one piece, so that sound starts at once. */
const READ_BYTES = 16 * PIECE_BYTES;

export interface LocalSong {
  readonly path: string;
  readonly size: number;
  readonly nodes: Uint8Array;
}

/** The disk cache, or the library's catalogue. */
export interface LocalSongs {
  get(hash: ContentHash): LocalSong | undefined;
}

export interface LocalPiece {
  readonly index: number;
  readonly bytes: Uint8Array;
}

/** Pieces from `firstPiece` on, in order. Throws when the file can't be read, or is not the song any more. */
export async function* readLocalSong(
  hash: ContentHash,
  song: LocalSong,
  firstPiece: number,
): AsyncGenerator<LocalPiece, void, undefined> {
  const hashes = PieceHashes.prove(song.nodes, hash);
  if (hashes?.allowsSize(song.size) !== true) throw new Error('what was noted of the file is not the song');
  const file = await open(song.path, 'r');
  try {
    let readBytes = PIECE_BYTES;
    for (let index = firstPiece; index < hashes.count; readBytes = READ_BYTES) {
      const bytes = await readFully(
        file,
        index * PIECE_BYTES,
        Math.min(readBytes, song.size - index * PIECE_BYTES),
      );
      for (let at = 0; at < bytes.length; at += PIECE_BYTES, index += 1) {
        const piece = bytes.subarray(at, at + PIECE_BYTES);
        if (!hashes.proves(index, piece)) throw new Error(`piece ${index} of the file is not the song's`);
        yield { index, bytes: piece };
      }
    }
  } finally {
    await file.close();
  }
}

/** The machine has no descriptor or memory left for the moment, which tells nothing of the file. */
export const isNoRoom = (error: unknown): boolean =>
  ['EMFILE', 'ENFILE', 'ENOMEM'].includes((error as NodeJS.ErrnoException).code ?? '');

/** Rejects when the file is too short. */
export async function readFully(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw new Error('the file is shorter than the song');
    filled += bytesRead;
  }
  return bytes;
}
