/** The options of `tsp-peer swarm`, and the SwarmArguments that they make. */
import { type SwarmArguments, USUAL_PORT } from '../peer/commands/swarm-arguments.js';
import { DEFAULT_CHUNK_BYTES, SWARM_TRACKER_PORT } from '../protocol/ppspp/constants.js';
import type { HostPort } from '../protocol/tsp/addresses.js';
import { type AltoValues, altoOf } from './alto-options.js';
import type { Subcommand } from './command-line.js';
import { flag, single } from './common-options.js';
import type { ListOption, Values } from './options.js';
import {
  choice,
  hostPort,
  listenAt,
  orAuto,
  orNone,
  positiveCount,
  seconds,
  size,
  type ValueType,
} from './value-types.js';

const SWARMS = 'Swarms:';
const HASHES = ['sha1', 'sha256'] as const;
const DIALECTS = ['rfc7574', 'draft10', 'pyppspp'] as const;
const DEFAULT_MAX_PEERS = 50;

const peer: ListOption<HostPort> = {
  kind: 'list',
  type: hostPort(USUAL_PORT),
  default: [],
  separator: ',',
  group: SWARMS,
  describe: 'seed, get: a peer to dial; may be given several times',
};

const dialect: ListOption<(typeof DIALECTS)[number]> = {
  kind: 'list',
  type: choice('DIALECT', DIALECTS),
  default: ['rfc7574'],
  separator: ',',
  group: SWARMS,
  describe:
    'What peers may speak: rfc7574, draft10 (libswift), pyppspp; several times: the first is tried first',
};

/** With what goes before it a chunk fits the largest datagram that there is. */
const MAX_CHUNK_BYTES = 64_000;

const chunkSize: ValueType<number> = {
  ...positiveCount,
  expected: `a number of bytes from 1 to ${MAX_CHUNK_BYTES}, such as 1024`,
  parse(text) {
    const bytes = positiveCount.parse(text);
    return bytes !== undefined && bytes <= MAX_CHUNK_BYTES ? bytes : undefined;
  },
};

export const swarmOptions = {
  peer,
  listen: single(
    orAuto(listenAt(USUAL_PORT)),
    undefined,
    SWARMS,
    `Where to be reached; else seed takes UDP port ${USUAL_PORT}, get a free one`,
  ),
  hash: single(
    orNone(choice('HASH', HASHES)),
    undefined,
    SWARMS,
    'Hash function of the swarm ID; else what its length says, or sha256 (sha1 where the dialect is another)',
  ),
  'chunk-size': single(chunkSize, DEFAULT_CHUNK_BYTES, SWARMS, 'Bytes of a chunk; part of what a swarm is'),
  create: flag(SWARMS, 'hash: make the file, of --size bytes'),
  size: single(
    orNone(size),
    undefined,
    SWARMS,
    'hash --create, get --allow-unverified: bytes of the file; else get finds it out by itself',
  ),
  tcp: flag(SWARMS, 'Over TCP, a connection to each peer, instead of UDP'),
  stream: flag(
    SWARMS,
    'seed: a live stream from standard input, signed; get: into standard output, from where it is. Also --live',
  ),
  dialect,
  'allow-unverified': flag(
    SWARMS,
    'get: take chunks that nobody can prove (PyPPSPP); checked as a whole before the file appears',
  ),
  buffer: single(orNone(size), undefined, SWARMS, 'get -o -: gathered before the first byte is written'),
  ahead: single(orNone(size), undefined, SWARMS, 'get -o -: fetched beyond what was written, at most'),
  skip: single(
    orNone(seconds),
    undefined,
    SWARMS,
    'get -o -: jump over what is missing for longer than this',
  ),
  'max-peers': single(positiveCount, DEFAULT_MAX_PEERS, SWARMS, 'Peers at once'),
};

const ACTIONS = ['hash', 'seed', 'get'];

export const SWARM_COMMAND: Subcommand = {
  name: 'swarm',
  words: '<action> [words..]',
  choices: ACTIONS,
  fewest: 1,
  most: Number.POSITIVE_INFINITY,
  describe: 'hash FILE…, seed FILE…, get ID: any file over PPSPP (RFC 7574), from many peers at once',
  options: {
    tracker: single(
      orNone(hostPort(SWARM_TRACKER_PORT)),
      undefined,
      SWARMS,
      `A tracker of swarms, that knows peers; on port ${SWARM_TRACKER_PORT} if it names none`,
    ),
  },
};

/** Behind `swarm seed` and `swarm get`, `--live` is `--stream`; as an option of a peer that name takes a broadcast's. */
export function withLiveSwarms(argv: readonly string[]): readonly string[] {
  const swarm = argv.indexOf('swarm');
  const isSwarm = swarm !== -1 && ACTIONS.includes(argv[swarm + 1] ?? '');
  return isSwarm ? argv.map((word, i) => (i > swarm && word === '--live' ? '--stream' : word)) : argv;
}

export function swarmArguments(
  values: Values<typeof swarmOptions> & AltoValues & { readonly serve: boolean },
): SwarmArguments {
  const { peer, listen, hash, create, size, tcp, stream, dialect, serve, buffer, ahead, skip } = values;
  return {
    peers: peer,
    ...(listen === undefined ? {} : { listen }),
    ...(hash === undefined ? {} : { hash }),
    ...(size === undefined ? {} : { size }),
    chunkBytes: values['chunk-size'],
    create,
    tcp,
    live: stream,
    dialects: dialect,
    allowUnverified: values['allow-unverified'],
    serves: serve,
    ...(buffer === undefined ? {} : { bufferBytes: buffer }),
    ...(ahead === undefined ? {} : { aheadBytes: ahead }),
    ...(skip === undefined ? {} : { skipMs: skip }),
    maxPeers: values['max-peers'],
    ...altoOf(values),
  };
}
