/**
 * An RTMP server on a real port, with feeds on a virtual clock and songs on disk: feed `radio` by the key `r4d10`, song 7.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SongFetcher } from '../../../peer/listening/fetch.js';
import type { LiveFeedsOptions } from '../../../peer/live/live-feeds.js';
import { RtmpServer, type RtmpServerOptions } from '../../../peer/live/rtmp-server.js';
import { hostedSongFinder } from '../../../peer/live/rtmp-songs.js';
import type { Frame } from '../../../peer/mpeg/frame-scanner.js';
import { WireTrace } from '../../../protocol/tsp/describe.js';
import { hostedSong } from '../../support/hosted-songs.js';
import { type Mp3Options, mp3Bytes } from '../../support/mp3.js';
import { patientClock } from '../../support/patient-clock.js';
import { metadata, RtmpClient } from '../../support/rtmp-client.js';
import { tempFolder } from '../../support/temp-folder.js';
import { type Teardown, until } from '../../support/until.js';
import { framesOf, makeFeeds, makeUploads, type UploadLimits } from './feeding.js';

export const RADIO_KEY = 'r4d10';
export const TALK_KEY = 't4lk';

export interface RoomOptions {
  readonly feeds?: Partial<LiveFeedsOptions>;
  readonly server?: Partial<RtmpServerOptions>;
  readonly song?: Mp3Options;
  readonly limits?: UploadLimits;
}

type RtmpRoom = Awaited<ReturnType<typeof rtmpRoom>>;

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
    trace: new WireTrace(line => traced.push(line)),
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

/** The body of an audio message. */
export const tagOf = ({ bytes }: Pick<Frame, 'bytes'>): Buffer => Buffer.concat([Buffer.of(0x2f), bytes]);

/** A publisher on the air, whose first second has been received. */
export async function publishing(t: Teardown, { port, feeds }: Pick<RtmpRoom, 'port' | 'feeds'>) {
  const endMs = (): number => feeds.feed('radio')?.endMs ?? 0;
  const before = endMs();
  const client = await RtmpClient.connected(t, port);
  client.publish(RADIO_KEY);
  await client.told('NetStream.Publish.Start');
  client.say(metadata({ title: 'Olé', artist: 'Torero', audiocodecid: 2 }), 1);
  const frames = framesOf(1);
  for (const frame of frames) client.audio(tagOf(frame));
  await until('all is received', () => endMs() >= before + 1_000);
  return { client, frames };
}
