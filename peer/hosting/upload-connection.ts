/**
 * One listener's connection: bytes in, requests to the session, answers out in turn (TSP §5.3).
 *
 *     socket ─▶ Framer ─▶ UploadSession ─▶ effects ─▶ Host · SongCache · SongLists ─▶ socket
 *                  └ not read on while 16 answers are owed      └ a turn ends when the kernel has its last byte
 *
 * Nothing is written ahead of the kernel, so a listener that takes nothing holds one slice of a song, shared with the
 * others, and no queue. When a song cannot be sent on as promised, the connection is reset: a clean end would lie.
 */
import type { Socket } from 'node:net';
import { RemoteProtocolError, RequestError, TransportError } from '../../protocol/errors.js';
import type { Clock, Logger, Milliseconds } from '../../protocol/ports.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import { encode } from '../../protocol/tsp/codec.js';
import {
  DRAIN_BYTES,
  DRAIN_MS,
  MAX_REQUEST_BYTES,
  MESSAGE_TYPE,
  NO_SONG,
} from '../../protocol/tsp/constants.js';
import { describe, nameOf } from '../../protocol/tsp/describe.js';
import { type FrameEvent, Framer } from '../../protocol/tsp/framing.js';
import type { Message, StreamHeader, Welcome } from '../../protocol/tsp/messages.js';
import { ReadingPace } from '../../protocol/tsp/reading-pace.js';
import {
  errorMessage,
  type SongRequest,
  type UploadEffect,
  type UploadRequest,
  UploadSession,
} from '../../protocol/tsp/upload.js';
import type { Host } from './host.js';
import type { ProofEcho } from './neighbours.js';
import type { RateLimit } from './rate-limit.js';
import { queueKey, type SendQueues } from './send-queues.js';
import { SLICE_BYTES } from './served-song.js';
import { BUSY_RETRY_MS, type UploadSlots } from './slots.js';
import type { SongCache } from './song-cache.js';
import type { SongLists } from './song-lists.js';

/** What all connections of a server share. */
export interface UploadWorld {
  readonly host: Host;
  readonly lists: SongLists;
  readonly cache: SongCache;
  readonly slots: UploadSlots;
  readonly rate: RateLimit;
  readonly proofs: ProofEcho;
  readonly welcome: Welcome;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace?: ((line: string) => void) | undefined;
  /** Bytes of songs that were handed to the kernel. */
  readonly sent: (bytes: number) => void;
}

/** A write that has not been taken for this long is looked up in the kernel. */
const SLOW_WRITE_MS = 4_000;

export class UploadConnection {
  readonly remote: string;
  /** Resolves when the socket is closed and nothing is read for it any more. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #world: UploadWorld;
  readonly #framer = new Framer({ maxPayloadBytes: MAX_REQUEST_BYTES });
  readonly #pace: ReadingPace;
  readonly #session: UploadSession;
  readonly #heard: () => void;
  #inputOver = false;
  /** The answer that is being made. */
  #turn: Promise<void> = Promise.resolve();
  /** When the write began that the kernel has not taken whole. */
  #writingSince: Milliseconds | undefined;
  #kernelBytes: number | undefined;
  /** A song's header is out, its last byte is not. */
  #owesBytes = false;
  /** Our side is closed; what still comes is discarded. */
  #lingering: { readonly until: Milliseconds; discarded: number } | undefined;

  /** `heard` is called when the first request is whole. */
  constructor(socket: Socket, world: UploadWorld, heard: () => void) {
    const now = world.clock.now();
    this.remote = formatHostPort(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    this.#socket = socket;
    this.#world = world;
    this.#heard = heard;
    this.#pace = new ReadingPace(now);
    this.#session = new UploadSession(now);
    this.closed = new Promise<void>(resolve => {
      socket.once('close', () => resolve());
    }).then(() => this.#turn);
  }

  /** Begins to read. The socket has an error listener already. */
  start(): void {
    this.#socket
      .on('data', chunk => this.#take(chunk))
      .on('end', () => {
        this.#inputOver = true;
        this.#read();
      })
      .once('close', () => {
        this.#world.rate.cancel(this);
        this.#perform(this.#session.lost());
      });
  }

  /** Answers what was asked, then closes. */
  finish(): void {
    this.#perform(this.#session.finish());
    this.#pauseOrResume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** To be called some times a second. */
  expire(now: Milliseconds): void {
    if (this.#lingering !== undefined) {
      if (now >= this.#lingering.until) this.#socket.destroy();
      return;
    }
    // Whatever keeps the listener waiting now, it is not the listener.
    if (this.#writingSince === undefined) this.#session.progressed(now);
    const tooSlow = this.#session.wantsInput ? this.#pace.expired(now) : undefined;
    this.#perform(
      tooSlow === undefined
        ? this.#session.expire(now, this.#world.slots.contended(now))
        : this.#session.fail(tooSlow, now),
    );
    this.#pauseOrResume();
  }

  /** Waits for the kernel to take a write, and it is unknown whether the listener takes anything at all. */
  isSlow(now: Milliseconds): boolean {
    return this.#writingSince !== undefined && now - this.#writingSince >= SLOW_WRITE_MS;
  }

  /** What the kernel holds for a slow listener: if it is other than last time, bytes were taken. */
  lookedUp(queues: SendQueues, now: Milliseconds): void {
    const { localPort = 0, remotePort = 0 } = this.#socket;
    const bytes = queues.get(queueKey({ localPort, remotePort }));
    if (this.#kernelBytes !== undefined && bytes !== undefined && bytes !== this.#kernelBytes)
      this.#session.progressed(now);
    this.#kernelBytes = bytes;
  }

  #take(chunk: Buffer): void {
    if (this.#lingering !== undefined) {
      this.#lingering.discarded += chunk.length;
      if (this.#lingering.discarded > DRAIN_BYTES) this.#socket.destroy();
      return;
    }
    this.#framer.push(chunk);
    this.#read();
  }

  /** Reads requests until one is not whole, or enough are waiting. */
  #read(): void {
    const { clock } = this.#world;
    try {
      while (this.#session.wantsInput) {
        const event = this.#framer.next();
        if (event === undefined) break;
        if (event.kind !== 'data' && event.kind !== 'end') this.#received(event);
        this.#perform(this.#session.receive(event, clock.now()));
      }
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      this.#world.logger.info({ remote: this.remote, code: error.code }, error.message);
      this.#perform(this.#session.fail(error, clock.now()));
    }
    this.#pace.received(this.#framer, clock.now());
    // With fewer than 16 owed, the loop has read all that came.
    if (this.#inputOver && this.#session.wantsInput) this.#perform(this.#session.finish());
    this.#pauseOrResume();
  }

  #received(event: Extract<FrameEvent, { kind: 'message' | 'stream' | 'unknown' }>): void {
    this.#heard();
    const { trace } = this.#world;
    if (trace === undefined) return;
    if (event.kind === 'unknown') trace(`${this.remote} > ${nameOf(event.type)}`);
    else trace(`${this.remote} > ${describe(event.kind === 'message' ? event.message : event.header)}`);
  }

  #pauseOrResume(): void {
    if (this.#session.wantsInput || this.#lingering !== undefined) this.#socket.resume();
    else this.#socket.pause();
  }

  #perform(effects: readonly UploadEffect[]): void {
    for (const effect of effects) {
      switch (effect.do) {
        case 'answer':
          this.#turn = this.#takeTurn(effect.request);
          break;
        case 'send':
          this.#turn = this.#takeTurn(effect.message);
          break;
        case 'echo':
          this.#world.proofs.ping(effect.value);
          break;
        case 'release-slot':
          this.#world.slots.release();
          break;
        case 'end':
          this.#linger();
          break;
        case 'abort':
          if (effect.why === 'stalled')
            this.#world.logger.info({ remote: this.remote }, 'a listener that takes nothing was dropped');
          this.#socket.destroy();
          break;
      }
    }
  }

  /** Half-closes, and waits a moment for the other side to do the same, so that no reset overtakes our last bytes. */
  #linger(): void {
    this.#lingering = { until: this.#world.clock.now() + DRAIN_MS, discarded: 0 };
    this.#socket.end();
  }

  async #takeTurn(turn: UploadRequest | Message): Promise<void> {
    try {
      if (isRequest(turn)) await this.#answer(turn);
      else await this.#send(turn);
    } catch (error) {
      if (!this.#socket.destroyed) this.#break(error);
      return;
    }
    this.#perform(this.#session.answered(this.#world.clock.now()));
    this.#read();
  }

  /** An answer that was begun cannot be kept. */
  #break(error: unknown): void {
    const fields = { remote: this.remote, err: error };
    if (error instanceof RequestError) this.#world.logger.warn(fields, 'a song changed while it was sent');
    else this.#world.logger.error(fields, 'an answer failed');
    this.#socket.resetAndDestroy();
  }

  /** Answers, with an ERROR where that is the answer. Rejects when the answer was begun and cannot be ended. */
  async #answer(request: UploadRequest): Promise<void> {
    try {
      await this.#reply(request);
    } catch (error) {
      if (this.#owesBytes || this.#socket.destroyed) throw error;
      await this.#send(this.#refusal(request, error));
    }
  }

  #refusal(request: UploadRequest, error: unknown): Message {
    const type = MESSAGE_TYPE[request.type];
    const song = 'song' in request ? request.song : NO_SONG;
    if (error instanceof RequestError) {
      const { code, message, retryAfterMs } = error;
      const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
      return errorMessage(song, { code, type, message, ...retry });
    }
    this.#world.logger.error({ remote: this.remote, err: error }, 'a request could not be answered');
    return errorMessage(song, { code: 'internal', type, message: 'this host could not answer' });
  }

  async #reply(request: UploadRequest): Promise<void> {
    const { host, lists, welcome } = this.#world;
    switch (request.type) {
      case 'HELLO':
        return await this.#send({ type: 'WELCOME', revision: 0, welcome });
      case 'LIST': {
        const { segments, length } = await lists.list();
        return await this.#stream({ type: 'LIST_INFO', revision: 0, length }, segments);
      }
      case 'INFO': {
        const { song } = request;
        if (song === NO_SONG) {
          const { segments, length } = await lists.infos();
          return await this.#stream({ type: 'SONG_INFO', song, length }, segments);
        }
        const row = host.info(song);
        return await this.#stream({ type: 'SONG_INFO', song, length: row.length }, [row]);
      }
      case 'HASHES': {
        const nodes = host.hashes(request);
        return await this.#stream({ type: 'HASH_LIST', song: request.song, length: nodes.length }, [nodes]);
      }
      case 'PLAY':
      case 'RANGE':
        return await this.#sendSong(request);
    }
  }

  async #sendSong(request: SongRequest): Promise<void> {
    const { host, cache, rate } = this.#world;
    const { song, offset, count } = host.range(request);
    this.#takeSlot();
    const reader = await cache.open(song);
    try {
      let header: Uint8Array[] = [this.#header({ type: 'SONG_DATA', song: request.song, length: count })];
      if (count === 0) await this.#write(header);
      const end = offset + count;
      for (let at = offset; at < end; ) {
        const granted = await rate.take(this, Math.min(end - at, SLICE_BYTES - (at % SLICE_BYTES)));
        this.#stillThere();
        const piece = await reader.read(at, granted);
        const { bytes } = piece;
        try {
          this.#stillThere();
          rate.giveBack(granted - bytes.length);
          at += bytes.length;
          this.#owesBytes = true;
          await this.#write([...header, bytes]);
          this.#world.sent(bytes.length);
        } finally {
          piece.release();
        }
        header = [];
      }
      this.#owesBytes = false;
    } finally {
      reader.close();
    }
  }

  #takeSlot(): void {
    if (this.#session.holdsSlot) return;
    const { slots, clock } = this.#world;
    if (!slots.take(clock.now())) {
      const message = `all ${slots.limit} upload slots are taken`;
      throw new RequestError('busy', message, { retryAfterMs: BUSY_RETRY_MS });
    }
    this.#session.slotTaken();
  }

  #stillThere(): void {
    if (this.#socket.destroyed) throw new TransportError('the listener left');
  }

  async #send(message: Message): Promise<void> {
    this.#world.trace?.(`${this.remote} < ${describe(message)}`);
    await this.#write([encode(message)]);
  }

  async #stream(header: StreamHeader, payload: readonly Uint8Array[]): Promise<void> {
    let first = [this.#header(header)];
    for (const segment of payload) {
      this.#owesBytes = true;
      await this.#write([...first, segment]);
      first = [];
    }
    this.#owesBytes = false;
  }

  #header(header: StreamHeader): Buffer {
    this.#world.trace?.(`${this.remote} < ${describe(header)}`);
    return encode(header);
  }

  /** One system call. Resolves when the kernel has everything; rejects when the connection is gone. */
  #write(chunks: readonly Uint8Array[]): Promise<void> {
    const { clock } = this.#world;
    this.#writingSince = clock.now();
    this.#kernelBytes = undefined;
    return new Promise((resolve, reject) => {
      const written = (error?: Error | null): void => {
        const now = clock.now();
        this.#writingSince = undefined;
        this.#session.progressed(now);
        if (error) reject(error);
        else resolve();
      };
      this.#socket.cork();
      for (const [index, chunk] of chunks.entries())
        this.#socket.write(chunk, index === chunks.length - 1 ? written : undefined);
      this.#socket.uncork();
    });
  }
}

const isRequest = (turn: UploadRequest | Message): turn is UploadRequest =>
  turn.type === 'LIST' ||
  turn.type === 'INFO' ||
  turn.type === 'PLAY' ||
  turn.type === 'RANGE' ||
  turn.type === 'HASHES' ||
  turn.type === 'HELLO';
