/**
 * Carries one song's bytes from its stream to the audio process, as fast as that takes them.
 *
 *     SongStream ──▶ audio.data … audio.data ──▶ audio.end
 *
 * Opened ahead, it asks for the first bytes and keeps them; handed over they are when the song before is. A stream that
 * breaks ends the song where it broke: what came is still played.
 */
import type { SongStream } from '../listening/song-stream.js';
import type { AudioProcess } from './audio-messages.js';
import { OutlineReader, type SeekPoint, type SongOutline } from './seek-map.js';

export class SongFeed {
  readonly #stream: SongStream;
  readonly #audio: AudioProcess;
  readonly #point: SeekPoint;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #first: Promise<IteratorResult<Uint8Array>>;
  readonly #outline = new OutlineReader();
  #song: number | undefined;
  #size: number | undefined;
  #whole = false;
  #cancelled = false;
  #error: unknown;

  constructor(options: {
    readonly stream: SongStream;
    readonly audio: AudioProcess;
    readonly point: SeekPoint;
  }) {
    this.#stream = options.stream;
    this.#audio = options.audio;
    this.#point = options.point;
    this.#chunks = options.stream[Symbol.asyncIterator]();
    this.#first = this.#chunks.next();
    // Both are asked for again where their failure is dealt with.
    this.#first.catch(() => {});
    options.stream.size.then(
      size => {
        this.#size = size;
      },
      () => {},
    );
  }

  /** Its number at the audio process, once it was begun. */
  get song(): number | undefined {
    return this.#song;
  }

  /** Every byte was handed over, or there will be none. */
  get whole(): boolean {
    return this.#whole;
  }

  /** Why the stream broke. */
  get error(): unknown {
    return this.#error;
  }

  get size(): number | undefined {
    return this.#size;
  }

  /** What the song's head tells; only of a song that is read from its beginning. */
  get outline(): SongOutline | undefined {
    return this.#point.fromByte === 0 ? this.#outline.outline : undefined;
  }

  get stream(): SongStream {
    return this.#stream;
  }

  /** Resolves when all is handed over; with false if nobody wants it any more. Never rejects. */
  async run(): Promise<boolean> {
    try {
      for (let next = await this.#first; next.done !== true; next = await this.#chunks.next()) {
        if (this.#cancelled) return false;
        const wanted = this.#audio.data(this.#begin(), next.value);
        this.#outline.push(next.value);
        if (!(await wanted)) return false;
      }
    } catch (error) {
      this.#error = error;
    }
    if (this.#cancelled) return false;
    this.#whole = true;
    this.#audio.end(this.#begin());
    return true;
  }

  cancel(): void {
    this.#cancelled = true;
    this.#stream.cancel();
  }

  /** Only when there is something to decode, or an end to tell: the audio process is not woken while the network works. */
  #begin(): number {
    this.#song ??= this.#audio.begin(this.#point.begin);
    return this.#song;
  }
}
