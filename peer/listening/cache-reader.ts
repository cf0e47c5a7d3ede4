/**
 * The disk cache as a one-shot command uses it: what a peer kept is read, nothing is added.
 *
 *     look(hash) ─▶ HASH.json, HASH.mp3 ─▶ get(hash) ─▶ LocalSong
 *
 * A peer may be running on the same folder, and what is in there is that peer's to order. Files appear whole, by rename,
 * and who reads a song checks it again, so reading needs no lock; one that is removed meanwhile comes from its hosts.
 */
import { readFile, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import type { Note, SongCache } from './disk-cache.js';
import type { LocalSong } from './local-song.js';

export class CacheReader implements SongCache {
  readonly #folder: string;
  readonly #songs = new Map<ContentHash, LocalSong>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Resolves when `get` knows whether the song is there. */
  async look(hash: ContentHash): Promise<void> {
    const path = join(this.#folder, `${hash}.mp3`);
    try {
      const note = JSON.parse(await readFile(this.#noteOf(hash), 'utf8')) as Note;
      const nodes = Buffer.from(note.nodes, 'base64');
      this.#songs.set(hash, { path, size: (await stat(path)).size, nodes });
    } catch {
      // It is not there, or not legible: hosts have it.
    }
  }

  get(hash: ContentHash): LocalSong | undefined {
    return this.#songs.get(hash);
  }

  /** A peer that starts later takes it for what was played last. */
  played(hash: ContentHash): void {
    const now = new Date();
    utimes(this.#noteOf(hash), now, now).catch(() => {});
  }

  keep(): void {}

  drop(hash: ContentHash): void {
    this.#songs.delete(hash);
  }

  #noteOf(hash: ContentHash): string {
    return join(this.#folder, `${hash}.json`);
  }
}
