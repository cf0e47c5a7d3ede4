/** The doors that a configuration wants: made, not started. */
import type { PeerConfig } from '../config.js';
import type { World } from '../world.js';
import { IcecastServer } from './icecast-server.js';
import type { LiveConfig } from './live-config.js';
import type { LiveDoor } from './live-door.js';
import type { LiveFeeds } from './live-feeds.js';
import { RtmpServer } from './rtmp-server.js';
import type { FindSong, PlayerUploads } from './rtmp-song-player.js';

export interface DoorParts {
  readonly feeds: LiveFeeds;
  readonly findSong: FindSong;
  /** The song server's. */
  readonly uploads: PlayerUploads;
}

export function makeDoors(
  { rtmp, icecast }: LiveConfig,
  { maxPerAddress }: Pick<PeerConfig, 'maxPerAddress'>,
  world: Pick<World, 'clock' | 'logger' | 'maxConnections' | 'randomBytes' | 'trace'>,
  { feeds, findSong, uploads }: DoorParts,
): LiveDoor[] {
  const { clock, maxConnections, randomBytes, trace } = world;
  const common = { feeds, uploads, clock, maxConnections, maxPerAddress };
  const doors: LiveDoor[] = [];
  if (rtmp !== undefined) {
    const logger = world.logger.child({ room: 'rtmp' });
    doors.push(new RtmpServer({ ...common, findSong, at: rtmp, logger, randomBytes, trace }));
  }
  if (icecast !== undefined)
    doors.push(
      new IcecastServer({ ...common, at: icecast, logger: world.logger.child({ room: 'icecast' }) }),
    );
  return doors;
}
