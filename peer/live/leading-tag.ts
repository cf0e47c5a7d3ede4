/**
 * What the ID3v2 tag says with which a publisher's MP3 begins: ffmpeg tells an Icecast server its title in no other way. Pure.
 *
 *     "ID3" … TIT2 TPE1 … │ frame │ frame │ …        collected until it is whole; a long one has a cover, and is not waited for
 */
import { ID3V2_HEADER_BYTES, id3v2Bytes, id3v2Texts } from '../mpeg/id3v2.js';
import type { LiveTitle } from './live-feed.js';

const MAX_TAG_BYTES = 16 * 1024;

export class LeadingTag {
  /** Undefined: it has been read, or there is none. */
  #bytes: Buffer | undefined = Buffer.alloc(0);

  /** The stream in any cut. Gives what the tag says, once. */
  push(bytes: Uint8Array): LiveTitle {
    if (this.#bytes === undefined) return {};
    const begun = Buffer.concat([this.#bytes, bytes]);
    const tagBytes = id3v2Bytes(begun);
    const isLong = tagBytes > MAX_TAG_BYTES;
    this.#bytes = begun.length < Math.max(tagBytes, ID3V2_HEADER_BYTES) && !isLong ? begun : undefined;
    if (this.#bytes !== undefined || isLong) return {};
    const texts = id3v2Texts(begun.subarray(0, tagBytes));
    return { title: texts.get('TIT2'), artist: texts.get('TPE1') };
  }
}
