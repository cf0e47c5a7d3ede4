/**
 * PLAY of a live feed, for one listener: what plays, a burst of the last second, then run after run (TSP §5.5).
 *
 *     SONG_INFO ─▶ SONG_DATA … ─▶ [SONG_INFO when the title changes] ─▶ SONG_DATA … ─▶ SONG_DATA of length 0
 *
 * A run is taken when the one before is in the kernel; a listener for whom that takes too long finds that the oldest
 * frames have left the ring. It needs no upload slot, but its share of the upload rate.
 */
import { encode } from '../../protocol/tsp/codec.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import { encodeRow } from '../../protocol/tsp/rows.js';
import type { LiveSong } from '../live/live-offers.js';
import { takeRun } from '../live/live-runs.js';
import type { ListenerSocket } from './listener-socket.js';
import type { RateLimit } from './rate-limit.js';
import { infoRow } from './song-lists.js';

/** What a listener of ours holds before it begins; less than players of other protocols want. */
const BURST_MS = 1_000;
/** One that goes on in the swarm is so far behind the source that the swarm can be, too. */
const SWARM_BURST_MS = 3_000;

export interface LiveAnswerWorld {
  readonly listener: ListenerSocket;
  readonly rate: RateLimit;
  /** The listener said that it can be in swarms. */
  readonly joinsSwarms: boolean;
  /** Bytes of music that were handed to the kernel. */
  readonly sent: (bytes: number) => void;
}

export class LiveAnswer {
  readonly #song: LiveSong;
  readonly #id: SongId;
  readonly #world: LiveAnswerWorld;
  #wake = (): void => {};
  #hasNews = true;
  #isOver = false;

  constructor(song: LiveSong, id: SongId, world: LiveAnswerWorld) {
    this.#song = song;
    this.#id = id;
    this.#world = world;
  }

  /** Resolves when the feed has ended and the listener knows it; rejects with TransportError when the listener left. */
  async send(): Promise<void> {
    const { feed, swarm } = this.#song;
    const { listener, joinsSwarms } = this.#world;
    const burstMs = joinsSwarms && swarm !== undefined ? SWARM_BURST_MS : BURST_MS;
    let lostFrames = 0;
    const reader = feed.join(burstMs, {
      frames: () => this.#wake(),
      titled: () => {
        this.#hasNews = true;
        this.#wake();
      },
      ended: () => {
        this.#isOver = true;
        this.#wake();
      },
    });
    try {
      for (;;) {
        listener.stillThere();
        const run = takeRun(reader, { endMs: feed.endMs, isOver: this.#isOver });
        const [next = reader.peek()] = run;
        // A run that does not follow the last one says where it lies.
        const isElsewhere = swarm !== undefined && reader.lostFrames !== lostFrames;
        lostFrames = reader.lostFrames;
        if (this.#hasNews || isElsewhere) await this.#tell(next?.atByte ?? feed.endByte);
        if (run.length > 0) await this.#sendRun(this.#song.runBytes(this.#id, run));
        else if (this.#isOver) break;
        else await new Promise<void>(resolve => this.#sleep(resolve));
      }
      await listener.write([encode({ type: 'SONG_DATA', song: this.#id, length: 0 })]);
    } finally {
      reader.leave();
    }
  }

  /** The listener has gone: what waits for the next frame looks again. */
  cancel(): void {
    this.#world.rate.cancel(this);
    this.#wake();
  }

  #sleep(wake: () => void): void {
    this.#wake = wake;
  }

  /** What plays, and where in the swarm's stream what follows lies. */
  async #tell(byteOfFeed: number): Promise<void> {
    this.#hasNews = false;
    const { swarm } = this.#song;
    const at = swarm && { at: swarm.source.positionOf(byteOfFeed) };
    const row = encodeRow({ ...infoRow(this.#song, this.#id), ...at });
    await this.#world.listener.write([
      encode({ type: 'SONG_INFO', song: this.#id, length: row.length }),
      row,
    ]);
  }

  async #sendRun(bytes: Buffer): Promise<void> {
    const { listener, rate, sent } = this.#world;
    await rate.takeAll(this, bytes.length);
    listener.stillThere();
    await listener.write([bytes]);
    sent(bytes.length);
  }
}
