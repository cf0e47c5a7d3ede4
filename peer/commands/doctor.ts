/**
 * `tsp-peer doctor`: looks at this machine and the way to the tracker, a line a finding, with what to do.
 *
 *     ✓ Node      20.20.2
 *     ! lame      node-lame is not installed: npm install …
 *     ✓ tracker   127.0.0.1:7460: 12 songs, answered in 2 ms
 *     ✗ port      the tracker cannot reach 7461 → open TCP port 7461 in the firewall or router, or use --advertise
 *
 * A problem (✗) keeps something that was asked for from working and gives the exit code; a remark (!) does not.
 */
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigError } from '../../protocol/errors.js';
import { DEFAULT_PEER_PORT } from '../../protocol/tsp/constants.js';
import type { PeerConfig } from '../config.js';
import { CommandError, EXIT, type ExitCode, failureOf } from '../failures/failure.js';
import { installLine } from '../failures/install-line.js';
import { isMissingStore, MEND_STORE } from '../failures/missing-store.js';
import { openPageArena } from '../hosting/page-arena.js';
import { SLICE_BYTES } from '../hosting/served-song.js';
import { LameEncoder } from '../library/encode.js';
import { openRoots } from '../library/roots.js';
import { findFfmpeg } from '../live/ffmpeg.js';
import { Mpg123Decoder } from '../playback/decoders/mpg123.js';
import { openAudio } from '../playback/open-audio.js';
import { counted, sizeOf } from '../prompt/render-song.js';
import { painted, styleOf } from '../prompt/style.js';
import { fitToWidth, safeJson, safeText } from '../prompt/terminal-text.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';
import { type OneShot, oneShot } from './one-shot.js';
import { reachability } from './reachability.js';

const OLDEST_NODE = [20, 19] as const;
/** Less than this and the cache, or the library's notes, will soon not be written. */
const LITTLE_SPACE_BYTES = 200e6;
const NAME_COLUMNS = 10;

interface Finding {
  readonly state: 'fine' | 'remark' | 'problem';
  readonly says: string;
  readonly todo?: string;
  /** Of a problem; default 1. */
  readonly exitCode?: ExitCode;
}

type Check = readonly [name: string, look: () => Promise<Finding>];

/** Resolves with 0, or the exit code of the first problem. */
export function runDoctor(config: PeerConfig, _arguments: CommandArguments, world: World): Promise<number> {
  return oneShot(config, world, async session => {
    let code: ExitCode = EXIT.ok;
    let tracker: Finding | undefined;
    const checks: readonly Check[] = [
      ['Node', async () => node(process.versions.node)],
      ['decoder', decoder],
      ['lame', () => lame(config)],
      ['sound', () => sound(config, world)],
      ['sending', sending],
      ['ffmpeg', ffmpeg],
      ...config.library.map((folder): Check => ['library', () => library(folder)]),
      ['store', () => store(config)],
      ['data', () => writable(config.dataDir)],
      ...(config.cacheBytes > 0 ? [['cache', () => writable(config.cacheDir)] as const] : []),
      [
        'tracker',
        async () => {
          tracker = await trackerFound(session);
          return tracker;
        },
      ],
      ['port', async () => (tracker?.state === 'fine' ? await port(config, world) : notAsked)],
    ];
    for (const [name, look] of checks) {
      if (world.signal.aborted) break;
      const finding = await look();
      await session.write([asLine(name, finding, session)]);
      if (finding.state === 'problem' && code === EXIT.ok) code = finding.exitCode ?? EXIT.failure;
    }
    return code;
  });
}

function asLine(name: string, { state, says, todo }: Finding, { config, world }: OneShot): string {
  if (config.json) return safeJson({ check: name, state, says, ...(todo !== undefined && { todo }) });
  const style = styleOf('stdout', world, config);
  const sign = { fine: '✓', remark: '!', problem: '✗' }[state];
  const paint = ({ fine: 'green', remark: 'yellow', problem: 'red' } as const)[state];
  const text = safeText(todo === undefined ? says : `${says} → ${todo}`);
  return `${painted(sign, paint, style)} ${fitToWidth(name, NAME_COLUMNS)}${text}`;
}

export function node(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isNew = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  if (isNew) return { state: 'fine', says: version };
  return {
    state: 'problem',
    says: `${version} is too old`,
    todo: `install Node ${OLDEST_NODE.join('.')} or newer`,
  };
}

async function decoder(): Promise<Finding> {
  try {
    await new Mpg123Decoder().load();
    return { state: 'fine', says: 'MP3 can be decoded' };
  } catch (error) {
    return { state: 'problem', says: (error as Error).message, todo: 'npm ci installs it again' };
  }
}

/** Only --encode, --decoder lame and MP3 in the free format need it. */
async function lame({ encode, decoder }: PeerConfig): Promise<Finding> {
  const missing = await new LameEncoder().missing();
  if (missing === undefined) return { state: 'fine', says: 'there; --encode can offer WAV and AIFF files' };
  return { state: encode || decoder === 'lame' ? 'problem' : 'remark', says: missing };
}

/** Only broadcasts of what is no MP3 need it. */
async function ffmpeg(): Promise<Finding> {
  const version = await findFfmpeg();
  if (version !== undefined)
    return { state: 'fine', says: `${version}: AAC, as OBS sends it, can be broadcast` };
  return {
    state: 'remark',
    says: 'there is none: MP3 can be broadcast, AAC (OBS) cannot',
    todo: installLine('ffmpeg'),
  };
}

/** Nothing is lost without it but processor time, and it is of Linux only. */
async function sending(): Promise<Finding> {
  try {
    (await openPageArena(SLICE_BYTES)).close();
    return { state: 'fine', says: 'songs go to the network without being copied' };
  } catch (error) {
    return {
      state: 'fine',
      says: `songs are copied on their way to the network: ${(error as Error).message}`,
    };
  }
}

async function sound(config: PeerConfig, world: World): Promise<Finding> {
  const audio = openAudio(config, world);
  let finding: Finding = {
    state: 'problem',
    says: 'the audio process says nothing',
    exitCode: EXIT.unavailable,
  };
  audio.onEvent(event => {
    if (event.is === 'output') finding = { state: 'fine', says: `${event.name}: ${event.why}` };
    if (event.is !== 'silent') return;
    const { message, exitCode, hint } = failureOf(event.error);
    finding = { state: 'problem', says: message, exitCode, ...(hint !== undefined && { todo: hint }) };
  });
  await audio.start();
  await audio.stop();
  return finding;
}

async function library(folder: string): Promise<Finding> {
  try {
    await openRoots([folder]);
    return { state: 'fine', says: folder };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return {
      state: 'problem',
      says: error.message,
      todo: 'check its name and permissions',
      exitCode: EXIT.usage,
    };
  }
}

/** A tracker inside needs it, and without it the library is read again at each start. */
async function store({ tracker }: PeerConfig): Promise<Finding> {
  try {
    await import('../library/store-lmdb.js');
    return { state: 'fine', says: 'what is known of the library, and song IDs, can be kept' };
  } catch (error) {
    return storeMissing(error, tracker !== undefined);
  }
}

function storeMissing(error: unknown, hasTracker: boolean): Finding {
  if (!isMissingStore(error)) throw error;
  return {
    state: hasTracker ? 'remark' : 'problem',
    says: `lmdb or its native part is missing, so ${hasTracker ? '' : 'no tracker can run inside a peer, and '}libraries are read anew at each start`,
    todo: MEND_STORE,
  };
}

/** Looks at the folder, or where it would be made, and makes nothing. */
async function writable(folder: string): Promise<Finding> {
  try {
    const existing = await nearestExisting(folder);
    await access(existing, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = await statfs(existing);
    const free = `${folder}: ${sizeOf(bavail * bsize)} free`;
    if (bavail * bsize >= LITTLE_SPACE_BYTES) return { state: 'fine', says: free };
    return { state: 'remark', says: free, todo: 'make room, or choose another disk with --data' };
  } catch (error) {
    const todo = 'change its permissions, or choose another with --data';
    return { state: 'problem', says: `${folder}: ${failureOf(error).message}`, todo };
  }
}

async function nearestExisting(folder: string): Promise<string> {
  try {
    await access(folder);
    return folder;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw error;
    return await nearestExisting(dirname(folder));
  }
}

async function trackerFound({ client, config, world }: OneShot): Promise<Finding> {
  const askedAt = world.clock.now();
  try {
    // A host has a list, too, but searches none.
    const [songs] = await Promise.all([client.list(), client.find('')]);
    const ms = (world.clock.now() - askedAt).toFixed(0);
    return {
      state: 'fine',
      says: `${client.tracker}: ${counted(songs.length, 'song')}, answered in ${ms} ms`,
    };
  } catch (error) {
    const { message, exitCode } = failureOf(error);
    if (config.tracker === undefined) {
      return { state: 'remark', says: `${message} A peer opens one inside itself.` };
    }
    const todo = 'start one there with tsp-tracker, check the address, or its firewall';
    return { state: 'problem', says: message, todo, exitCode };
  }
}

const notAsked: Finding = { state: 'remark', says: 'not looked at: that needs a tracker' };

async function port(config: PeerConfig, world: World): Promise<Finding> {
  const found = await reachability(config, world).catch((error: unknown) => {
    if (error instanceof CommandError) return error.failure;
    throw error;
  });
  if ('exitCode' in found)
    return { state: 'problem', says: found.message, todo: found.hint!, exitCode: found.exitCode };
  const at = `port ${found.port}`;
  const instead = config.port === undefined && found.port !== DEFAULT_PEER_PORT;
  const taken = instead ? ` (${DEFAULT_PEER_PORT} is taken, by a running peer perhaps)` : '';
  if (found.listed.length > 0) {
    return { state: 'fine', says: `${at}${taken}: the tracker reached it as ${found.listed.join(', ')}` };
  }
  const todo = `open TCP ${at} in the firewall or router, or name the outer address with --advertise HOST:PORT`;
  return { state: 'problem', says: `${at}${taken}: ${found.why}`, todo, exitCode: EXIT.unavailable };
}
