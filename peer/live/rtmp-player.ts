/**
 * What one RTMP connection plays: a live feed, or a stored song; nothing at first, and something else after a seek.
 *
 *     playFeed ─▶ on the air? ─▶ a place? ─▶ FeedPump     not yet: for ten seconds it may come
 *     playSong ─▶ here? ─▶ a slot? ───▶ RtmpSongPlayer    seek: another one, from there
 *
 * A song takes an upload slot, as over TSP (TSP §5.3); a player that pauses for long gives it back.
 */
import type { Socket } from 'node:net';
import type { RtmpEffect } from '../../protocol/rtmp/effects.js';
import type { ServerSession } from '../../protocol/rtmp/server-session.js';
import { SLOT_IDLE_MS } from '../../protocol/tsp/constants.js';
import { LINE_IS_FULL } from './feed-places.js';
import { FeedPump } from './feed-pump.js';
import type { LiveFeed } from './live-feed.js';
import type { RtmpWorld } from './rtmp-connection.js';
import { metadataOf, RtmpFeed } from './rtmp-media.js';
import { type RtmpSong, RtmpSongPlayer } from './rtmp-song-player.js';

/** Players look at five seconds of audio before they begin. */
const FEED_BURST_MS = 6_000;
/** For a feed that is about to come. */
const HOLD_MS = 10_000;

export interface Span {
  readonly startMs: number;
  /** Undefined: to the end. */
  readonly lengthMs: number | undefined;
}

/** The connection, as its player knows it. */
export interface PlayerConnection {
  readonly socket: Socket;
  readonly session: ServerSession;
  /** For what comes from outside; when it is done, what the client said next is read. */
  during(work: () => void): void;
  /** Only from within `during`. */
  perform(effects: readonly RtmpEffect[]): void;
}

export class RtmpPlayer {
  readonly #connection: PlayerConnection;
  readonly #world: RtmpWorld;
  #playing: FeedPump | RtmpSongPlayer | undefined;
  /** The last song player is over. */
  #songOver: Promise<void> = Promise.resolve();
  /** Undefined when it plays a feed. */
  #song: RtmpSong | undefined;
  #holdsSlot = false;
  #cancelRelease: (() => void) | undefined;
  #bufferMs = 0;
  #stopWaiting: (() => void) | undefined;

  constructor(connection: PlayerConnection, world: RtmpWorld) {
    this.#connection = connection;
    this.#world = world;
  }

  /** `lengthMs` undefined: to its end. */
  playFeed(name: string, lengthMs: Span['lengthMs']): void {
    const { feeds, clock } = this.#world;
    const feed = feeds.feed(name);
    if (feed !== undefined) {
      this.#beginFeed(feed, lengthMs);
      return;
    }
    const stopWatching = feeds.onChange(() => {
      const arrived = feeds.feed(name);
      if (arrived === undefined) return;
      this.#stopWaiting?.();
      this.#connection.during(() => this.#beginFeed(arrived, lengthMs));
    });
    const cancel = clock.after(HOLD_MS, () => {
      this.#stopWaiting?.();
      this.#connection.during(() => this.#notFound('Nothing is on the air under this name.'));
    });
    this.#stopWaiting = () => {
      this.#stopWaiting = undefined;
      stopWatching();
      cancel();
    };
  }

  playSong(name: string, span: Span): void {
    const song = this.#world.findSong(name);
    if (song === undefined) {
      this.#notFound('This peer has no such song.');
      return;
    }
    if (!this.#takeSlot()) {
      this.#turnAway();
      return;
    }
    const { session, perform } = this.#connection;
    const { duration, ...fields } = song.fields;
    // rtmpdump takes a part of the duration that it was told for a download that broke off.
    const about = metadataOf(span.lengthMs === undefined ? { duration, ...fields } : fields);
    perform(session.playing({ isRecorded: true, about }, this.#world.clock.now()));
    this.#song = song;
    this.#playing = this.#songPlayer(song, span, span.startMs);
  }

  /** A live feed goes on from the present, a song also where it was paused. */
  seek(ms: number): void {
    const { session, perform } = this.#connection;
    const song = this.#song;
    if (song === undefined) {
      perform(session.sought());
      return;
    }
    this.#cancelRelease?.();
    this.#playing?.stop();
    if (!this.#takeSlot()) {
      this.#turnAway();
      return;
    }
    perform(session.sought());
    this.#playing = this.#songPlayer(song, { startMs: ms, lengthMs: undefined }, 0);
  }

  pause(paused: boolean): void {
    this.#cancelRelease?.();
    if (paused) {
      this.#playing?.pause();
      this.#cancelRelease = this.#world.clock.after(SLOT_IDLE_MS, () => this.#releaseSlot());
    } else if (this.#song === undefined || this.#takeSlot()) this.#playing?.resume();
    else this.#turnAway();
  }

  buffer(ms: number): void {
    this.#bufferMs = ms;
    if (this.#playing instanceof RtmpSongPlayer) this.#playing.buffer(ms);
  }

  stop(): void {
    this.#stopWaiting?.();
    this.#playing?.stop();
    this.#playing = undefined;
    this.#song = undefined;
    this.#cancelRelease?.();
    this.#releaseSlot();
  }

  #takeSlot(): boolean {
    const { uploads, clock } = this.#world;
    this.#holdsSlot ||= uploads.slots.take(clock.now());
    return this.#holdsSlot;
  }

  #releaseSlot(): void {
    if (this.#holdsSlot) this.#world.uploads.slots.release();
    this.#holdsSlot = false;
  }

  /** Another host may have room; this connection is over. */
  #turnAway(why = this.#world.uploads.slots.whyFull): void {
    const { session, perform } = this.#connection;
    perform(session.refuse('NetStream.Play.Failed', `This peer is busy: ${why}.`));
  }

  #notFound(why: string): void {
    const { session, perform } = this.#connection;
    perform(session.refuse('NetStream.Play.StreamNotFound', why));
  }

  #beginFeed(feed: LiveFeed, lengthMs: Span['lengthMs']): void {
    const { socket, session, during, perform } = this.#connection;
    const { clock, runs, uploads } = this.#world;
    if (!feed.places.takeForPlay()) {
      this.#turnAway(LINE_IS_FULL);
      return;
    }
    const about = () => metadataOf({ ...feed.title, header: feed.format });
    perform(session.playing({ isRecorded: false, about: about() }, clock.now()));
    const frames = new RtmpFeed(feed, runs, session.roleStream);
    this.#playing = new FeedPump({
      feed,
      socket,
      uploads,
      clock,
      burstMs: FEED_BURST_MS,
      lengthMs,
      encode: run => frames.pieces(run),
      titled: () => session.tell(about()),
      over: how => {
        if (how === 'ended') during(() => perform(session.endPlay('feed')));
        if (how === 'enough') during(() => perform(session.endPlay('song')));
      },
    });
  }

  #songPlayer(song: RtmpSong, span: Span, beginsMs: number): RtmpSongPlayer {
    const { socket, session, during, perform } = this.#connection;
    const { clock, logger, uploads } = this.#world;
    const player = new RtmpSongPlayer({
      song,
      ...span,
      after: this.#songOver,
      uploads,
      beginsMs,
      bufferMs: this.#bufferMs,
      stream: session.roleStream,
      socket,
      clock,
      ended: () => during(() => perform(session.endPlay('song'))),
      failed: error => {
        logger.warn({ err: error }, 'a song could not be read for an RTMP player');
        socket.destroy();
      },
    });
    this.#songOver = player.over;
    return player;
  }
}
