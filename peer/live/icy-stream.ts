/**
 * Frames as players of Internet radio want them; with the titles between the music, if they ask for that. Pure.
 *
 *     │ 16,000 bytes of music │ n │ StreamTitle='Artist - Title';␀␀␀ (16 n bytes) │ 16,000 bytes of music │ 0 │ …
 */
import type { LiveTitle } from './live-feed.js';

export const METADATA_INTERVAL = 16_000;
const BLOCK_BYTES = 16;
const MAX_BLOCKS = 255;

export class IcyStream {
  #title: string | undefined;
  #untilMetadata = METADATA_INTERVAL;

  /** To be told with the next metadata. */
  setTitle(title: string): void {
    this.#title = title;
  }

  /** The music is not copied. */
  weave(music: readonly Uint8Array[]): Uint8Array[] {
    const woven: Uint8Array[] = [];
    for (const piece of music) {
      for (let at = 0; at < piece.length; ) {
        const next = piece.subarray(at, at + this.#untilMetadata);
        woven.push(next);
        at += next.length;
        this.#untilMetadata -= next.length;
        if (this.#untilMetadata > 0) continue;
        woven.push(this.#metadata());
        this.#untilMetadata = METADATA_INTERVAL;
      }
    }
    return woven;
  }

  #metadata(): Uint8Array {
    const title = this.#title;
    this.#title = undefined;
    if (title === undefined) return Buffer.alloc(1);
    // A quote before a semicolon would end it.
    const text = Buffer.from(`StreamTitle='${title.replaceAll("';", '’;')}';`);
    const blocks = Math.min(MAX_BLOCKS, Math.ceil(text.length / BLOCK_BYTES));
    const metadata = Buffer.alloc(1 + blocks * BLOCK_BYTES);
    metadata[0] = blocks;
    text.copy(metadata, 1, 0, blocks * BLOCK_BYTES);
    return metadata;
  }
}

export const streamTitle = ({ title, artist }: LiveTitle, name: string): string =>
  [artist, title ?? name].filter(part => part !== undefined && part !== '').join(' - ');
