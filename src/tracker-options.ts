/** The options of `tsp-tracker`, and the TrackerConfig that they make. */
import { join } from 'node:path';
import { SWARM_TRACKER_PORT } from '../protocol/ppspp/constants.js';
import { DEFAULT_TRACKER_CONFIG as DEFAULTS, type TrackerConfig } from '../tracker/config.js';
import type { CommandLineSpec } from './command-line.js';
import { commonOptions, single } from './common-options.js';
import { COMPLETION_COMMAND } from './completion.js';
import type { Values } from './options.js';
import { countLimit, folder, listenHost, name, orAuto, orNone, port, positiveCount } from './value-types.js';
import { type Environment, xdgFolder } from './xdg.js';

const NETWORK = 'Network:';
const LIMITS = 'Limits:';

export const trackerOptions = (env: Environment) => ({
  port: single(port, DEFAULTS.port, NETWORK, 'TCP port; 0 takes a free one'),
  host: single(orAuto(listenHost), undefined, NETWORK, 'Address to listen on; else all, IPv6 and IPv4'),
  'swarm-port': single(
    orNone(port),
    undefined,
    NETWORK,
    `Also a tracker of PPSPP swarms, for \`swarm … --tracker\` and PyPPSPP, on this TCP port (usually ${SWARM_TRACKER_PORT})`,
  ),
  name: single(orNone(name), undefined, NETWORK, 'What peers are told they reached'),
  data: single(folder, defaultTrackerFolder(env), 'Files:', 'Where song IDs and known hosts are kept'),
  'max-peers': single(positiveCount, DEFAULTS.maxPeers, LIMITS, 'Peers registered at once'),
  'max-songs': single(positiveCount, DEFAULTS.maxSongs, LIMITS, 'Songs listed at once'),
  'max-songs-per-peer': single(positiveCount, DEFAULTS.maxSongsPerPeer, LIMITS, 'Songs listed for one peer'),
  'max-per-address': single(
    countLimit,
    DEFAULTS.maxPerAddress,
    LIMITS,
    'Connections from one address; 0: no limit',
  ),
  'max-ids': single(positiveCount, DEFAULTS.maxIds, LIMITS, 'Song IDs ever given'),
  ...commonOptions('info'),
});

export type TrackerOptions = ReturnType<typeof trackerOptions>;

/** The data that a tracker of this user keeps unless told otherwise, whether it runs alone or inside a peer. */
export const defaultTrackerFolder = (env: Environment): string => join(xdgFolder('data', env), 'tracker');

/** What this machine decides where the operator does not. */
export type TrackerSurroundings = Pick<TrackerConfig, 'host' | 'maxConnections'>;

export function trackerConfig(values: Values<TrackerOptions>, machine: TrackerSurroundings): TrackerConfig {
  return {
    ...machine,
    host: values.host ?? machine.host,
    port: values.port,
    dataDir: values.data,
    name: values.name,
    maxPeers: values['max-peers'],
    maxSongs: values['max-songs'],
    maxSongsPerPeer: values['max-songs-per-peer'],
    maxPerAddress: values['max-per-address'],
    maxIds: values['max-ids'],
  };
}

export const trackerCommandLine = (env: Environment): CommandLineSpec<TrackerOptions> => ({
  name: 'tsp-tracker',
  describe: 'Keeps the list of songs and of the peers that host them, and tells it to everybody who asks.',
  options: trackerOptions(env),
  letters: {},
  only: {},
  withoutCommand: {},
  subcommands: [COMPLETION_COMMAND],
  examples: [
    ['$0', 'listen on port 7460, keep the song IDs in the usual folder'],
    ['$0 --host 127.0.0.1 --port 0 --json', 'a tracker for a test; the ready line says which port'],
    [
      '$0 --swarm-port 6777',
      'and bring together who gives and gets files: tsp-peer swarm … --tracker HOST:6777',
    ],
    ['TSP_MAX_SONGS=1M $0 --print-config', 'what would be used, and where each value comes from'],
  ],
});
