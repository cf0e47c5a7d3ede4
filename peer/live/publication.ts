/**
 * What a publisher of any protocol hands in, until it says goodbye, is lost, or is dismissed.
 *
 *     MPEG frames in any cut ──────────────────────────▶ FrameScanner ─▶ whole frames, bit for bit ─▶ LiveFeed
 *     AAC and whatever else ─▶ transcoder (ffmpeg) ─▶ MP3 ──┘    └ tags and garbage are dropped, what the first tag says is told
 *
 * Once it is over, whatever is still handed in means nothing.
 */
import type { Clock, Milliseconds } from '../../protocol/ports.js';
import { TokenBucket } from '../../protocol/token-bucket.js';
import { FrameScanner } from '../mpeg/frame-scanner.js';
import { parseInfoTag } from '../mpeg/info-tag.js';
import { LeadingTag } from './leading-tag.js';
import type { LiveFeed, LiveTitle } from './live-feed.js';

/** Bytes that only ffmpeg understands. */
export interface EncodedFormat {
  readonly kind: 'encoded';
  readonly container: 'flv' | 'aac' | 'ogg';
  /** For people: `AAC`. */
  readonly codec: string;
  /** What every new ffmpeg is given first: FLV header and sequence header. */
  readonly head: Uint8Array;
}

export type IncomingFormat = { readonly kind: 'mpeg' } | EncodedFormat;

export interface Transcoder {
  /** A unit that is kept or dropped as a whole. */
  send(unit: Uint8Array): void;
  stop(): void;
}

/** Starts a transcoder. `mp3`: what comes out; `failed`: it is past help. */
export type OpenTranscoder = (
  format: EncodedFormat,
  output: { mp3(bytes: Uint8Array): void; failed(why: string): void },
) => Transcoder;

/** Why nobody may publish so. The message is for the publisher, and never has a key in it. */
export class PublishRefused extends Error {
  override readonly name = 'PublishRefused';
  constructor(
    readonly reason: 'wrong-key' | 'already-live' | 'unsupported' | 'too-many',
    message: string,
  ) {
    super(message);
  }
}

/** Real publishers tell their codec once. Each change of it is another ffmpeg. */
const FORMATS = { burst: 8, perSecond: 1 / 5 };

export interface PublicationOptions {
  readonly feed: LiveFeed;
  readonly clock: Clock;
  /** Undefined: there is no ffmpeg here. */
  readonly transcode: OpenTranscoder | undefined;
  /** Called once, when it is over by the publisher's doing. `orderly`: it said goodbye. */
  readonly over: (orderly: boolean) => void;
  /** Called once, when somebody else ended it: the publisher's connection is to be closed. */
  readonly dismissed: (why: string) => void;
}

export class Publication {
  readonly feed: LiveFeed;
  readonly #options: PublicationOptions;
  #scanner = new FrameScanner();
  #tag = new LeadingTag();
  #transcoder: Transcoder | undefined;
  readonly #formats: TokenBucket;
  #isOver = false;
  /** When the last frame came, or it began. */
  #heardAt: Milliseconds;

  constructor(options: PublicationOptions) {
    this.feed = options.feed;
    this.#options = options;
    this.#heardAt = options.clock.now();
    this.#formats = new TokenBucket(FORMATS, this.#heardAt);
  }

  /** How long no frame has come of it. */
  get quietMs(): number {
    return this.#options.clock.now() - this.#heardAt;
  }

  /** What `send` will carry from now on; at first MPEG frames. Throws PublishRefused `unsupported` or `too-many`. */
  format(format: IncomingFormat): void {
    if (this.#isOver) return;
    this.#transcoder?.stop();
    this.#transcoder = undefined;
    this.#scanner = new FrameScanner();
    this.#tag = new LeadingTag();
    if (!this.#formats.take(1, this.#options.clock.now()))
      throw new PublishRefused('unsupported', 'the codec changes too often');
    if (format.kind === 'encoded') this.#transcoder = this.#open(format);
  }

  /** MPEG frames in any cut; or of an encoded format whole units, each to be dropped as a whole if need be. */
  send(bytes: Uint8Array): void {
    if (this.#isOver) return;
    if (this.#transcoder !== undefined) {
      this.#transcoder.send(bytes);
      return;
    }
    this.titled(this.#tag.push(bytes));
    this.#scan(bytes);
  }

  /** Of the feed (`setTitle`). */
  titled(title: LiveTitle): void {
    if (!this.#isOver) this.feed.setTitle(title);
  }

  /** A goodbye: the feed ends now. */
  end(): void {
    this.#finish(() => this.#options.over(true));
  }

  /** The connection is gone: the feed waits for the next publisher, for its grace. */
  lost(): void {
    this.#finish(() => this.#options.over(false));
  }

  /** Somebody else goes on in its place, or nobody is to. */
  dismiss(why: string): void {
    this.#finish(() => this.#options.dismissed(why));
  }

  #finish(tell: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#transcoder?.stop();
    tell();
  }

  #open(format: EncodedFormat): Transcoder {
    const { transcode } = this.#options;
    if (transcode === undefined) {
      throw new PublishRefused(
        'unsupported',
        `${format.codec} needs ffmpeg on this peer, which has none: install it there, or publish MP3 (ffmpeg -c:a libmp3lame)`,
      );
    }
    const scanner = this.#scanner;
    return transcode(format, {
      mp3: bytes => {
        if (!this.#isOver && scanner === this.#scanner) this.#scan(bytes);
      },
      failed: why => {
        if (scanner !== this.#scanner) return;
        this.dismiss(why);
        this.#options.over(false);
      },
    });
  }

  #scan(bytes: Uint8Array): void {
    const music = this.#scanner.push(bytes).filter(frame => parseInfoTag(frame) === undefined);
    if (music.length === 0) return;
    this.#heardAt = this.#options.clock.now();
    // The scanner's frames lie in what it was given, which is somebody else's.
    this.feed.receive(music.map(({ bytes: of, header }) => ({ bytes: Buffer.from(of), header })));
  }
}
