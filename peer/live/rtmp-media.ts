/**
 * MPEG frames as RTMP players are sent them, and what they are told of a feed or a song. Pure.
 *
 *     ├ chunk header 12 │ tag byte ┤ the frame's own bytes, shared by all who hear it ┤
 *
 * Live timestamps begin at 0 for each player, so that they stay small. All are counted in samples, not in anybody's rounding.
 */
import type { AmfValue } from '../../protocol/rtmp/amf0.js';
import { chunksOf } from '../../protocol/rtmp/chunk-writer.js';
import { MEDIA_CHUNK_STREAM, MESSAGE_TYPE, OUR_CHUNK_BYTES } from '../../protocol/rtmp/constants.js';
import { mp3TagByte } from '../../protocol/rtmp/flv-audio.js';
import type { FrameHeader } from '../mpeg/frame-header.js';

export interface TimedFrame {
  readonly bytes: Uint8Array;
  readonly header: FrameHeader;
  /** Where it begins, in milliseconds of the feed or the song. */
  readonly atMs: number;
}

/** The pieces to write for these frames. `beginsMs` is 0 to the player. */
export const audioPieces = (
  frames: readonly TimedFrame[],
  { stream, beginsMs }: { readonly stream: number; readonly beginsMs: number },
): Uint8Array[] =>
  frames.flatMap(({ bytes, header, atMs }) =>
    chunksOf(
      {
        chunkStream: MEDIA_CHUNK_STREAM,
        type: MESSAGE_TYPE.AUDIO,
        stream,
        timestamp: Math.round(atMs - beginsMs) >>> 0,
        payload: [Buffer.of(mp3TagByte(header)), bytes],
      },
      OUR_CHUNK_BYTES,
    ),
  );

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
