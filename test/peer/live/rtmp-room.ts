/**
 * An RTMP server on a real port, with feeds on a virtual clock and songs on disk: feed `radio` by the key `r4d10`, song 7.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SongFetcher } from '../../../peer/listening/fetch.js';
import type { LiveFeedsOptions } from '../../../peer/live/live-feeds.js';
import { RtmpServer, type RtmpServerOptions } from '../../../peer/live/rtmp-server.js';
import { hostedSongFinder } from '../../../peer/live/rtmp-songs.js';
import { hostedSong } from '../../support/hosted-songs.js';
import { type Mp3Options, mp3Bytes } from '../../support/mp3.js';
import { patientClock } from '../../support/patient-clock.js';
import { tempFolder } from '../../support/temp-folder.js';
import type { Teardown } from '../../support/until.js';
import { makeFeeds, makeUploads, type UploadLimits } from './feeding.js';

export const RADIO_KEY = 'r4d10';
export const TALK_KEY = 't4lk';

export interface RoomOptions {
  readonly feeds?: Partial<LiveFeedsOptions>;
  readonly server?: Partial<RtmpServerOptions>;
  readonly song?: Mp3Options;
  readonly limits?: UploadLimits;
}

export async function rtmpRoom(t: Teardown, options: RoomOptions = {}) {
  const room = makeFeeds(options.feeds);
  const { clock, feeds, logger } = room;
  const uploads = makeUploads(clock, options.limits);
  const folder = await tempFolder(t);
  const path = join(folder, 'song.mp3');
  const bytes = mp3Bytes({ seconds: 30, seed: 3, title: 'Lluvia', header: 'Info', ...options.song });
  await writeFile(path, bytes);
  const song = await hostedSong(path, bytes, { title: 'Lluvia', artist: 'Torero', duration: 30 });
  const songs = new Map([[song.hash, song]]);
  const fetcher = new SongFetcher({
    clock: patientClock,
    logger,
    randomUnit: () => 0.5,
    library: songs,
  });
  t.teardown(() => fetcher.stop());
  const traced: string[] = [];
  const server = new RtmpServer({
    feeds,
    findSong: hostedSongFinder({
      songs,
      ids: { hashOf: id => (id === 7 ? song.hash : undefined) },
      fetcher,
    }),
    uploads,
    at: { host: '127.0.0.1', port: 0 },
    maxConnections: 100,
    maxPerAddress: Number.POSITIVE_INFINITY,
    clock,
    logger,
    randomBytes: length => Buffer.alloc(length, 9),
    trace: line => traced.push(line),
    ...options.server,
  });
  await server.start();
  t.teardown(async () => {
    const stopped = server.stop();
    await clock.advanceSlowly(60_000);
    await stopped;
  });
  return { ...room, uploads, traced, server, port: server.port, song, path, bytes };
}
