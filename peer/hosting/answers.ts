/**
 * The bytes of each answer, written to one listener (TSP §3, §5.3).
 *
 *     PLAY, RANGE ─▶ Host: which song? ─▶ slot ─▶ SongCache ─▶ header and first slice in one write ─▶ slice …
 *
 * What cannot be answered becomes an ERROR in the answer's place, as long as no byte of the answer is out. After that
 * the promised length cannot be kept, and `answer` rejects: the connection is to be reset, for a clean end would lie.
 */
import { RequestError } from '../../protocol/errors.js';
import type { Clock, Logger } from '../../protocol/ports.js';
import { encode } from '../../protocol/tsp/codec.js';
import { MESSAGE_TYPE, NO_SONG, SWARM_FEATURE } from '../../protocol/tsp/constants.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import type { Message, SongId, StreamHeader, Welcome } from '../../protocol/tsp/messages.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { errorMessage, type SongRequest, type UploadRequest } from '../../protocol/tsp/upload.js';
import type { Slice } from '../../protocol/turns.js';
import { LINE_IS_FULL } from '../live/feed-places.js';
import type { LiveSong } from '../live/live-offers.js';
import type { Host, SongRange } from './host.js';
import type { ListenerSocket } from './listener-socket.js';
import { LiveAnswer } from './live-answer.js';
import type { PageArena } from './page-arena.js';
import type { RateLimit } from './rate-limit.js';
import { SLICE_BYTES } from './served-song.js';
import { BUSY_RETRY_MS } from './slots.js';
import type { SongCache, SongReader } from './song-cache.js';
import type { SongLists } from './song-lists.js';

/** What all connections of a server answer from. */
export interface AnswersWorld {
  readonly host: Host;
  readonly lists: SongLists;
  readonly cache: SongCache;
  /** Where songs may lie that are sent without being copied. */
  readonly arena: () => PageArena | undefined;
  readonly rate: RateLimit;
  readonly welcome: () => Welcome;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly trace?: WireTrace | undefined;
  /** Bytes of songs that were handed to the kernel. */
  readonly sent: (bytes: number) => void;
}

export class Answers {
  readonly #world: AnswersWorld;
  readonly #listener: ListenerSocket;
  readonly #remote: string;
  readonly #slice: Slice;
  readonly #takeSlot: (song: ContentHash) => void;
  /** Part of an answer is out, the rest is not. */
  #owesBytes = false;
  /** HELLO said that this listener can be in swarms. */
  #joinsSwarms = false;
  /** The live feed that is being sent. */
  #live: LiveAnswer | undefined;

  /** `takeSlot` throws RequestError `busy` when there is none. */
  constructor(
    world: AnswersWorld,
    listener: ListenerSocket,
    remote: string,
    slice: Slice,
    takeSlot: (song: ContentHash) => void,
  ) {
    this.#world = world;
    this.#listener = listener;
    this.#remote = remote;
    this.#slice = slice;
    this.#takeSlot = takeSlot;
  }

  /** Resolves when the kernel has the whole answer. Rejects when it was begun and cannot be ended. */
  async answer(request: UploadRequest): Promise<void> {
    try {
      await this.#reply(request);
    } catch (error) {
      if (this.#owesBytes || this.#listener.isGone) throw error;
      await this.send(this.#refusal(request, error));
    }
  }

  async send(message: Message): Promise<void> {
    this.#world.trace?.told(this.#remote, message);
    await this.#listener.write([encode(message)]);
  }

  /** Nothing is written any more: who waits for its share of the upload rate waits in vain. */
  cancel(): void {
    this.#world.rate.cancel(this);
    this.#live?.cancel();
  }

  #reply(request: UploadRequest): Promise<void> {
    const { host, welcome } = this.#world;
    switch (request.type) {
      case 'HELLO':
        this.#joinsSwarms = request.hello.features?.includes(SWARM_FEATURE) === true;
        return this.send({ type: 'WELCOME', revision: 0, welcome: welcome() });
      case 'LIST':
        return this.#list();
      case 'INFO':
        return this.#info(request.song);
      case 'HASHES': {
        const nodes = host.hashes(request);
        return this.#stream({ type: 'HASH_LIST', song: request.song, length: nodes.length }, [nodes]);
      }
      case 'PLAY':
      case 'RANGE':
        return this.#song(request);
    }
  }

  async #list(): Promise<void> {
    const { segments, length } = await this.#world.lists.list();
    await this.#stream({ type: 'LIST_INFO', revision: 0, length }, segments);
  }

  async #info(song: SongId | typeof NO_SONG): Promise<void> {
    const { host, lists } = this.#world;
    if (song === NO_SONG) {
      const { segments, length } = await lists.infos();
      await this.#stream({ type: 'SONG_INFO', song, length }, segments);
      return;
    }
    const row = host.info(song);
    await this.#stream({ type: 'SONG_INFO', song, length: row.length }, [row]);
  }

  /** Promises only where they must be: the kernel needs 50 us for a MiB, and each turn of a promise shows beside that. */
  #song(request: SongRequest): Promise<void> {
    const live = request.type === 'PLAY' ? this.#world.host.live(request.song) : undefined;
    if (live !== undefined) return this.#feed(live, request.song as SongId);
    const range = this.#world.host.range(request);
    this.#takeSlot(range.song.hash);
    const opening = this.#world.cache.open(range.song);
    return opening instanceof Promise
      ? opening.then(reader => this.#range(request, range, reader))
      : this.#range(request, range, opening);
  }

  async #range(request: SongRequest, range: SongRange, reader: SongReader): Promise<void> {
    const { rate, sent, arena } = this.#world;
    const end = range.offset + range.count;
    try {
      const header: StreamHeader = { type: 'SONG_DATA', song: request.song, length: range.count };
      let before: Uint8Array | undefined = this.#header(header);
      if (range.count === 0) await this.#listener.write([before]);
      for (let at = range.offset; at < end; ) {
        const granting = rate.take(this, Math.min(end - at, SLICE_BYTES - (at % SLICE_BYTES)));
        const granted = typeof granting === 'number' ? granting : await granting;
        this.#listener.stillThere();
        const reading = reader.read(at, granted);
        const { bytes, release } = reading instanceof Promise ? await reading : reading;
        try {
          this.#listener.stillThere();
          rate.giveBack(granted - bytes.length);
          this.#owesBytes = true;
          const sending = this.#listener.send(before, bytes, arena());
          if (sending !== undefined) {
            await sending;
            // Meanwhile the others had their turn.
            this.#slice.begin();
          }
        } finally {
          release();
        }
        sent(bytes.length);
        at += bytes.length;
        before = undefined;
        // A listener that is as quick as we are never makes us wait.
        const others = this.#slice.over();
        if (others !== undefined) await others;
      }
      this.#owesBytes = false;
    } finally {
      reader.close();
    }
  }

  async #feed(song: LiveSong, id: SongId): Promise<void> {
    const { rate, sent, trace } = this.#world;
    const { places } = song.feed;
    if (!places.takeForPlay()) throw new RequestError('busy', LINE_IS_FULL, { retryAfterMs: BUSY_RETRY_MS });
    trace?.line(`${this.#remote} < SONG_DATA ${id}, live, run after run`);
    const joinsSwarms = this.#joinsSwarms;
    this.#live = new LiveAnswer(song, id, { listener: this.#listener, rate, joinsSwarms, sent });
    // Once it has begun, nothing but its end can follow.
    this.#owesBytes = true;
    try {
      await this.#live.send();
      this.#owesBytes = false;
      this.#live = undefined;
    } finally {
      places.releaseFromPlay();
    }
  }

  async #stream(header: StreamHeader, payload: readonly Uint8Array[]): Promise<void> {
    let before: readonly Uint8Array[] = [this.#header(header)];
    for (const segment of payload) {
      this.#owesBytes = true;
      await this.#listener.write([...before, segment]);
      before = [];
    }
    this.#owesBytes = false;
  }

  #header(header: StreamHeader): Buffer {
    this.#world.trace?.told(this.#remote, header);
    return encode(header);
  }

  #refusal(request: UploadRequest, error: unknown): Message {
    const type = MESSAGE_TYPE[request.type];
    const song = 'song' in request ? request.song : NO_SONG;
    if (error instanceof RequestError) {
      const { code, message, retryAfterMs } = error;
      const retry = retryAfterMs === undefined ? {} : { retryAfterMs };
      return errorMessage(song, { code, type, message, ...retry });
    }
    this.#world.logger.error({ remote: this.#remote, err: error }, 'a request could not be answered');
    return errorMessage(song, { code: 'internal', type, message: 'this host could not answer' });
  }
}
