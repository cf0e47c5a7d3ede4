/**
 * MPEG frames as RTMP players are sent them, and what they are told of a feed or a song. Pure.
 *
 *     first, or after a gap    ├ format 0: time, stream ─ 12 │ tag byte │ frame ┤        a player's own
 *     then                     ├ format 1: time since the last ─ 8 │ tag byte │ frame ┤  everybody's: a run is one Buffer
 *
 * Live timestamps begin at 0 for each player, so that they stay small. All are counted in samples, not in anybody's rounding.
 */
import type { AmfValue } from '../../protocol/rtmp/amf0.js';
import { chunksOf, followingChunk } from '../../protocol/rtmp/chunk-writer.js';
import { MEDIA_CHUNK_STREAM, MESSAGE_TYPE, OUR_CHUNK_BYTES } from '../../protocol/rtmp/constants.js';
import { mp3TagByte } from '../../protocol/rtmp/flv-audio.js';
import type { FrameHeader } from '../mpeg/frame-header.js';
import type { LiveFrame } from './frame-ring.js';
import type { LiveFeed } from './live-feed.js';
import { SharedRuns } from './live-runs.js';

export interface TimedFrame {
  readonly bytes: Uint8Array;
  readonly header: FrameHeader;
  /** Where it begins, in milliseconds of the feed or the song. */
  readonly atMs: number;
}

interface PlayerTime {
  /** The message stream. */
  readonly stream: number;
  /** What is 0 to the player. */
  readonly beginsMs: number;
}

const AUDIO = { chunkStream: MEDIA_CHUNK_STREAM, type: MESSAGE_TYPE.AUDIO } as const;

/** The pieces to write for these frames; the frames' own bytes are not copied. */
export const audioPieces = (frames: readonly TimedFrame[], time: PlayerTime): Uint8Array[] =>
  frames.flatMap(frame => audioMessage(frame, time));

function audioMessage({ bytes, header, atMs }: TimedFrame, { stream, beginsMs }: PlayerTime): Uint8Array[] {
  // Who begins in the middle of a frame is sent all of it.
  const timestamp = Math.max(0, Math.round(atMs) - Math.round(beginsMs)) >>> 0;
  const payload = [Buffer.of(mp3TagByte(header)), bytes];
  return chunksOf({ ...AUDIO, stream, timestamp, payload }, OUR_CHUNK_BYTES);
}

/** Frames that come one after the other, for everybody who was sent the one before them. */
function following(frames: readonly TimedFrame[], before: TimedFrame): Buffer {
  let last = before;
  const pieces = frames.flatMap(frame => {
    const deltaMs = Math.round(frame.atMs) - Math.round(last.atMs);
    last = frame;
    const payload = [Buffer.of(mp3TagByte(frame.header)), frame.bytes];
    return followingChunk({ ...AUDIO, deltaMs, payload }, OUR_CHUNK_BYTES);
  });
  return Buffer.concat(pieces);
}

/** Shared by the players of a server. */
export const rtmpRuns = (): SharedRuns<LiveFrame> => new SharedRuns<LiveFrame>(following);

/** A feed as one player is sent it. */
export class RtmpFeed {
  readonly #feed: LiveFeed;
  readonly #runs: SharedRuns<LiveFrame>;
  readonly #stream: number;
  #beginsMs: number | undefined;
  #last: LiveFrame | undefined;

  constructor(feed: LiveFeed, runs: SharedRuns<LiveFrame>, stream: number) {
    this.#feed = feed;
    this.#runs = runs;
    this.#stream = stream;
  }

  /** The pieces to write for a run. */
  pieces(run: readonly LiveFrame[]): Uint8Array[] {
    const [first, ...rest] = run as [LiveFrame, ...LiveFrame[]];
    const last = this.#last;
    this.#last = run.at(-1);
    if (last !== undefined && last.seq + 1 === first.seq) return [this.#runs.bytes(this.#feed, run, last)];
    this.#beginsMs ??= first.atMs;
    return [
      ...audioMessage(first, { stream: this.#stream, beginsMs: this.#beginsMs }),
      following(rest, first),
    ];
  }
}

const MP3_CODEC = 2;

export interface MediaFacts {
  readonly title?: string | undefined;
  readonly artist?: string | undefined;
  /** Seconds; of a song. */
  readonly duration?: number | undefined;
  readonly header?: FrameHeader | undefined;
}

/** Of onMetaData. What is not known is left out. */
export function metadataOf({ title, artist, duration, header }: MediaFacts): Record<string, AmfValue> {
  return {
    ...(duration !== undefined && { duration }),
    audiocodecid: MP3_CODEC,
    ...(header !== undefined && {
      audiodatarate: header.bitrate / 1_000,
      audiosamplerate: header.sampleRate,
      audiosamplesize: 16,
      stereo: header.channels === 2,
    }),
    ...(title !== undefined && { title }),
    ...(artist !== undefined && { artist }),
  };
}
