/** The options and subcommands of `tsp-peer`, and the PeerConfig that they make. */
import { join } from 'node:path';
import { DEFAULT_PEER_CONFIG as DEFAULTS, type PeerConfig } from '../peer/config.js';
import { checkDialled, checkListened } from '../peer/failures/one-link.js';
import { formatHostPort, type HostPort } from '../protocol/tsp/addresses.js';
import { DEFAULT_PEER_PORT, DEFAULT_TRACKER_PORT } from '../protocol/tsp/constants.js';
import { altoOf, altoOptions } from './alto-options.js';
import type { CommandLineSpec, Subcommand } from './command-line.js';
import { commonOptions, flag, single } from './common-options.js';
import { COMPLETION_COMMAND } from './completion.js';
import { liveConfig, liveOptions } from './live-options.js';
import type { ListOption, Origins, Values } from './options.js';
import { SWARM_COMMAND, swarmOptions } from './swarm-options.js';
import {
  choice,
  countLimit,
  folder,
  hostPort,
  listenHost,
  name,
  orAuto,
  orNone,
  output,
  outputFile,
  port,
  rate,
  size,
} from './value-types.js';
import { type Environment, xdgFolder } from './xdg.js';

const SONGS = 'Songs:';
const SOUND = 'Sound:';
const NETWORK = 'Network:';
const LIMITS = 'Limits:';

const OUTPUTS = ['auto', 'speaker', 'pw-play', 'aplay', 'paplay', 'ffplay', 'null', 'stdout'] as const;
const DECODERS = ['auto', 'mpg123', 'lame'] as const;

const library: ListOption<string> = {
  kind: 'list',
  type: folder,
  default: [],
  separator: ':',
  group: SONGS,
  describe: 'Folder of songs to offer; may be given several times',
};

const advertise: ListOption<HostPort> = {
  kind: 'list',
  type: hostPort(DEFAULT_PEER_PORT),
  default: [],
  separator: ',',
  group: NETWORK,
  describe: 'Where others reach this peer, if not where the tracker sees it; may be given several times',
};

export const peerOptions = (env: Environment) => ({
  library,
  encode: flag(SONGS, 'Offer WAV and AIFF files too, encoded to MP3'),
  'share-cache': flag(SONGS, 'Offer songs that were fetched from others too'),
  cache: single(size, DEFAULTS.cacheBytes, SONGS, 'How much fetched music to keep; 0: none'),
  output: single(
    output(OUTPUTS),
    DEFAULTS.output,
    SOUND,
    `Where the sound goes: ${OUTPUTS.join(', ')} or file:PATH`,
  ),
  decoder: single<string>(
    choice('DECODER', DECODERS),
    DEFAULTS.decoder,
    SOUND,
    `What decodes MP3: ${DECODERS.join(', ')}`,
  ),
  raw: flag(SOUND, 'With --output stdout: the MP3 as it is'),
  tracker: single(
    orNone(hostPort(DEFAULT_TRACKER_PORT)),
    undefined,
    NETWORK,
    'The tracker; else one on this machine, or inside',
  ),
  port: single(
    orAuto(port),
    undefined,
    NETWORK,
    `TCP port for listeners; else ${DEFAULT_PEER_PORT} or a free one; 0: a free one`,
  ),
  host: single(orAuto(listenHost), undefined, NETWORK, 'Address to listen on; else all, IPv6 and IPv4'),
  advertise,
  swarm: flag(
    NETWORK,
    'Fetch songs from many peers at once and offer them so (PPSPP); --no-swarm: TSP alone',
    true,
  ),
  'swarm-port': single(
    orAuto(port),
    undefined,
    NETWORK,
    'UDP port for that; else the number of --port; play and get: a free one',
  ),
  serve: flag(
    NETWORK,
    'Give to others what is here of a song, or file, while it is fetched; --no-serve gives nothing',
    true,
  ),
  ...altoOptions,
  name: single(orNone(name), undefined, NETWORK, 'What others see this peer called'),
  slots: single(countLimit, DEFAULTS.slots, LIMITS, 'Listeners served at once; 0: no limit'),
  'max-upload': single(
    rate,
    DEFAULTS.maxUploadBytesPerSecond,
    LIMITS,
    'Bytes a second to all listeners together; 0: no limit',
  ),
  'max-per-address': single(
    countLimit,
    DEFAULTS.maxPerAddress,
    LIMITS,
    'Connections from one address; 0: no limit',
  ),
  data: single(
    folder,
    defaultPeerFolder(env),
    'Files:',
    'What this peer keeps; a second peer here takes one beside it',
  ),
  out: single(orNone(outputFile), undefined, 'Files:', 'get: the file to write; - is standard output'),
  ...liveOptions,
  ...swarmOptions,
  headless: flag('Output:', 'No prompt: offer songs until a signal ends it'),
  ...commonOptions('warn'),
});

export type PeerOptions = ReturnType<typeof peerOptions>;

export const defaultPeerFolder = (env: Environment): string => join(xdgFolder('data', env), 'peer');

/** Folders of one peer, chosen and locked by peer-folders.ts. */
export type PeerFolders = Pick<PeerConfig, 'dataDir' | 'cacheDir' | 'stateDir'>;

/** Throws CommandError (usage) for what does not go together, and addresses of one link. */
export function peerConfig(values: Values<PeerOptions>, origins: Origins, folders: PeerFolders): PeerConfig {
  if (values.tracker !== undefined) checkDialled(values.tracker.host);
  for (const at of [values.listen, values.rtmp, values.icecast])
    if (at?.host !== undefined) checkListened(at.host);
  return {
    ...folders,
    ...present({ tracker: values.tracker, port: values.port, host: values.host, name: values.name }),
    ...present({ swarmPort: values['swarm-port'], live: liveConfig(values, origins) }),
    ...altoOf(values),
    swarm: values.swarm,
    serve: values.serve,
    library: values.library,
    advertise: values.advertise.map(({ host, port }) => formatHostPort(host, port)),
    output: values.output,
    decoder: values.decoder,
    raw: values.raw,
    slots: values.slots,
    maxUploadBytesPerSecond: values['max-upload'],
    maxPerAddress: values['max-per-address'],
    cacheBytes: values.cache,
    shareCache: values['share-cache'],
    encode: values.encode,
    headless: values.headless,
    json: values.json,
    color: values.color,
  };
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** Without the keys whose value is undefined. */
const present = <T extends object>(fields: T): Present<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<T>;

const THAT_PLAY = ['play', 'doctor'];
const THAT_FETCH = ['play', 'get'];

/** What a peer can use, and of the subcommands only those that host, play or fetch, and `doctor` in the name of a peer. */
const NOT_FOR_ALL: Readonly<Record<string, readonly string[]>> = {
  output: THAT_PLAY,
  decoder: THAT_PLAY,
  raw: ['play'],
  cache: [...THAT_FETCH, 'doctor'],
  data: [...THAT_FETCH, 'swarm', 'doctor'],
  tracker: ['list', 'info', 'find', ...THAT_FETCH, 'swarm', 'doctor'],
  swarm: THAT_FETCH,
  'swarm-port': THAT_FETCH,
  serve: [...THAT_FETCH, 'swarm'],
  library: ['doctor'],
  encode: ['doctor'],
  'share-cache': [],
  port: ['doctor'],
  host: ['doctor'],
  advertise: ['doctor'],
  name: [],
  slots: [],
  'max-upload': ['swarm'],
  'max-per-address': [],
  alto: [...THAT_FETCH, 'swarm'],
  'alto-cost-type': [...THAT_FETCH, 'swarm'],
  headless: [],
  ...Object.fromEntries(Object.keys(liveOptions).map(name => [name, []])),
};

const onlyForSwarm = Object.fromEntries(Object.keys(swarmOptions).map(name => [name, ['swarm']]));

const ANY = Number.POSITIVE_INFINITY;
const SUBCOMMANDS: readonly Subcommand[] = [
  {
    name: 'list',
    words: '[words..]',
    fewest: 0,
    most: ANY,
    describe: 'The songs that there are, or those that match',
    examples: [['$0 list plaza', 'songs whose title or artist has that word']],
  },
  {
    name: 'info',
    words: '[id]',
    fewest: 0,
    most: 1,
    describe: 'All that is known of a song, or of every song',
    examples: [['$0 info 10 --json', 'one row, as on the wire']],
  },
  {
    name: 'find',
    words: '<words..>',
    fewest: 1,
    most: ANY,
    describe: 'The songs that match best by title, artist or album',
    examples: [['$0 find blue moon', 'the fifty best, the best first']],
  },
  {
    name: 'play',
    words: '<song..>',
    fewest: 1,
    most: ANY,
    describe: 'Play songs, by ID or by words',
    examples: [['$0 play 10 --output stdout --raw | mpg123 -q -', 'by way of another player']],
  },
  {
    name: 'get',
    words: '<song>',
    fewest: 1,
    most: 1,
    describe: 'Fetch a song, verified, into a file',
    examples: [['$0 get 10 -o - | mpg123 -q -', 'into a pipe']],
  },
  SWARM_COMMAND,
  {
    name: 'hash',
    words: '<file..>',
    fewest: 1,
    most: ANY,
    describe: 'The content hash of files',
    examples: [['$0 hash *.mp3', 'as sha256sum prints it; - is standard input']],
  },
  {
    name: 'doctor',
    words: '',
    fewest: 0,
    most: 0,
    describe: 'Check this machine and the way to the tracker',
    examples: [['$0 doctor --tracker music.example --library ~/Music', 'also what these options name']],
  },
  COMPLETION_COMMAND,
];

export const peerCommandLine = (env: Environment): CommandLineSpec<PeerOptions> => ({
  name: 'tsp-peer',
  describe:
    'Offers your songs to others and plays theirs. Without a command it goes on until it is told to quit.',
  options: peerOptions(env),
  letters: { o: 'out' },
  only: { out: ['get', 'swarm'], ...onlyForSwarm },
  withoutCommand: NOT_FOR_ALL,
  subcommands: SUBCOMMANDS,
  examples: [
    ['$0 --library ~/Music', 'offer your songs, and play from the prompt'],
    ['$0 --tracker music.example --headless', 'only host, with a tracker elsewhere'],
    ['$0 --rtmp 1935 --live radio', 'broadcast what OBS or ffmpeg sends; prints the URL and the key'],
    ['$0 play habanera', 'play what matches best, then end'],
    ['$0 get 10 -o song.mp3', 'fetch song 10'],
    [
      '$0 play 10 --alto http://alto.example/endpointcost',
      'from hosts that are near, as that server sees it',
    ],
    ['$0 swarm seed film.mkv', 'give any file to others; prints its swarm ID'],
    ['$0 swarm get 8becd36f… --peer 192.0.2.7:6778 -o film.mkv', 'fetch it, from several peers at once'],
    ['… | $0 swarm seed --live', 'give a live stream; prints its ID, for swarm get --live ID'],
    ['$0 list --json | jq -r .title', 'the list for a program'],
    ['source <($0 completion)', 'tab completion in bash and zsh'],
  ],
});
