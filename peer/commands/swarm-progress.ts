/**
 * How far `swarm get` is: a line on a terminal, rows with `--json`. A stream has neither a size nor a bar. Where it waits longer
 * than a moment for a peer, for one that has more, or for a place at one, that is said once, and once more when it is there.
 *
 *     file.bin  31.2 MB of 100 MB, 24.1 MB/s from 3 peers  ━━━━━━──────────────
 *     {"event":"progress","bytes":31200000,"size":100000000,"bytesPerSecond":24100000,"peers":3}     "lacks":"chunks" if it waits
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { EXIT } from '../failures/failure.js';
import { counted, sizeOf } from '../prompt/render-song.js';
import { nameAndState, nameStateAndBar, StatusLine } from '../prompt/status-line.js';
import { safeJson, safeText } from '../prompt/terminal-text.js';
import type { Lack } from '../swarm/joining.js';
import type { Failed } from '../swarm/tally.js';
import type { OneShot } from './one-shot.js';

const ROW_EVERY_MS = 1_000;
/** What counts for the rate. */
const RATE_MS = 3_000;
const REDRAW_MS = 200;
/** Something lacks for so long: it is said what is waited for. */
const SAY_LACK_MS = 4_000;

/** What is to be done where nobody answers. */
export const SEEDS_WANTED =
  'Seeds of this very ID have to be there, with the same --chunk-size, and --tcp at both ends or at neither.';

/** What is said of a lack, to a person. */
const WAITING: Readonly<Record<Lack, { readonly message: string; readonly hint: string }>> = {
  peer: { message: 'no peer answers: waiting for one.', hint: SEEDS_WANTED },
  chunks: {
    message: 'no peer has more of it: waiting for one that has.',
    hint: 'A seed of this very ID has to be there, or somebody who got further.',
  },
  place: {
    message: 'no peer has a place for more: waiting for one that has.',
    hint: 'Those who are there give as much as they may: --slots, --max-upload or --no-serve limits it there.',
  },
};

/** Names somebody who was caught. */
export const liarLine = ({ host, why }: Failed): string =>
  `tsp-peer: ${safeText(`${host} ${why}`)}: it is left alone.\n`;

export interface SwarmState {
  readonly bytes: number;
  readonly size?: number;
  readonly peers: number;
  readonly lacks?: Lack | undefined;
}

export interface SwarmProgressOptions {
  /** Standard output is free for rows. */
  readonly hasRows: boolean;
  /** A lack is no failure, or not soon: it is said. */
  readonly waits: boolean;
}

export class SwarmProgress {
  readonly #session: OneShot;
  readonly #name: string;
  readonly #hasRows: boolean;
  readonly #waits: boolean;
  readonly #line: StatusLine;
  /** Bytes that were here at times within RATE_MS, oldest first. */
  readonly #marks: { readonly at: Milliseconds; readonly bytes: number }[] = [];
  #rowAt: Milliseconds;
  #lack: Lack | undefined;
  #lacksSince: Milliseconds;
  #saidLack: Lack | undefined;

  constructor(session: OneShot, name: string, { hasRows, waits }: SwarmProgressOptions) {
    const { world, config } = session;
    this.#session = session;
    this.#name = name;
    this.#hasRows = hasRows && config.json;
    this.#waits = waits;
    this.#line = new StatusLine(world, config);
    this.#lacksSince = world.clock.now();
    this.#rowAt = this.#lacksSince + ROW_EVERY_MS;
  }

  /** Shows at once, and again and again until it is ended. */
  follow(state: () => SwarmState): () => void {
    let cancel = (): void => {};
    const again = (): void => {
      this.show(state());
      cancel = this.#session.world.clock.after(REDRAW_MS, again);
    };
    again();
    return () => cancel();
  }

  show(state: SwarmState): void {
    const now = this.#session.world.clock.now();
    if (this.#waits) this.#sayLack(state, now);
    this.#marks.push({ at: now, bytes: state.bytes });
    while (now - this.#marks[0]!.at > RATE_MS) this.#marks.shift();
    const [first] = this.#marks;
    const seconds = (now - first!.at) / 1_000;
    const rate = seconds === 0 ? 0 : Math.round((state.bytes - first!.bytes) / seconds);
    this.#line.show(this.#text(state, rate));
    if (!this.#hasRows || now < this.#rowAt) return;
    this.#rowAt = now + ROW_EVERY_MS;
    void this.#session.write([safeJson({ event: 'progress', ...state, bytesPerSecond: rate })]);
  }

  clear(): void {
    this.#line.clear();
  }

  /** Says something that stays, above the line. */
  tell(text: string): void {
    this.clear();
    this.#session.world.stderr.write(text);
  }

  #sayLack({ peers, lacks }: SwarmState, now: Milliseconds): void {
    const { config } = this.#session;
    if (lacks !== this.#lack) this.#lacksSince = now;
    this.#lack = lacks;
    if (lacks === undefined) {
      const row = { event: 'peers', peers };
      if (this.#saidLack !== undefined)
        this.tell(config.json ? `${safeJson(row)}\n` : 'tsp-peer: a peer is there.\n');
      this.#saidLack = undefined;
    } else if (lacks !== this.#saidLack && now - this.#lacksSince >= SAY_LACK_MS) {
      this.#saidLack = lacks;
      this.clear();
      this.#session.report({ code: 'unreachable', exitCode: EXIT.unavailable, ...WAITING[lacks] });
    }
  }

  #text({ bytes, size, peers, lacks }: SwarmState, rate: number): string {
    const { style } = this.#line;
    const amount = `${sizeOf(bytes)}${size === undefined ? '' : ` of ${sizeOf(size)}`}`;
    const here = counted(peers, 'peer');
    const waits = {
      peer: 'waiting for a peer',
      chunks: `waiting for more of it beside ${here}`,
      place: `waiting for a place at ${here}`,
    };
    const from = lacks === undefined ? `${sizeOf(rate)}/s from ${here}` : waits[lacks];
    const [name, state] = [safeText(this.#name), `${amount}, ${from}`];
    return size === undefined
      ? nameAndState(name, state, style.width)
      : nameStateAndBar(name, state, bytes / size, style);
  }
}
