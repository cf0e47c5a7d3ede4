/** A host of one song and of one feed, whose server can be killed as a crash would. */
import { createServer, type Server, type Socket } from 'node:net';
import type { SongServerOptions } from '../../../peer/hosting/song-server.js';
import { feedIdOf } from '../../../peer/live/feed-swarm.js';
import type { LiveFeed } from '../../../peer/live/live-feed.js';
import { LiveOffers } from '../../../peer/live/live-offers.js';
import type { Publication } from '../../../peer/live/publication.js';
import { hostSongs, songBytes } from '../../support/hosted-songs.js';
import type { Teardown } from '../../support/until.js';
import { feedId, makeFeeds } from './feeding.js';

export const RADIO = 12;

export const bytesOf = (frames: readonly { readonly bytes: Uint8Array }[]): Buffer =>
  Buffer.concat(frames.map(({ bytes }) => bytes));

interface OnAirOptions extends Partial<SongServerOptions> {
  /** It says that it has the feed from another host. */
  readonly relay?: boolean;
  /** What the line bears of its feeds. */
  readonly feedBytesPerSecond?: number;
  /** It says that it is the source of this swarm. */
  readonly swarmId?: Uint8Array;
}

export async function onAir(t: Teardown, options: OnAirOptions = {}) {
  const { relay = false, feedBytesPerSecond = Number.POSITIVE_INFINITY, swarmId, ...more } = options;
  const id = swarmId === undefined ? feedId('radio') : feedIdOf(swarmId);
  const room = makeFeeds({ maxUploadBytesPerSecond: feedBytesPerSecond, idOf: () => id });
  const servers = new Set<Server>();
  const sockets = new Set<Socket>();
  const make = ((tcp: object, accept: (socket: Socket) => void) => {
    const server = createServer(tcp, socket => {
      sockets.add(socket.once('close', () => sockets.delete(socket)));
      accept(socket);
    });
    servers.add(server);
    return server;
  }) as typeof createServer;
  const swarm = swarmId && { source: { swarmId, positionOf: (byte: number) => byte } };
  const live = new LiveOffers(room.feeds, () => swarm);
  const host = await hostSongs(t, { 10: songBytes(5_000) }, { live, createServer: make, ...more });
  if (swarmId !== undefined) host.server.offersSwarms(host.port);
  host.feeds.set(RADIO, id);
  const publication: Publication = relay ? room.feeds.relay('radio', id).publish(() => {}) : room.publish();
  const feed: LiveFeed = publication.feed;
  const crash = (): void => {
    for (const server of servers) server.close();
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return { ...host, address: `127.0.0.1:${host.port}`, publication, feed, room, crash };
}
