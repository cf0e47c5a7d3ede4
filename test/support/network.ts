/**
 * A small network of real commands: a tracker, hosts with songs of their own, and hosts that a test plays itself.
 *
 *     const network = await openNetwork(t);
 *     const host = await network.host({ songs: { 'a.mp3': bytes }, args: ['--max-upload', '1M'] });
 *     const id = await network.idOf(bytes);
 *     const listener = await network.run(['get', String(id), '-o', '-']);
 */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../protocol/bytes.js';
import { MerkleTree } from '../../protocol/merkle.js';
import type { Message, SongId } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { type RunningCommand, spawnCommand } from './spawn-command.js';
import { tempFolder } from './temp-folder.js';
import { connectTsp, listenTsp, type TspClient } from './tsp-client.js';
import { type Teardown, until } from './until.js';

export const hashOf = (bytes: Uint8Array): ContentHash =>
  toHex(new MerkleTree().update(bytes).digest().root) as ContentHash;

/** A tracker that could not reach a host when it came, since the machine was busy, looks again minutes later (TSP §5.1). */
export const LISTED_MS = 330_000;

export interface HostOptions {
  /** File name → content. */
  readonly songs: Readonly<Record<string, Uint8Array>>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunningHost {
  readonly command: RunningCommand;
  readonly folder: string;
  readonly home: string;
  readonly port: number;
}

export class Network {
  constructor(
    readonly t: Teardown,
    readonly folder: string,
    readonly tracker: RunningCommand,
    readonly trackerPort: number,
  ) {}

  #asker: Promise<TspClient> | undefined;

  /** The same network for one test of several: what is started in it ends with that test. */
  during(t: Teardown): Network {
    return new Network(t, this.folder, this.tracker, this.trackerPort);
  }

  async newHome(): Promise<string> {
    return await mkdtemp(join(this.folder, 'home-'));
  }

  /** A real `tsp-peer` that hosts these songs; resolves when they are listed at the tracker. */
  async host({ songs, args = [], env = {} }: HostOptions): Promise<RunningHost> {
    const home = await this.newHome();
    const folder = join(home, 'music');
    await mkdir(folder);
    for (const [name, bytes] of Object.entries(songs)) await writeFile(join(folder, name), bytes);
    const command = await this.run(
      ['--headless', '--json', '--library', folder, '--port', '0', ...args],
      home,
      env,
    );
    const { port } = await command.ready();
    await command.says(/"event":"library"/);
    for (const bytes of Object.values(songs)) await this.listed(bytes, port);
    return { command, folder, home, port };
  }

  /** A host that the test itself plays: registered with `content` as its song, `serve` answers its listeners. */
  async scriptedHost(
    content: Uint8Array,
    serve: (client: TspClient, request: Message) => unknown,
  ): Promise<{ port: number; registration: TspClient }> {
    const { port } = await listenTsp(this.t, async client => {
      while (true) {
        const request = await client.next(60_000);
        if (request.type === 'PING') client.send({ type: 'PONG', value: request.value });
        await serve(client, request);
        if (request.type === 'PING') registration?.send({ type: 'PONG', value: request.value });
      }
    });
    const registration = await connectTsp(this.t, this.trackerPort);
    registration.send({ type: 'HELLO', port, hello: { tsp: 1, name: 'scripted', broadcasts: false } });
    await registration.receive('LIST');
    registration.sendRows({ type: 'LIST_INFO', revision: 0 }, [
      { hash: hashOf(content), title: 'Scripted', size: content.length },
    ]);
    await registration.await('WELCOME');
    await this.listed(content, port);
    return { port, registration };
  }

  /** `tsp-peer` with these words, at this network's tracker. */
  async run(
    args: readonly string[],
    home?: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<RunningCommand> {
    return await spawnCommand(this.t, 'tsp-peer', [...args, '--tracker', `127.0.0.1:${this.trackerPort}`], {
      home: home ?? (await this.newHome()),
      env,
    });
  }

  /** All rows of the tracker's list. */
  async list(): Promise<Record<string, unknown>[]> {
    const last = this.#asker;
    const known = await last;
    // Of many that ask at once, one dials.
    if (this.#asker === last && (known === undefined || known.ended || known.socket.destroyed)) {
      this.#asker = connectTsp(this.t, this.trackerPort);
    }
    const asker = (await this.#asker)!;
    asker.send({ type: 'LIST' });
    return (await asker.receive('LIST_INFO')).rows;
  }

  async idOf(bytes: Uint8Array): Promise<SongId> {
    const wanted = hashOf(bytes);
    const row = await until('the song is listed', async () =>
      (await this.list()).find(({ hash }) => hash === wanted),
    );
    return row.id as SongId;
  }

  /** Resolves when the tracker's list names a host on `port` for this content. */
  async listed(bytes: Uint8Array, port: number): Promise<void> {
    const wanted = hashOf(bytes);
    await until(
      `port ${port} is listed`,
      async () => {
        const row = (await this.list()).find(({ hash }) => hash === wanted);
        return (row?.hosts as string[] | undefined)?.some(host => host.endsWith(`:${port}`));
      },
      LISTED_MS,
    );
  }
}

export async function openNetwork(t: Teardown, trackerArgs: readonly string[] = []): Promise<Network> {
  const folder = await tempFolder(t);
  const home = join(folder, 'tracker');
  await mkdir(home);
  const tracker = await spawnCommand(
    t,
    'tsp-tracker',
    ['--port', '0', '--host', '127.0.0.1', ...trackerArgs],
    { home },
  );
  const { port } = await tracker.ready();
  return new Network(t, folder, tracker, port);
}
