/**
 * One song being fetched: the shell around FetchLogic, and the stream that its reader sees.
 *
 *     own disk, whole or in part ─┐
 *     hosts, swarm ───────────────┴─▶ proven pieces ─▶ queue ─▶ reader          └─▶ disk cache
 *
 * The rule: the reader's pace is the fetch's pace. Nothing is asked for beyond the window before what the reader took.
 */
import { RequestError, TransportError } from '../../protocol/errors.js';
import type { Clock, Logger, Milliseconds } from '../../protocol/ports.js';
import { PIECE_BYTES } from '../../protocol/tsp/constants.js';
import type { Hello } from '../../protocol/tsp/messages.js';
import { ChunkQueue } from '../chunk-queue.js';
import { DeadlineTimer } from '../deadline-timer.js';
import type { HostBook } from './choose-host.js';
import type { HostConnection, HostConnections } from './connections.js';
import type { FetchEffect, FetchTask } from './fetch-effects.js';
import { FetchLogic } from './fetch-logic.js';
import { greet } from './greeting.js';
import { isNoRoom, type LocalSong, readLocalSong } from './local-song.js';
import type { KeptPieces } from './partial-song.js';
import type { PieceHashes } from './pieces.js';
import type { FetchReport, SongStream } from './song-stream.js';
import type { SwarmAccess } from './song-swarm.js';
import { SwarmPart } from './swarm-part.js';

export interface SongFetchDeps {
  readonly book: HostBook;
  readonly connections: HostConnections;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Absent: hosts are asked by RANGE alone. */
  readonly swarms: SwarmAccess | undefined;
  /** What hosts are told in HELLO. */
  readonly hello: Hello;
  /** Where this machine has the song, best first. */
  readonly local: readonly { readonly name: string; readonly song: LocalSong; spoiled(): void }[];
  /** Pieces of it that are on disk, while it is not there as a whole. */
  readonly kept: KeptPieces | undefined;
  /** Each proven piece that came over the network, and the nodes of its song. */
  readonly keep: (index: number, piece: Uint8Array, hashes: PieceHashes) => void;
  /** Proven nodes and the size, for the next fetch of the same song. */
  readonly learnt: (hashes: PieceHashes, size: number | undefined) => void;
  readonly ended: () => void;
}

/** With so much read from disk and not taken, reading waits. */
const LOCAL_AHEAD_BYTES = 16 * PIECE_BYTES;

export class SongFetch implements SongStream, AsyncIterator<Uint8Array> {
  readonly size: Promise<number>;
  readonly #task: FetchTask;
  readonly #deps: SongFetchDeps;
  readonly #connections = new Map<string, HostConnection>();
  readonly #greetings = new Set<() => void>();
  #logic: FetchLogic | undefined;
  readonly #todo: FetchEffect[] = [];
  #performing = false;
  readonly #queue = new ChunkQueue();
  /** The byte after the last one that was queued. */
  #queuedTo: number;
  #roomAwaited: (() => void) | undefined;
  #isOver = false;
  /** The song's, as soon as somebody has said it. */
  #bytes: number | undefined;
  #sizeKnown: { resolve: (bytes: number) => void; reject: (error: unknown) => void } | undefined;
  readonly #swarm: SwarmPart | undefined;
  readonly #timer: DeadlineTimer;
  #openedAt: Milliseconds = 0;
  #firstByteMs: number | undefined;
  readonly #localBytes = new Map<string, number>();
  readonly #localFailures: { host: string; why: string }[] = [];

  constructor(task: FetchTask, deps: SongFetchDeps) {
    this.#task = task;
    this.#deps = deps;
    this.#queuedTo = task.fromByte;
    this.#timer = new DeadlineTimer(
      deps.clock,
      () => (this.#isOver ? undefined : this.#logic?.nextDeadline()),
      now => this.#perform(this.#logic!.expire(now)),
    );
    if (deps.swarms !== undefined) this.#swarm = new SwarmPart(deps.swarms, deps.logger);
    this.size = new Promise((resolve, reject) => {
      this.#sizeKnown = { resolve, reject };
    });
    // Who does not ask for the size must not be ended by its failure.
    this.size.catch(() => undefined);
  }

  start(): void {
    this.#openedAt = this.#deps.clock.now();
    if (this.#deps.local.length === 0) this.#goOnline();
    else void this.#readLocal();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    this.#cameBack();
    return this.#queue.next();
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.cancel();
    return Promise.resolve({ done: true, value: undefined });
  }

  cancel(): void {
    if (!this.#isOver) this.#perform(this.#logic?.cancel() ?? []);
    this.#queue.clear();
    this.#end();
    this.#sizeKnown?.reject(new TransportError('the song was not needed any more'));
  }

  report(): FetchReport {
    const online = this.#logic?.report(this.#deps.clock.now());
    const local = [...this.#localBytes].map(([host, bytes]) => ({ host, bytes }));
    const firstByteMs = this.#firstByteMs;
    return {
      sources: [...local, ...(online?.sources ?? [])],
      failed: [...this.#localFailures, ...(online?.failed ?? [])],
      verified: local.length > 0 || online?.verified === true,
      ...(firstByteMs === undefined ? {} : { firstByteMs }),
      ...(online?.waiting === undefined || this.#isOver ? {} : { waiting: online.waiting }),
    };
  }

  /** Reads from this machine's disks as far as they go; what they don't have comes from hosts. */
  async #readLocal(): Promise<void> {
    for (const { name, song, spoiled } of this.#deps.local) {
      try {
        this.#learnSize(song.size);
        for await (const { index, bytes } of readLocalSong(this.#task.song.hash, song, this.#nextPiece)) {
          if (this.#isOver) return;
          const skip = this.#queuedTo - index * PIECE_BYTES;
          this.#localBytes.set(name, (this.#localBytes.get(name) ?? 0) + Math.max(0, bytes.length - skip));
          this.#deliver(bytes, skip);
          if (this.#queue.bytes >= LOCAL_AHEAD_BYTES) await this.#room();
          if (this.#isOver) return;
        }
        this.#end();
        return;
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        this.#deps.logger.warn(
          { hash: this.#task.song.hash, from: name, why },
          'a local copy cannot be used',
        );
        this.#localFailures.push({ host: name, why });
        if (!isNoRoom(error)) spoiled();
      }
    }
    if (!this.#isOver) this.#goOnline();
  }

  /** One after the other, for those that come first are needed first. */
  async #readKept(pieces: readonly number[]): Promise<void> {
    const { kept, clock, logger } = this.#deps;
    for (const index of pieces) {
      const bytes = await kept!.read(index).catch((error: unknown) => {
        logger.info({ hash: this.#task.song.hash, err: error }, 'a piece on disk cannot be used');
        return undefined;
      });
      if (this.#isOver) return;
      this.#perform(this.#logic!.read(index, bytes, clock.now()));
    }
  }

  /** The piece in which the reader's next byte lies. */
  get #nextPiece(): number {
    return Math.floor(this.#queuedTo / PIECE_BYTES);
  }

  #goOnline(): void {
    const { book, swarms } = this.#deps;
    const task = { ...this.#task, fromByte: this.#queuedTo };
    this.#logic = new FetchLogic(task, book, swarms !== undefined);
    this.#perform(this.#logic.start(this.#deps.clock.now()));
  }

  #perform(effects: readonly FetchEffect[]): void {
    this.#todo.push(...effects);
    // A reader that takes a piece as it is delivered brings more to do: after what is to be done already.
    if (this.#performing) return;
    this.#performing = true;
    for (let effect = this.#todo.shift(); effect !== undefined; effect = this.#todo.shift()) this.#do(effect);
    this.#performing = false;
    this.#timer.arm();
  }

  #do(effect: FetchEffect): void {
    switch (effect.do) {
      case 'ask':
        this.#connectionTo(effect.host).ask(effect.asks);
        return;
      case 'let-go':
        this.#letGo(effect.host, effect.keep);
        return;
      case 'keep':
        this.#deps.keep(effect.index, effect.piece, this.#logic!.hashes!);
        this.#swarm?.gather(effect.index, effect.piece);
        return;
      case 'read':
        void this.#readKept(effect.pieces);
        return;
      case 'deliver':
        this.#deliver(effect.piece, effect.skip);
        return;
      case 'size':
        this.#learnSize(effect.bytes);
        this.#learn();
        return;
      case 'more-hosts':
        void this.#askMoreHosts();
        return;
      case 'greet':
        this.#greet(effect.host);
        return;
      case 'meet':
        this.#swarm?.meet(effect.host, effect.port);
        return;
      case 'join':
        void this.#join(effect.lastPiece);
        return;
      case 'want':
        this.#swarm?.want(effect.pieces);
        return;
      case 'unwant':
        this.#swarm?.unwant(effect.pieces);
        return;
      case 'finish':
        this.#end();
        return;
      case 'fail':
        this.#end(effect.error);
        return;
    }
  }

  #connectionTo(host: string): HostConnection {
    const open = this.#connections.get(host);
    if (open !== undefined) return open;
    const { clock } = this.#deps;
    const connection = this.#deps.connections.lease(host, {
      event: event => this.#perform(this.#logic!.receive(host, event, clock.now())),
      lost: why => {
        this.#connections.delete(host);
        this.#perform(this.#logic!.lost(host, why, clock.now()));
      },
    });
    this.#connections.set(host, connection);
    return connection;
  }

  #letGo(host: string, keep: boolean): void {
    const connection = this.#connections.get(host);
    if (connection === undefined) return;
    this.#connections.delete(host);
    if (keep) this.#deps.connections.giveBack(connection);
    else this.#deps.connections.discard(connection);
  }

  async #askMoreHosts(): Promise<void> {
    let hosts: readonly string[] = [];
    try {
      hosts = (await this.#task.song.moreHosts?.()) ?? [];
    } catch (error) {
      // The tracker's failure is its link's affair; here it only means that there is nobody else.
      this.#deps.logger.debug({ err: error }, 'nobody could say who else has the song');
    }
    this.#perform(this.#logic!.moreHosts(hosts, this.#deps.clock.now()));
  }

  #greet(host: string): void {
    const { clock } = this.#deps;
    const cancel = greet(host, this.#deps, () => {
      this.#greetings.delete(cancel);
      this.#perform(this.#logic!.greeted(host, clock.now()));
    });
    this.#greetings.add(cancel);
  }

  async #join(lastPiece: Uint8Array): Promise<void> {
    const { clock } = this.#deps;
    const logic = this.#logic!;
    const isJoined = await this.#swarm!.join({
      hash: this.#task.song.hash,
      hashes: logic.hashes!,
      lastPiece,
      heard: (host, bytes) => logic.swarmHeard(host, bytes, clock.now()),
      brought: piece => this.#perform(logic.swarmBrought(piece, clock.now())),
      lied: (host, why) => this.#perform(logic.swarmLied(host, why, clock.now())),
    });
    this.#perform(isJoined ? logic.joined(clock.now()) : logic.notJoined(clock.now()));
  }

  #deliver(piece: Uint8Array, skip: number): void {
    if (this.#firstByteMs === undefined) this.#learn();
    this.#firstByteMs ??= this.#deps.clock.now() - this.#openedAt;
    const bytes = skip > 0 ? piece.subarray(skip) : piece;
    if (bytes.length === 0) return;
    this.#queuedTo += bytes.length;
    this.#queue.push(bytes);
  }

  /** The reader wants more: what it was given before is used, and there is room again. */
  #cameBack(): void {
    this.#roomAwaited?.();
    const takenTo = this.#task.fromByte + this.#queue.taken;
    if (this.#logic !== undefined) this.#perform(this.#logic.consumed(takenTo, this.#deps.clock.now()));
  }

  #room(): Promise<void> {
    return new Promise(resolve => {
      this.#roomAwaited = () => {
        this.#roomAwaited = undefined;
        resolve();
      };
    });
  }

  /** Hashes that no piece has vouched for are not for the next fetch. */
  #learn(): void {
    const hashes = this.#logic?.vouchedHashes;
    if (hashes !== undefined) this.#deps.learnt(hashes, this.#bytes);
  }

  #learnSize(bytes: number): void {
    this.#bytes = bytes;
    this.#sizeKnown?.resolve(bytes);
  }

  #end(error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer.cancel();
    this.#roomAwaited?.();
    for (const cancel of this.#greetings) cancel();
    this.#swarm?.leave();
    this.#deps.ended();
    if (error !== undefined) {
      this.#sizeKnown?.reject(error);
      if (!(error instanceof TransportError || error instanceof RequestError))
        this.#deps.logger.error({ err: error }, 'a fetch failed in an unexpected way');
    }
    this.#queue.end(error);
  }
}
