/**
 * Which output plays: the one that was asked for, or of `auto` the first that works, and why that one.
 *
 *     auto: speaker ─▶ pw-play ─▶ aplay ─▶ paplay ─▶ ffplay ─▶ none
 *              └ each failure with its reason, for the person who wonders why it is so quiet
 *
 * One that breaks while it plays is tried again, since drivers hiccup; three times in a minute is no hiccup. Pure.
 */
import type { Milliseconds } from '../../protocol/ports.js';
import type { OutputSpec } from './audio-messages.js';
import type { OutputFault } from './outputs/output.js';

const AUTO: readonly OutputSpec['kind'][] = ['speaker', 'pw-play', 'aplay', 'paplay', 'ffplay'];
const NAMED: readonly string[] = [...AUTO, 'null', 'stdout'];
/** Why an output plays that was named. */
export const AS_ASKED = 'as asked';
const MAX_STRIKES = 3;
const STRIKES_WITHIN_MS = 60_000;

export interface OutputWishes {
  /** With `stdout`: the song as it is. */
  readonly raw?: boolean | undefined;
  /** With `auto`: where nothing sounds, `null`, so that a song is seen to play. */
  readonly orSilence?: boolean | undefined;
}

/** What is asked for by `--output`; undefined if that is no output. The first of several that works is used. */
export function parseOutput(
  text: string,
  { raw = false, orSilence = false }: OutputWishes = {},
): readonly OutputSpec[] | undefined {
  if (text === 'auto') return [...AUTO, ...(orSilence ? (['null'] as const) : [])].map(kind => ({ kind }));
  if (text.startsWith('file:')) return text.length > 5 ? [{ kind: 'file', path: text.slice(5) }] : undefined;
  if (!NAMED.includes(text)) return undefined;
  const kind = text as OutputSpec['kind'];
  return [kind === 'stdout' && raw ? { kind, raw } : { kind }];
}

export class OutputChoice {
  readonly #candidates: readonly OutputSpec[];
  #index = 0;
  #failures: { readonly kind: string; readonly why: string; readonly fault: OutputFault }[] = [];
  #strikes: Milliseconds[] = [];
  /** A file that was begun is gone on with. */
  #keepBytes: number | undefined;

  constructor(candidates: readonly OutputSpec[]) {
    this.#candidates = candidates;
  }

  /** The output to try or to use; undefined when all have failed. */
  get current(): OutputSpec | undefined {
    const spec = this.#candidates[this.#index];
    return spec !== undefined && this.#keepBytes !== undefined
      ? { ...spec, keepBytes: this.#keepBytes }
      : spec;
  }

  /** Why it is this one, in words. */
  get why(): string {
    if (this.#failures.length > 0) return this.#failures.map(({ why }) => why).join('; ');
    return this.#candidates.length > 1 ? 'the first that works' : AS_ASKED;
  }

  /** Why there is none, as the last one's fault. */
  get fault(): OutputFault {
    return this.#failures.at(-1)?.fault ?? 'missing';
  }

  /** How long the output is that keeps what is written, where the sound was last told to be. */
  holds(bytes: number): void {
    this.#keepBytes = bytes;
  }

  /** It can't be used here: the next one's turn. */
  failed(why: string, fault: OutputFault): void {
    const kind = this.#candidates[this.#index]?.kind ?? 'output';
    this.#failures.push({ kind, fault, why: why.includes(kind) ? why : `${kind}: ${why}` });
    this.#index++;
    this.#strikes = [];
  }

  /** It worked and broke. Tried again, unless that is no use or it broke too often. */
  broke(why: string, fault: OutputFault, now: Milliseconds): void {
    this.#strikes = [...this.#strikes.filter(at => now - at < STRIKES_WITHIN_MS), now];
    if (fault !== 'broken' || this.#strikes.length >= MAX_STRIKES) this.failed(why, fault);
  }

  /** All over again: a person may have plugged something in. */
  reset(): void {
    this.#index = 0;
    this.#failures = [];
    this.#strikes = [];
  }
}
