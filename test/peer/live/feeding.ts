/**
 * What tests of live feeds begin with: MPEG frames one by one, and a room of feeds on a virtual clock.
 */
import { RateLimit } from '../../../peer/hosting/rate-limit.js';
import { UploadSlots } from '../../../peer/hosting/slots.js';
import type { LiveFrame } from '../../../peer/live/frame-ring.js';
import type { FeedReader } from '../../../peer/live/live-feed.js';
import { LiveFeeds, type LiveFeedsOptions } from '../../../peer/live/live-feeds.js';
import type { PlayerUploads } from '../../../peer/live/rtmp-song-player.js';
import { StreamKeys } from '../../../peer/live/stream-keys.js';
import { type Frame, FrameScanner } from '../../../peer/mpeg/frame-scanner.js';
import type { ContentHash } from '../../../protocol/tsp/rows.js';
import { type Mp3Options, mpegFrames } from '../../support/mp3.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { VirtualClock } from '../../support/virtual-clock.js';

export const GRACE_MS = 12_000;

/** Frames that differ from each other. */
export function framesOf(seconds: number, options: Mp3Options = {}): Frame[] {
  const scanner = new FrameScanner();
  return [...scanner.push(mpegFrames({ seed: 7, ...options, seconds })), ...scanner.end()];
}

export const feedId = (name: string): ContentHash =>
  Buffer.from(name).toString('hex').padEnd(64, '0') as ContentHash;

export interface UploadLimits {
  readonly slots?: number;
  readonly bytesPerSecond?: number;
}

/** What players are sent counts against these; by default against nothing. `sentBytes` is what they were sent. */
export function makeUploads(
  clock: VirtualClock,
  { slots = Number.POSITIVE_INFINITY, bytesPerSecond = Number.POSITIVE_INFINITY }: UploadLimits = {},
) {
  const uploads = {
    slots: new UploadSlots(slots),
    rate: new RateLimit(bytesPerSecond, clock),
    sentBytes: 0,
    sent: (bytes: number) => {
      uploads.sentBytes += bytes;
    },
  };
  return uploads satisfies PlayerUploads;
}

export function makeFeeds(options: Partial<LiveFeedsOptions> = {}) {
  const clock = new VirtualClock(1_000);
  const logger = new RecordingLogger();
  const keys = new StreamKeys(
    new Map([
      ['radio', 'r4d10'],
      ['talk', 't4lk'],
    ]),
    false,
  );
  const feeds = new LiveFeeds({
    keys,
    idOf: feedId,
    graceMs: GRACE_MS,
    maxUploadBytesPerSecond: Number.POSITIVE_INFINITY,
    transcode: undefined,
    clock,
    logger,
    ...options,
  });
  const sentAway: string[] = [];
  const publish = (key = 'r4d10', name?: string) =>
    feeds.publish({
      key,
      via: 'RTMP',
      remote: '192.0.2.1:5000',
      dismissed: why => sentAway.push(why),
      ...(name !== undefined && { name }),
    });
  return { clock, feeds, publish, sentAway, logger };
}

export function readAll(reader: Pick<FeedReader, 'next'>): LiveFrame[] {
  const frames: LiveFrame[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
  return frames;
}
