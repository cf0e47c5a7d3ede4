/** The options by which `tsp-peer` broadcasts, and the LiveConfig that they make. */
import { usageError } from '../peer/failures/failure.js';
import {
  DEFAULT_GRACE_MS,
  DEFAULT_ICECAST_PORT,
  DEFAULT_RTMP_PORT,
  type LiveConfig,
} from '../peer/live/live-config.js';
import { isFeedName } from '../peer/live/stream-keys.js';
import type { SongId } from '../protocol/tsp/messages.js';
import { isSongId } from '../protocol/tsp/song-id.js';
import { flag, single } from './common-options.js';
import type { ListOption, Origins, Values } from './options.js';
import { file, listenAt, orNone, seconds, type ValueType } from './value-types.js';

const BROADCASTING = 'Broadcasting:';

const feedName: ValueType<string> = {
  valueName: 'NAME',
  expected: 'a name of letters, digits, dots, dashes and underscores, at most 64',
  parse: text => (isFeedName(text) ? text : undefined),
  show: value => value,
};

const songId: ValueType<SongId> = {
  valueName: 'ID',
  expected: 'the ID of a live feed, as list shows it',
  parse: text => {
    const id = /^\d{1,10}$/.test(text) ? Number(text) : undefined;
    return isSongId(id) ? id : undefined;
  },
  show: value => value,
};

const live: ListOption<string> = {
  kind: 'list',
  type: feedName,
  default: [],
  separator: ',',
  group: BROADCASTING,
  describe: 'Broadcast a feed of this name; may be given several times',
};

const relay: ListOption<SongId> = {
  kind: 'list',
  type: songId,
  default: [],
  separator: ',',
  group: BROADCASTING,
  describe: "Offer somebody else's live feed too; may be given several times",
};

export const liveOptions = {
  live,
  rtmp: single(
    orNone(listenAt(DEFAULT_RTMP_PORT)),
    undefined,
    BROADCASTING,
    'Where OBS, ffmpeg and the like publish, and RTMP players listen; 1935 is usual',
  ),
  icecast: single(
    orNone(listenAt(DEFAULT_ICECAST_PORT)),
    undefined,
    BROADCASTING,
    'Where Icecast source clients publish, and web radio players listen; 8000 is usual',
  ),
  'live-keys': single(
    orNone(file),
    undefined,
    BROADCASTING,
    'A file of your own stream keys: lines NAME KEY',
  ),
  'live-open': flag(BROADCASTING, 'Let ANYBODY publish, under the name that is given as the key'),
  'live-grace': single(
    seconds,
    DEFAULT_GRACE_MS,
    BROADCASTING,
    'How many seconds a feed waits for a publisher that was lost',
  ),
  relay,
};

type LiveValues = Values<typeof liveOptions>;

/** Undefined: nothing of this was asked for. Throws CommandError (usage) for feeds that nobody could publish. */
export function liveConfig(values: LiveValues, origins: Origins): LiveConfig | undefined {
  const { live, rtmp, icecast, relay } = values;
  const keysFile = values['live-keys'];
  const isOpen = values['live-open'];
  const hasFeeds = live.length > 0 || keysFile !== undefined || isOpen;
  if (!hasFeeds && relay.length === 0 && rtmp === undefined && icecast === undefined) return undefined;
  if (hasFeeds && rtmp === undefined && icecast === undefined) {
    const given = ['live', 'live-keys', 'live-open'].find(name => origins[name] !== 'default');
    throw usageError(
      `--${given} goes with --rtmp or --icecast, by which it is published: --rtmp ${DEFAULT_RTMP_PORT}.`,
    );
  }
  return {
    names: live,
    isOpen,
    graceMs: values['live-grace'],
    relays: [...new Set(relay)],
    ...(keysFile !== undefined && { keysFile }),
    ...(rtmp !== undefined && { rtmp }),
    ...(icecast !== undefined && { icecast }),
  };
}
