/**
 * What an RTMP publisher sends, as its feed takes it: MPEG frames as they are, everything else as FLV for ffmpeg.
 *
 *     MP3 tags ─▶ frames, bit for bit           AAC … ─▶ FLV header, configuration │ FLV tag │ FLV tag │ …
 *     onMetaData ─▶ title and artist
 */
import type { AmfObject } from '../../protocol/rtmp/amf0.js';
import { FLV_HEADER, flvAudioTag, parseFlvAudio } from '../../protocol/rtmp/flv-audio.js';
import type { Publication } from './publication.js';

export class RtmpPublisher {
  readonly #publication: Publication;
  /** What the feed was last told to expect: MP3, or how the FLV begins. */
  #head: Buffer | 'mp3' = 'mp3';

  constructor(publication: Publication) {
    this.#publication = publication;
  }

  /** The body of an FLV audio tag. Throws PublishRefused when nobody here can play it. */
  audio(timestamp: number, body: Uint8Array): void {
    const audio = parseFlvAudio(body);
    if (audio.kind === 'silence') return;
    if (audio.kind === 'mp3') {
      if (this.#head !== 'mp3') this.#publication.format({ kind: 'mpeg' });
      this.#head = 'mp3';
      this.#publication.send(audio.bytes);
      return;
    }
    const { codec, isConfiguration } = audio;
    if (isConfiguration) this.#encoded(codec, Buffer.concat([FLV_HEADER, flvAudioTag(0, body)]));
    else if (this.#head === 'mp3') this.#encoded(codec, FLV_HEADER);
    if (!isConfiguration) this.#publication.send(flvAudioTag(timestamp, body));
  }

  metadata(values: AmfObject): void {
    const text = (name: string): string | undefined => {
      const value = values.get(name);
      return typeof value === 'string' ? value : undefined;
    };
    this.#publication.titled({ title: text('title'), artist: text('artist') });
  }

  /** Publishers repeat their configuration; only another one is news. */
  #encoded(codec: string, head: Buffer): void {
    if (this.#head !== 'mp3' && this.#head.equals(head)) return;
    this.#publication.format({ kind: 'encoded', container: 'flv', codec, head });
    this.#head = head;
  }
}
