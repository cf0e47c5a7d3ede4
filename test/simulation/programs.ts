/**
 * The programs that run on the simulated machines: the real tracker, the real peer's rooms, put together as `src/` does.
 *
 *     TrackerProgram: Tracker        HostProgram: Catalogue, SongServer, TrackerLink        ListenerProgram: TrackerLink, SongFetcher
 *
 * A program is started and may then be lost at any moment: what it held in memory is gone, what was on its disk is not.
 */
import type { SongFiles } from '../../peer/hosting/song-files.js';
import { SongServer } from '../../peer/hosting/song-server.js';
import type { Catalogue } from '../../peer/library/catalogue.js';
import { SongFetcher } from '../../peer/listening/fetch.js';
import { TrackerLink } from '../../peer/tracker-client/tracker-link.js';
import type { Clock, Logger } from '../../protocol/ports.js';
import { encode } from '../../protocol/tsp/codec.js';
import type { SongRow } from '../../protocol/tsp/rows.js';
import { asSongId } from '../../protocol/tsp/song-id.js';
import { openDisk } from '../../src/disk.js';
import { DEFAULT_TRACKER_CONFIG } from '../../tracker/config.js';
import type { Dialer } from '../../tracker/proof.js';
import { Tracker } from '../../tracker/tracker.js';
import type { Chance } from './chance.js';
import { CrashingRegistry, type Disk } from './crashing-registry.js';
import type { Invariants } from './invariants.js';
import type { Machine } from './virtual-network.js';

const TRACKER_PORT = 7460;
export const SONG_PORT = 7461;
const AGENT = 'torero/simulation';
const MIB = 1024 * 1024;

/** What every program is lent. */
export interface Lent {
  readonly machine: Machine;
  readonly chance: Chance;
  readonly logger: Logger;
}

export interface TrackerProgram {
  readonly tracker: Tracker;
  readonly registry: CrashingRegistry;
}

export async function runTracker({ machine, chance, logger }: Lent, disk: Disk): Promise<TrackerProgram> {
  const clock = machine.clock();
  const randomBytes = (length: number): Uint8Array => chance.bytes(length);
  const registry = new CrashingRegistry({ randomBytes }, disk, clock, chance);
  const tracker = new Tracker({
    ...DEFAULT_TRACKER_CONFIG,
    port: TRACKER_PORT,
    clock,
    logger,
    randomBytes,
    openDisk,
    agent: AGENT,
    dialer: dialerOf(machine),
    createServer: machine.createServer,
    registry,
  });
  await tracker.start();
  return { tracker, registry };
}

export interface HostProgram {
  readonly link: TrackerLink;
  readonly server: SongServer;
}

export interface HostDisk {
  readonly catalogue: Catalogue;
  readonly files: SongFiles;
  readonly instance: string;
}

export async function runHost(
  { machine, chance, logger }: Lent,
  tracker: string,
  { catalogue, files, instance }: HostDisk,
  { isAmple }: { readonly isAmple: boolean },
): Promise<HostProgram> {
  const clock = machine.clock();
  const link = new TrackerLink({
    tracker: { host: tracker, port: TRACKER_PORT },
    clock,
    logger,
    randomUnit: chance.unit,
    hello: { agent: AGENT, instance },
    songs: catalogue,
    openSocket: machine.openSocket,
  });
  const server = new SongServer({
    catalogue,
    songIds: link,
    proofs: link,
    slots: isAmple ? 6 : chance.int(1, 4),
    maxUploadBytesPerSecond:
      !isAmple && chance.is(0.3) ? chance.int(20_000, 400_000) : Number.POSITIVE_INFINITY,
    maxPerAddress: 64,
    maxConnections: Number.POSITIVE_INFINITY,
    cacheBytes: chance.int(1, 3) * MIB,
    clock,
    logger,
    recheck() {},
    files,
    copying: true,
    createServer: machine.createServer,
    sendQueues: async () => new Map(),
  });
  await server.start({ host: '::', port: SONG_PORT });
  void link.start(SONG_PORT);
  return { link, server };
}

export class ListenerProgram {
  readonly link: TrackerLink;
  readonly #fetcher: SongFetcher;
  readonly #clock: Clock;
  readonly #chance: Chance;
  readonly #invariants: Invariants;

  constructor({ machine, chance, logger }: Lent, tracker: string, invariants: Invariants) {
    const shared = {
      clock: machine.clock(),
      logger,
      randomUnit: chance.unit,
      openSocket: machine.openSocket,
    };
    this.#clock = shared.clock;
    this.#chance = chance;
    this.#invariants = invariants;
    this.#fetcher = new SongFetcher(shared);
    this.link = new TrackerLink({
      ...shared,
      tracker: { host: tracker, port: TRACKER_PORT },
      hello: { agent: AGENT },
    });
  }

  start(): void {
    void this.link.start();
  }

  /** Plays whatever is listed, one after the other, at any pace, from anywhere; some to the end. */
  async listenOn(goOn: () => boolean, told: (how: string) => void): Promise<void> {
    const chance = this.#chance;
    for (;;) {
      await this.#wait(chance.int(100, 10_000));
      if (!goOn()) return;
      const { songs } = this.link.list;
      if (songs.length === 0) continue;
      const row = chance.pick(songs);
      const fromByte = chance.is(0.3) ? chance.int(0, (row.size ?? 1) - 1) : 0;
      const pauseMs = chance.is(0.5) ? 0 : chance.int(1, 3_000);
      try {
        await this.play(row, {
          fromByte,
          pauseMs,
          leaveAfter: chance.is(0.2) ? chance.int(0, 2) : undefined,
        });
        told(`played ${row.title}`);
      } catch (error) {
        if ((error as Error).name === 'BrokenRule') throw error;
        told(`could not play ${row.title}: ${(error as Error).message}`);
      }
    }
  }

  /** Resolves when the song has ended or was left; rejects with what the stream says, or with BrokenRule. */
  async play(
    row: SongRow,
    {
      fromByte = 0,
      pauseMs = 0,
      leaveAfter,
    }: { fromByte?: number; pauseMs?: number; leaveAfter?: number | undefined } = {},
  ): Promise<void> {
    const { list } = this.link;
    const hash = row.hash!;
    const stream = this.#fetcher.open(
      {
        hash,
        id: row.id,
        hosts: list.hostsOf(row),
        ...(row.size === undefined ? {} : { size: row.size }),
        ...(row.bitrate === undefined ? {} : { bitrate: row.bitrate }),
        moreHosts: async () => (await this.link.info(row.id)).flatMap(fresh => list.hostsOf(fresh)),
      },
      { fromByte },
    );
    let at = fromByte;
    let chunks = 0;
    for await (const bytes of stream) {
      this.#invariants.heard(hash, at, bytes);
      at += bytes.length;
      chunks += 1;
      if (chunks === leaveAfter) return;
      if (pauseMs > 0) await this.#wait(pauseMs);
    }
    this.#invariants.played(hash, at);
  }

  #wait(ms: number): Promise<void> {
    return new Promise(resolve => {
      this.#clock.after(ms, resolve);
    });
  }
}

/** Whoever asks for much and reads nothing. */
export function askAndTakeNothing(from: Machine, host: Machine): void {
  const requests = Array.from({ length: 60 }, (_, index) =>
    encode({ type: 'PLAY', song: asSongId(1 + (index % 6)) }),
  );
  const socket = from.openSocket();
  socket.on('error', () => undefined);
  socket.once('connect', () => socket.write(Buffer.concat(requests)));
  socket.pause().connect({ host: host.address, port: SONG_PORT });
}

function dialerOf(machine: Machine): Dialer {
  return {
    resolve: async () => [],
    dial(host, port, bytes) {
      const socket = machine.openSocket();
      const sent = new Promise<void>((resolve, reject) => {
        socket.once('connect', () => socket.write(bytes, error => (error ? reject(error) : resolve())));
        socket.on('error', reject);
        socket.once('close', () => reject(new Error('closed')));
      });
      socket.on('data', () => undefined).connect({ host, port });
      return { sent, close: () => socket.end().destroySoon() };
    },
    stop: async () => {},
  };
}
