/**
 * One round of everyday mischief: everything in it has begun and ended when the round is over, but for what it may have
 * broken.
 *
 *     clients   ask, register and leave, fetch, break off, talk nonsense
 *     listeners real `tsp-peer get` runs, whose bytes are compared
 *     guests    real hosts that come, and are stopped, killed or ended while they are listed
 *     liars     a host that sends other bytes than it promised
 *     library   songs added, retagged and removed at the hosts
 */
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { MerkleTree } from '../../protocol/merkle.js';
import { NO_SONG } from '../../protocol/tsp/constants.js';
import type { Message } from '../../protocol/tsp/messages.js';
import { randomNumbers } from '../../test/support/crowd.js';
import { type RunningCommand, spawnCommand } from '../../test/support/spawn-command.js';
import { connectTsp, listenTsp, TspClient } from '../../test/support/tsp-client.js';
import type { Teardown } from '../../test/support/until.js';
import { withTeardown } from '../probed/with-teardown.js';
import { type SoakNetwork, type Song, songOf } from './network.js';
import type { Soaked } from './soaked.js';

const CLIENTS_AT_ONCE = 4;
/** A client each so often in each lane, so that the machine is busy and not choked. */
const CLIENT_PAUSE_MS = 20;
const STOPPED_MS = 2_500;
const NONSENSE_BYTES = 512;
/** Seeds of songs that come and go; below are those that stay. */
const FIRST_PASSING_SEED = 1_000;
const MAX_SURPRISES = 20;

export class Churn {
  readonly #network: SoakNetwork;
  readonly #random: () => number;
  #passing = FIRST_PASSING_SEED;

  constructor(network: SoakNetwork, seed: number) {
    this.#network = network;
    this.#random = randomNumbers(seed);
  }

  async round(untilMs: number): Promise<void> {
    const goesOn = (): boolean => performance.now() < untilMs;
    const lanes = [
      ...Array.from({ length: CLIENTS_AT_ONCE }, () => () => this.#client()),
      () => this.#listener(),
      () => this.#guest(),
      () => this.#liar(),
      () => this.#library(),
    ];
    await Promise.all(
      lanes.map(async act => {
        while (goesOn()) {
          await inItsOwnTime(act).catch(error => this.#surprise(error));
          await rest(CLIENT_PAUSE_MS);
        }
      }),
    );
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#random() % from.length]!;
  }

  #did(what: string): void {
    const { did } = this.#network.counts;
    did[what] = (did[what] ?? 0) + 1;
  }

  #surprise(error: unknown): void {
    this.#did('surprise');
    const { surprises } = this.#network.counts;
    if (surprises.length < MAX_SURPRISES) surprises.push(String(error).slice(0, 500));
  }

  async #connect(soaked: Soaked, port: number): Promise<TspClient> {
    soaked.connections += 1;
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    await once(socket, 'connect');
    return new TspClient(socket);
  }

  async #client(): Promise<void> {
    const { tracker, trackerPort, hosts, songs } = this.#network;
    const { soaked, port } = this.#pick(hosts);
    const song = this.#pick(songs);
    const kind = this.#pick([
      'asks',
      'registers',
      'offers',
      'fetches',
      'breaks off',
      'talks nonsense',
    ] as const);
    const atHost =
      kind === 'fetches' || kind === 'breaks off' || (kind === 'talks nonsense' && this.#random() % 2 === 0);
    const client = atHost ? await this.#connect(soaked, port) : await this.#connect(tracker, trackerPort);
    this.#did(kind);
    try {
      if (kind === 'asks') {
        client.send({ type: 'LIST' }, { type: 'FIND', words: 'song' });
        await client.receive('LIST_INFO');
        await client.receive('SONG_INFO');
      } else if (kind === 'registers') {
        client.send({ type: 'INIT', port: 0 });
        await client.await('WELCOME');
        await client.await('BROADCAST_LIST');
        if (this.#random() % 2 === 0) client.send({ type: 'QUIT' });
      } else if (kind === 'offers') {
        // Nothing listens there, so that its address can't be proven.
        client.send({
          type: 'HELLO',
          port: 1_024 + (this.#random() % 1_000),
          hello: { tsp: 1, broadcasts: false },
        });
        await client.receive('LIST');
        client.sendRows({ type: 'LIST_INFO', revision: 0 }, [{ hash: song.hash, title: 'Mine' }]);
        await client.await('ERROR');
      } else if (kind === 'fetches') {
        client.send(rangeOf(song));
        const { payload } = await client.receive('SONG_DATA');
        this.#network.counts.played += 1;
        if (!payload.equals(song.bytes)) this.#network.counts.wrong += 1;
      } else if (kind === 'breaks off') {
        client.send(rangeOf(song));
        await once(client.socket, 'data');
      } else {
        client.write(Buffer.from(Array.from({ length: NONSENSE_BYTES }, () => this.#random() & 0xff)));
      }
    } finally {
      client.destroy(this.#random() % 3 === 0 ? 'reset' : 'close');
      await client.closed;
    }
  }

  /** Somebody who wants one song, with a command and a home of his own. */
  async #listener(song = this.#pick(this.#network.songs)): Promise<void> {
    const { counts, tracker } = this.#network;
    await withTeardown(async t => {
      tracker.connections += 1;
      const command = await this.#peer(t, ['get', String(song.id), '-o', '-']);
      const { code } = await command.exited;
      this.#did('gets');
      if (code !== 0) {
        counts.failed += 1;
        this.#surprise(`get ended with ${code}: ${command.stderr}`);
      } else {
        counts.played += 1;
        if (!command.bytes.equals(song.bytes)) counts.wrong += 1;
      }
    });
  }

  /** A host of some of the songs, which ends in one way or another while it is asked. */
  async #guest(): Promise<void> {
    await withTeardown(async t => {
      const music = await mkdtemp(join(this.#network.folder, 'guest-'));
      t.teardown(() => rm(music, { recursive: true, force: true, maxRetries: 5 }));
      const song = this.#pick(this.#network.songs);
      await writeFile(join(music, 'song.mp3'), song.bytes);
      this.#network.tracker.connections += 1;
      const guest = await this.#peer(t, ['--headless', '--json', '--port', '0', '--library', music]);
      await guest.says(/"event":"tracker"|"event":"library"/);
      const end = this.#pick(['SIGKILL', 'SIGTERM', 'SIGSTOP'] as const);
      const asked = this.#listener(song);
      guest.kill(end);
      this.#did(`guest ${end}`);
      if (end === 'SIGSTOP') {
        await rest(STOPPED_MS);
        guest.kill('SIGCONT');
        guest.kill('SIGTERM');
      }
      await Promise.all([asked, guest.exited]);
    });
  }

  /** A host with one of the songs, it says. Listeners must get the song all the same. */
  async #liar(): Promise<void> {
    const { tracker, trackerPort } = this.#network;
    const song = this.#pick(this.#network.songs);
    const nodes = new MerkleTree().update(song.bytes).digest().nodes(6);
    await withTeardown(async t => {
      let registration: TspClient | undefined;
      const { port } = await listenTsp(t, async client => {
        for (;;) {
          const request = await client.next(60_000);
          if (request.type === 'PING') {
            client.send({ type: 'PONG', value: request.value });
            registration?.send({ type: 'PONG', value: request.value });
          } else if (request.type === 'HASHES') {
            client.send({ type: 'HASH_LIST', song: request.song, length: nodes.length });
            client.write(nodes);
          } else if (request.type === 'RANGE') {
            const length = song.bytes.length - request.offset;
            client.send({ type: 'SONG_DATA', song: request.song, length });
            client.write(Buffer.alloc(length, 0x55));
            this.#did('lies');
          }
        }
      });
      tracker.connections += 1;
      registration = await connectTsp(t, trackerPort);
      registration.send({ type: 'HELLO', port, hello: { tsp: 1, broadcasts: false } });
      await registration.receive('LIST');
      registration.sendRows({ type: 'LIST_INFO', revision: 0 }, [
        { hash: song.hash, size: song.bytes.length },
      ]);
      await registration.await('WELCOME');
      await this.#listener(song);
    });
  }

  /** A song comes, is retitled, and goes; each is another content to everybody. */
  async #library(): Promise<void> {
    const { music } = this.#pick(this.#network.hosts);
    this.#passing += 1;
    const path = join(music, `passing-${this.#passing}.mp3`);
    for (const title of ['Came', 'Was retitled']) {
      await writeFile(path, songOf(this.#passing, title));
      this.#did(title.toLowerCase());
      await rest(1_500);
    }
    await rm(path);
    this.#did('went');
    await rest(1_500);
  }

  async #peer(t: Teardown, args: readonly string[]): Promise<RunningCommand> {
    const home = await mkdtemp(join(this.#network.folder, 'home-'));
    t.teardown(() => rm(home, { recursive: true, force: true, maxRetries: 5 }));
    await mkdir(join(home, 'music'));
    return await spawnCommand(
      t,
      'tsp-peer',
      [...args, '--tracker', `127.0.0.1:${this.#network.trackerPort}`],
      { home },
    );
  }
}

const rangeOf = ({ hash }: Song): Message => ({ type: 'RANGE', song: NO_SONG, offset: 0, count: 0, hash });

/** Nothing here takes a minute; what does is told, and the round goes on. */
const ACT_MS = 60_000;
async function inItsOwnTime(act: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), ACT_MS);
  });
  await Promise.race([act(), late]).finally(() => clearTimeout(timer));
}
