/**
 * The disk cache as a one-shot command uses it: what a peer kept is read, nothing is added.
 *
 *     look(hash) ─▶ HASH.json, HASH.mp3 ─▶ get(hash) ─▶ LocalSong
 *                   └─▶ HASH.part, HASH.map ─▶ partly(hash) ─▶ KeptPieces
 *
 * A peer may be running on the same folder, and what is in there is that peer's to order. Files appear whole, by rename,
 * and who reads a song checks it again, so reading needs no lock; one that is removed meanwhile comes from its hosts.
 */
import { stat, utimes } from 'node:fs/promises';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { CacheFiles } from './cache-files.js';
import type { SongCache } from './disk-cache.js';
import type { LocalSong } from './local-song.js';
import { type KeptPieces, PartialSong } from './partial-song.js';

export class CacheReader implements SongCache {
  readonly #folder: string;
  readonly #songs = new Map<ContentHash, LocalSong>();
  readonly #partly = new Map<ContentHash, KeptPieces>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when `get` and `partly` know whether the song is there. */
  async look(hash: ContentHash): Promise<void> {
    const files = new CacheFiles(this.#folder, hash);
    const path = files.path('mp3');
    try {
      const { nodes } = await files.readNote();
      this.#songs.set(hash, { path, size: (await stat(path)).size, nodes });
    } catch {
      // It is not there, or not legible: hosts have it.
      const partial = await PartialSong.resume(files);
      if (partial !== undefined) this.#partly.set(hash, partial);
    }
  }

  get(hash: ContentHash): LocalSong | undefined {
    return this.#songs.get(hash);
  }

  partly(hash: ContentHash): KeptPieces | undefined {
    return this.#partly.get(hash);
  }

  /** A peer that starts later takes it for what was played last. */
  played(hash: ContentHash): void {
    const now = new Date();
    utimes(new CacheFiles(this.#folder, hash).path('json'), now, now).catch(() => {});
  }

  keep(): void {}

  drop(hash: ContentHash): void {
    this.#songs.delete(hash);
  }
}
