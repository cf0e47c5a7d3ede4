/**
 * A whole tracker (TSP §1): registry, list, search, broadcasts and sockets, put together.
 *
 *     Registry ◀─▶ Registrar ─▶ SongTable ─┬▶ Broadcast ─▶ FanOut ─▶ ┐
 *        ▲            ▲                    ├▶ SearchIndex ─▶ Answers ─┴▶ Connection ◀─▶ socket
 *        │         Prover                  └▶ …
 *        └─▶ Journal ◀─▶ Broadcast
 *
 * Constructing starts nothing. `start` opens the store, lists the hosts of the last run, then listens; `stop` resolves
 * when every socket is closed and all is on disk. What is listed then stays in the store, to be awaited by the next run.
 */
import type { createServer } from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import { MAX_PROOF_DIALS } from '../protocol/tsp/constants.js';
import { Turns } from '../protocol/turns.js';
import { Answers } from './answers.js';
import { Broadcast } from './broadcast.js';
import type { TrackerConfig, TrackerWorld } from './config.js';
import { FanOut } from './fan-out.js';
import { Journal } from './journal.js';
import { type Dialer, Prover } from './proof.js';
import { Registrar } from './registrar.js';
import { LmdbRegistry } from './registry/lmdb.js';
import { MemoryRegistry } from './registry/memory.js';
import type { Registry } from './registry/registry.js';
import { SearchIndex } from './search.js';
import { TrackerServer } from './server.js';
import { SongTable, shownOffer } from './song-table.js';
import type { TrackerStatus } from './status.js';
import { ThreadDialer } from './thread-dialer.js';

/** Of the sockets that the system allows, what proofs of address may take: they must not be short of them either. */
const DIALS_SHARE = 0.1;
/** About 5 ms of this thread. */
const INDEXED_A_TURN = 250;

export interface TrackerOptions extends TrackerConfig, TrackerWorld {
  /** Instead of TCP, for proofs of address. */
  readonly dialer?: Dialer;
  /** Instead of TCP, for who connects. */
  readonly createServer?: typeof createServer;
  /** Instead of the one under `dataDir`. It is closed with the tracker. */
  readonly registry?: Registry;
}

export class Tracker {
  readonly #options: TrackerOptions;
  #starting: Promise<ListeningAt> | undefined;
  #running: Running | undefined;
  #indexed: Promise<void> | undefined;

  constructor(options: TrackerOptions) {
    this.#options = options;
  }

  /** Resolves with where it listens. Rejects with Node's error when it can't, or when the data can't be opened. */
  start(): Promise<ListeningAt> {
    this.#starting ??= this.#start().catch(error => {
      this.#starting = undefined;
      throw error;
    });
    return this.#starting;
  }

  async stop(): Promise<void> {
    // What is half started can't be stopped.
    if (this.#running === undefined) await this.#starting?.catch(() => {});
    this.#starting = undefined;
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    await close(running);
    await this.#indexed;
  }

  status(): TrackerStatus {
    const { registry, table, registrar, broadcast, fanOut, server } = this.#running ?? {};
    return {
      tracker: registry?.tracker,
      revision: broadcast?.revision ?? 0,
      songs: table?.songCount ?? 0,
      pending: broadcast?.pending ?? false,
      hosts: registrar?.hostCount ?? 0,
      awaitedHosts: registrar?.awaitedCount ?? 0,
      peers: server?.counts.registered ?? 0,
      connections: server?.counts.connections ?? 0,
      readers: fanOut?.readerCount ?? 0,
      ids: registry?.idCount ?? 0,
      refused: server?.counts.refused ?? 0,
      unsentBytes: server?.counts.ownBytes ?? 0,
    };
  }

  async #start(): Promise<ListeningAt> {
    const registry = this.#options.registry ?? (await this.#openRegistry());
    const running = assemble(this.#options, registry);
    try {
      running.load();
      const { address, port } = await running.server.start();
      this.#running = running;
      this.#indexed = running
        .index(() => this.#running === running)
        .catch((err: unknown) => this.#options.logger.error({ err }, 'not every song can be found'));
      return { address, port };
    } catch (error) {
      await close(running);
      throw error;
    }
  }

  async #openRegistry(): Promise<Registry> {
    const { dataDir, randomBytes, openDisk } = this.#options;
    if (dataDir === undefined) return new MemoryRegistry({ randomBytes });
    return await LmdbRegistry.open(join(dataDir, 'registry'), { randomBytes, openDisk });
  }
}

interface Running {
  readonly registry: Registry;
  readonly table: SongTable;
  readonly broadcast: Broadcast;
  readonly registrar: Registrar;
  readonly fanOut: FanOut;
  readonly answers: Answers;
  readonly server: TrackerServer;
  readonly dialer: Dialer;
  load(): void;
  /** Makes everything that is listed found, as long as `goOn`. */
  index(goOn: () => boolean): Promise<void>;
}

async function close(running: Running): Promise<void> {
  const { fanOut, registrar, answers, server, dialer, broadcast, registry } = running;
  fanOut.stop();
  registrar.stop();
  answers.stop();
  await server.stop();
  await dialer.stop();
  await broadcast.saved();
  await registry.close();
}

function assemble(options: TrackerOptions, registry: Registry): Running {
  const { clock, logger, randomBytes, agent, name, trace } = options;
  const maxSongsPerPeer = Math.min(options.maxSongsPerPeer, options.maxSongs);
  const turns = new Turns(clock, () => nextTurn());
  const pause = (): Promise<void> => turns.pause();
  let isLoading = false;
  const search = new SearchIndex();
  const table: SongTable = new SongTable({
    touched: song => {
      broadcast.touched(song);
      fanOut.changed();
    },
    changed: (song, shown) => {
      if (shown === undefined) search.delete(song.id);
      else if (!isLoading) search.set(song.id, shown);
    },
    addressGone: address => broadcast.addressGone(address),
  });
  const broadcast = new Broadcast(table, new Journal(registry));
  const fanOut = new FanOut({ broadcast, clock, logger, pause });
  const registrar = new Registrar({
    table,
    registry,
    config: { ...options, maxSongsPerPeer },
    clock,
    logger,
    pause,
  });
  const answers = new Answers({ table, broadcast, search, clock, pause });
  const welcome = {
    tsp: 1,
    agent,
    ...(name === undefined ? {} : { name }),
    tracker: registry.tracker,
    ...(Number.isFinite(maxSongsPerPeer) ? { maxSongs: maxSongsPerPeer } : {}),
  } as const;
  const maxDials = Math.max(1, Math.min(MAX_PROOF_DIALS, Math.floor(options.maxConnections * DIALS_SHARE)));
  const dialer = options.dialer ?? new ThreadDialer({ clock, logger });
  const server = new TrackerServer({
    config: { ...options, maxConnections: options.maxConnections - maxDials },
    createServer: options.createServer,
    services: {
      answers,
      registrar,
      prover: new Prover({ dialer, clock, randomBytes, maxDials }),
      fanOut,
      clock,
      logger,
      turns,
      trace,
      welcome: () => ({ revision: broadcast.revision, welcome }),
    },
  });
  const load = (): void => {
    isLoading = true;
    registrar.load();
    isLoading = false;
    broadcast.settle();
  };
  const index = (goOn: () => boolean): Promise<void> => indexAll(table, search, pause, goOn);
  return { registry, table, broadcast, registrar, fanOut, answers, server, dialer, load, index };
}

/** What was listed at the start is found a moment later, so that nobody waits for 200,000 songs to be read. */
async function indexAll(
  table: SongTable,
  search: SearchIndex,
  pause: () => Promise<void>,
  goOn: () => boolean,
): Promise<void> {
  let count = 0;
  for (const song of [...table.songs()]) {
    const shown = shownOffer(song);
    if (shown === undefined || search.has(song.id)) continue;
    search.set(song.id, shown);
    count += 1;
    if (count % INDEXED_A_TURN === 0) await pause();
    if (!goOn()) return;
  }
}
