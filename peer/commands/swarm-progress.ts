/**
 * How far `swarm get` is: a line on a terminal, rows with `--json`. A stream has neither a size nor a bar.
 *
 *     file.bin  31.2 MB of 100 MB, 24.1 MB/s from 3 peers  ━━━━━━──────────────
 *     {"event":"progress","bytes":31200000,"size":100000000,"bytesPerSecond":24100000,"peers":3}
 */
import type { Milliseconds } from '../../protocol/ports.js';
import { counted, sizeOf } from '../prompt/render-song.js';
import { nameAndState, nameStateAndBar, StatusLine } from '../prompt/status-line.js';
import { styleOf } from '../prompt/style.js';
import { safeJson, safeText } from '../prompt/terminal-text.js';
import type { Failed } from '../swarm/tally.js';
import type { OneShot } from './one-shot.js';

const ROW_EVERY_MS = 1_000;
/** What counts for the rate. */
const RATE_MS = 3_000;

/** Names somebody who was caught. */
export const liarLine = ({ host, why }: Failed): string =>
  `tsp-peer: ${safeText(`${host} ${why}`)}: it is left alone.\n`;

export interface SwarmState {
  readonly bytes: number;
  readonly size?: number;
  readonly peers: number;
}

export class SwarmProgress {
  readonly #session: OneShot;
  readonly #name: string;
  readonly #hasRows: boolean;
  readonly #line: StatusLine;
  /** Bytes that were here at times within RATE_MS, oldest first. */
  readonly #marks: { readonly at: Milliseconds; readonly bytes: number }[] = [];
  #rowAt: Milliseconds;

  /** `hasRows`: standard output is free for them. */
  constructor(session: OneShot, name: string, hasRows: boolean) {
    const { world, config } = session;
    this.#session = session;
    this.#name = name;
    this.#hasRows = hasRows && config.json;
    this.#line = new StatusLine(world.stderr, world.isTerminal.stderr);
    this.#rowAt = world.clock.now() + ROW_EVERY_MS;
  }

  show(state: SwarmState): void {
    const now = this.#session.world.clock.now();
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

  #text({ bytes, size, peers }: SwarmState, rate: number): string {
    const { world, config } = this.#session;
    const style = styleOf('stderr', world, config);
    const amount = `${sizeOf(bytes)}${size === undefined ? '' : ` of ${sizeOf(size)}`}`;
    const from = peers === 0 ? 'waiting for a peer' : `${sizeOf(rate)}/s from ${counted(peers, 'peer')}`;
    const [name, state] = [safeText(this.#name), `${amount}, ${from}`];
    return size === undefined
      ? nameAndState(name, state, style.width)
      : nameStateAndBar(name, state, bytes / size, style);
  }
}
