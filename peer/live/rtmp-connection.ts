/**
 * One RTMP connection: reads, asks the session, does what it says (protocol/rtmp/server-session.ts).
 *
 *     socket ─▶ session ─▶ effects ─▶ publish: a Publication ◀─ RtmpPublisher
 *                                  └▶ play: a FeedPump, or an RtmpSongPlayer of a stored song
 *
 * Whatever is thrown while a stranger's bytes are read ends this connection and nothing else. Keys are never logged.
 */
import type { Socket } from 'node:net';
import { RemoteProtocolError } from '../../protocol/errors.js';
import type { Clock, Logger, Milliseconds, RandomBytes } from '../../protocol/ports.js';
import type { AdobeAuth } from '../../protocol/rtmp/adobe-auth.js';
import { describe } from '../../protocol/rtmp/describe.js';
import type { RtmpEffect } from '../../protocol/rtmp/effects.js';
import { ServerSession } from '../../protocol/rtmp/server-session.js';
import type { WireOptions } from '../../protocol/rtmp/server-wire.js';
import { queryOf, streamPath } from '../../protocol/rtmp/stream-path.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import type { WireTrace } from '../../protocol/tsp/describe.js';
import type { LiveFrame } from './frame-ring.js';
import type { LiveFeeds } from './live-feeds.js';
import type { SharedRuns } from './live-runs.js';
import { type Publication, PublishRefused } from './publication.js';
import { type PlayerConnection, RtmpPlayer } from './rtmp-player.js';
import { RtmpPublisher } from './rtmp-publisher.js';
import type { FindSong, PlayerUploads } from './rtmp-song-player.js';

/** What was written has this long to arrive before the connection is cut. */
const FLUSH_MS = 10_000;

/** Of answers that the client does not take: then nothing more is read of it. A slow player's audio is less. */
const MAX_UNREAD_BYTES = 512 * 1024;

/** Where publishers prove that they know a key without saying it. */
const AUTH_ROOM = 'auth';
const LIVE_ROOM = 'live';
const SONGS_ROOM = 'songs';
const ROOMS: ReadonlySet<string> = new Set([AUTH_ROOM, LIVE_ROOM, SONGS_ROOM, '']);

/** Of a song, when what is said is traced: no key is so short. */
const SONG_NAME = /^\d{1,7}$/;

export interface RtmpWorld {
  readonly feeds: LiveFeeds;
  readonly findSong: FindSong;
  readonly uploads: PlayerUploads;
  /** What all players are sent alike. */
  readonly runs: SharedRuns<LiveFrame>;
  readonly auth: AdobeAuth;
  readonly trace?: WireTrace | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: RandomBytes;
}

export class RtmpConnection implements PlayerConnection {
  readonly socket: Socket;
  readonly session: ServerSession;
  readonly #world: RtmpWorld;
  readonly #greeted: () => void;
  readonly #remote: string;
  readonly #player: RtmpPlayer;
  /** Who logged in, in the room for that. */
  #user: string | undefined;
  #publisher: { readonly publication: Publication; readonly tags: RtmpPublisher } | undefined;
  #isBusy = false;

  /** `greeted` is called when it has said who it is. */
  constructor(socket: Socket, world: RtmpWorld, greeted: () => void) {
    const { clock, randomBytes } = world;
    this.socket = socket;
    this.#world = world;
    this.#greeted = greeted;
    this.#remote = formatHostPort(socket.remoteAddress ?? '', socket.remotePort ?? 0);
    const observe = world.trace && this.#observer(world.trace);
    this.session = new ServerSession({ randomBytes, observe, now: clock.now() });
    this.#player = new RtmpPlayer(this, world);
  }

  start(): void {
    this.socket.on('data', bytes =>
      this.during(() => this.perform(this.session.receive(bytes, this.#world.clock.now()))),
    );
    this.socket.on('drain', () => this.#readOn());
    this.socket.once('close', () => {
      this.#publisher?.publication.lost();
      this.#player.stop();
    });
  }

  expire(now: Milliseconds): void {
    this.during(() => this.perform(this.session.expire(now)));
  }

  /** The peer stops. */
  finish(): void {
    this.during(() => this.perform(this.session.dismiss('This peer is stopping.')));
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** What a question led to is done before the client's next words are read. */
  readonly during = (work: () => void): void => {
    if (this.#isBusy) {
      work();
      return;
    }
    this.#isBusy = true;
    try {
      work();
      const { clock } = this.#world;
      let more = this.session.proceed(clock.now());
      while (more.length > 0) {
        this.perform(more);
        more = this.session.proceed(clock.now());
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#isBusy = false;
    this.#readOn();
  };

  readonly perform = (effects: readonly RtmpEffect[]): void => {
    for (const effect of effects) this.#do(effect);
  };

  #readOn(): void {
    const { session, socket } = this;
    const isRead = session.wantsInput && socket.writableLength < MAX_UNREAD_BYTES;
    if (isRead || session.state === 'closed') socket.resume();
    else socket.pause();
  }

  #observer(trace: WireTrace): WireOptions['observe'] {
    const { feeds } = this.#world;
    const isPublic = (name: string): boolean => ROOMS.has(name) || feeds.has(name) || SONG_NAME.test(name);
    return (who, message, stream) =>
      trace.line(`${this.#remote} ${who === 'client' ? '>' : '<'} ${describe(message, stream, isPublic)}`);
  }

  #fail(error: unknown): void {
    const { logger } = this.#world;
    if (error instanceof RemoteProtocolError)
      logger.info({ remote: this.#remote, code: error.code }, `RTMP: ${error.message}`);
    else logger.error({ err: error, remote: this.#remote }, 'an RTMP connection failed');
    this.socket.destroy();
  }

  #do(effect: RtmpEffect): void {
    switch (effect.do) {
      case 'send':
        this.#send(effect.pieces);
        break;
      case 'connect':
        this.perform(this.#connect(effect.app));
        break;
      case 'publish':
        this.perform(this.#publish(effect));
        break;
      case 'play':
        this.#play(effect);
        break;
      case 'audio':
        this.#audio(effect.timestamp, effect.body);
        break;
      case 'metadata':
        this.#publisher?.tags.metadata(effect.values);
        break;
      case 'seek':
        this.#player.seek(effect.ms);
        break;
      case 'pause':
        this.#player.pause(effect.paused);
        break;
      case 'buffer-length':
        this.#player.buffer(effect.ms);
        break;
      case 'done':
        this.#publisher?.publication.end();
        this.#publisher = undefined;
        this.#player.stop();
        break;
      case 'close':
        this.#close(effect);
    }
  }

  #connect(app: string): RtmpEffect[] {
    const { auth, clock } = this.#world;
    const room = streamPath(app, '')?.room;
    if (room === undefined || !ROOMS.has(room))
      return this.session.reject('NetConnection.Connect.InvalidApp', 'Here are live/, songs/ and auth/.');
    if (room === AUTH_ROOM) {
      const answer = auth.judge(queryOf(app), clock.now());
      if ('rejected' in answer) return this.session.reject('NetConnection.Connect.Rejected', answer.rejected);
      this.#user = answer.user;
    }
    this.#greeted();
    return this.session.admit(clock.now());
  }

  #publish({ path }: Extract<RtmpEffect, { do: 'publish' }>): RtmpEffect[] {
    const { feeds, clock } = this.#world;
    const user = path?.room === AUTH_ROOM ? this.#user : undefined;
    const key = user === undefined ? path?.name : feeds.secretOf(user);
    if (key === undefined || (user === undefined && path?.room !== LIVE_ROOM))
      return this.session.refuse('NetStream.Publish.BadName', 'Publish to live/KEY.');
    try {
      const publication = feeds.publish({
        key,
        ...(user !== undefined && { name: user }),
        via: 'RTMP',
        remote: this.#remote,
        dismissed: why => this.during(() => this.#dismiss(why)),
      });
      this.#publisher = { publication, tags: new RtmpPublisher(publication) };
    } catch (error) {
      if (error instanceof PublishRefused) return this.session.refuse(codeOf(error), `${error.message}.`);
      throw error;
    }
    return this.session.publishing(clock.now());
  }

  #audio(timestamp: number, body: Uint8Array): void {
    try {
      this.#publisher?.tags.audio(timestamp, body);
    } catch (error) {
      if (!(error instanceof PublishRefused)) throw error;
      this.#world.logger.warn({ remote: this.#remote }, error.message);
      this.#publisher?.publication.end();
      this.#dismiss(error.message);
    }
  }

  #dismiss(why: string): void {
    this.#publisher = undefined;
    this.perform(this.session.dismiss(`${why}.`));
  }

  #play({ path, startMs, lengthMs }: Extract<RtmpEffect, { do: 'play' }>): void {
    if (path?.room === LIVE_ROOM) this.#player.playFeed(path.name, lengthMs);
    else if (path?.room === SONGS_ROOM) this.#player.playSong(path.name, { startMs, lengthMs });
    else this.perform(this.session.refuse('NetStream.Play.StreamNotFound', 'Play live/NAME or songs/ID.'));
  }

  #send(pieces: readonly Uint8Array[]): void {
    const socket = this.socket;
    socket.cork();
    for (const piece of pieces) socket.write(piece);
    socket.uncork();
  }

  /** The other side reads why, then sees our FIN; one that takes neither is cut off. */
  #close({ afterMs, why }: Extract<RtmpEffect, { do: 'close' }>): void {
    const { clock, logger } = this.#world;
    logger.debug({ remote: this.#remote }, `an RTMP connection is closed: ${why}`);
    this.#player.stop();
    const socket = this.socket;
    socket.resume();
    const cancelEnd = clock.after(afterMs, () => socket.end());
    const cancelCut = clock.after(afterMs + FLUSH_MS, () => socket.destroy());
    socket.once('close', () => {
      cancelEnd();
      cancelCut();
    });
  }
}

/** OBS stops for these and shows why; for another code it would try again for ever. */
function codeOf({ reason }: PublishRefused): string {
  return reason === 'already-live' ? 'NetStream.Publish.BadName' : 'NetStream.Publish.Rejected';
}
