/**
 * What is soaked: a tracker, two hosts of the same songs, and a listener that plays them in turn; and what everybody counts.
 *
 * Limits for each address are off, since all that happens comes from one machine.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { mp3Bytes } from '../../test/support/mp3.js';
import { hashOf } from '../../test/support/network.js';
import { connectTsp } from '../../test/support/tsp-client.js';
import { type Teardown, until } from '../../test/support/until.js';
import { Soaked } from './soaked.js';

/** More than a host keeps open of what it has just sent, so that this is at its full size soon. */
const SONGS = 24;
const SONG_SECONDS = 3;
/** As many as a queue may well have; the next are put in when it is through. */
const QUEUED = 8;

export interface Counts {
  played: number;
  /** Songs that came otherwise than they are, or were counted as played unverified. */
  wrong: number;
  /** Songs that a real listener asked for and did not get. */
  failed: number;
  readonly did: Record<string, number>;
  /** What was surprising, a few of each kind. */
  readonly surprises: string[];
}

export interface Song {
  readonly bytes: Buffer;
  readonly hash: ContentHash;
  readonly id: SongId;
}

export interface SoakNetwork {
  readonly folder: string;
  readonly tracker: Soaked;
  readonly trackerPort: number;
  readonly hosts: readonly { readonly soaked: Soaked; readonly port: number; readonly music: string }[];
  readonly songs: readonly Song[];
  readonly counts: Counts;
  readonly all: readonly Soaked[];
}

export const songOf = (seed: number, title = `Song ${seed}`): Buffer =>
  mp3Bytes({ seconds: SONG_SECONDS, seed, title });

export async function openSoakNetwork(t: Teardown, folder: string): Promise<SoakNetwork> {
  const counts: Counts = { played: 0, wrong: 0, failed: 0, did: {}, surprises: [] };
  const contents = Array.from({ length: SONGS }, (_, seed) => songOf(seed + 1));
  const start = (...of: ConstructorParameters<typeof Soaked>): Soaked => {
    const soaked = new Soaked(...of);
    t.teardown(() => soaked.command.stop());
    return soaked;
  };
  const homeOf = async (name: string): Promise<string> => {
    const home = join(folder, name);
    await mkdir(home);
    return home;
  };
  const common = ['--port', '0', '--host', '127.0.0.1', '--max-per-address', '0'];
  const tracker = start('tracker', 'tsp-tracker', common, await homeOf('tracker'));
  const { port: trackerPort } = await tracker.command.ready();

  const hosts = [];
  for (const name of ['host', 'spare']) {
    const home = await homeOf(name);
    const music = join(home, 'music');
    await mkdir(music);
    for (const [index, bytes] of contents.entries()) await writeFile(join(music, `${index}.mp3`), bytes);
    const args = [
      ...common,
      '--headless',
      '--json',
      '--library',
      music,
      '--tracker',
      `127.0.0.1:${trackerPort}`,
    ];
    const soaked = start(name, 'tsp-peer', args, home);
    hosts.push({ soaked, music, port: (await soaked.command.ready()).port });
  }
  const songs = await listed(t, trackerPort, contents, hosts.length);

  const listener = start(
    'listener',
    'tsp-peer',
    ['--json', '--port', '0', '--output', 'null', '--cache', '0', '--tracker', `127.0.0.1:${trackerPort}`],
    await homeOf('listener'),
  );
  keepPlaying(
    listener,
    songs.map(({ id }) => id),
    counts,
  );
  return {
    folder,
    tracker,
    trackerPort,
    hosts,
    songs,
    counts,
    all: [tracker, ...hosts.map(h => h.soaked), listener],
  };
}

/** The songs as they are listed, once that many hosts have each. */
async function listed(
  t: Teardown,
  port: number,
  contents: readonly Buffer[],
  hostCount: number,
): Promise<Song[]> {
  const asker = await connectTsp(t, port);
  const songs = await until('all songs are listed', async () => {
    asker.send({ type: 'LIST' });
    const rows = (await asker.receive('LIST_INFO')).rows.filter(row => row.hostCount === hostCount);
    const ids = new Map(rows.map(({ hash, id }) => [hash, id as SongId]));
    const found = contents.flatMap(bytes => {
      const hash = hashOf(bytes);
      const id = ids.get(hash);
      return id === undefined ? [] : [{ bytes, hash, id }];
    });
    return found.length === contents.length ? found : undefined;
  });
  asker.destroy();
  return songs;
}

/** Queues songs at the listener's prompt whenever it has played what it had, and counts what it says of them. */
function keepPlaying({ command }: Soaked, ids: readonly number[], counts: Counts): void {
  let queued = 0;
  let next = 0;
  let text = '';
  const fill = (): void => {
    while (queued < QUEUED) {
      command.write(`queue ${ids[next % ids.length]}\n`);
      queued += 1;
      next += 1;
    }
  };
  command.child.stdout.on('data', (chunk: Buffer) => {
    const lines = (text + chunk.toString()).split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const row = JSON.parse(line) as Record<string, unknown>;
      if (row.event === 'ended') {
        if (row.outcome !== 'finished') counts.failed += 1;
        else {
          counts.played += 1;
          if (row.verified !== true) counts.wrong += 1;
        }
        if (row.outcome !== 'finished' && counts.surprises.length < 20)
          counts.surprises.push(`listener: ${line}`);
        queued -= 1;
      } else if (row.error !== undefined) {
        queued -= 1;
        if (counts.surprises.length < 20) counts.surprises.push(`listener: ${line}`);
      }
    }
    if (queued === 0) fill();
  });
  void command.says(/"list"|"tracker"|"ready"/).then(fill, () => {});
}
