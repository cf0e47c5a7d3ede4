/**
 * The hosts of one song in one fetch: who may still be asked, from when, and what became of the others.
 *
 * The rule: every host that did not help is remembered with its reason, so that a song that can't be had says why,
 * host by host.
 */
import { type ErrorCode, RequestError, TransportError } from '../../protocol/errors.js';
import type { Milliseconds } from '../../protocol/ports.js';
import type { HostBook } from './choose-host.js';
import type { FetchReport } from './song-stream.js';

/** Why a listener waits. */
export const ALL_ARE_BUSY = 'all hosts are busy, trying again';

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 4_000;

interface Trial {
  /** Infinity: not again in this fetch. */
  tryAt: Milliseconds;
  failures: number;
  why?: string;
  code?: ErrorCode;
  lied?: boolean;
}

export class HostTrials {
  readonly #book: HostBook;
  readonly #trials = new Map<string, Trial>();

  constructor(book: HostBook, hosts: readonly string[]) {
    this.#book = book;
    this.add(hosts);
  }

  /** Hosts that were named later. One that was struck off stays so. */
  add(hosts: readonly string[]): void {
    for (const host of hosts) this.#trial(host);
  }

  /** Hosts of which anybody has spoken. */
  get count(): number {
    return this.#trials.size;
  }

  /** Those that may be asked now, the best first. */
  ready(now: Milliseconds, inUse: ReadonlySet<string>): string[] {
    const ready = [...this.#trials].filter(([host, { tryAt }]) => tryAt <= now && !inUse.has(host));
    return this.#book.rank(
      ready.map(([host]) => host),
      now,
    );
  }

  /** When the next host may be asked again; undefined when all are struck off. */
  nextTryAt(): Milliseconds | undefined {
    const earliest = Math.min(...[...this.#trials.values()].map(trial => trial.tryAt));
    return Number.isFinite(earliest) ? earliest : undefined;
  }

  /** It may come back by itself: `retry` tries it again, later each time. */
  failed(host: string, why: string, then: { readonly retry: boolean; readonly now: Milliseconds }): void {
    const trial = this.#trial(host);
    trial.why = why;
    trial.tryAt = then.retry
      ? then.now + Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** trial.failures)
      : Number.POSITIVE_INFINITY;
    trial.failures += 1;
  }

  /** Not before `until`; without `why` it did nothing wrong. */
  rest(host: string, why: string | undefined, until: Milliseconds, code?: ErrorCode): void {
    const trial = this.#trial(host);
    trial.tryAt = until;
    if (why !== undefined) trial.why = why;
    if (code !== undefined) trial.code = code;
  }

  /** It will not have the song, however often it is asked. */
  refused(host: string, why: string, code?: ErrorCode): void {
    this.rest(host, why, Number.POSITIVE_INFINITY, code);
  }

  lied(host: string, why: string): void {
    this.refused(host, why);
    this.#trial(host).lied = true;
  }

  failures(): FetchReport['failed'] {
    return [...this.#trials].flatMap(([host, { why, lied }]) =>
      why === undefined ? [] : [{ host, why, ...(lied === true ? { lied } : {}) }],
    );
  }

  /** Why nobody is asked at the moment. */
  get shortage(): string {
    return this.#areBusy ? ALL_ARE_BUSY : 'no host left, trying again';
  }

  /** Why the song can't be had; to be asked once nobody is left. */
  verdict(): TransportError | RequestError {
    const trials = [...this.#trials.values()];
    const reasons = this.failures().map(({ host, why }) => `${host} ${why}`);
    if (reasons.length === 0) return new TransportError('nobody hosts the song at the moment');
    const message = `no host could send the song: ${reasons.join('; ')}`;
    if (this.#areBusy) return new RequestError('busy', message);
    const hasNot = (trial: Trial): boolean =>
      trial.lied === true || trial.code === 'song-changed' || trial.code === 'no-such-song';
    if (trials.every(trial => trial.code === 'no-such-song'))
      return new RequestError('no-such-song', message);
    return trials.every(hasNot) ? new RequestError('song-changed', message) : new TransportError(message);
  }

  /** Who is not struck off is busy. */
  get #areBusy(): boolean {
    const trials = [...this.#trials.values()];
    const isBusy = ({ code }: Trial): boolean => code === 'busy';
    return (
      trials.some(isBusy) && trials.every(trial => isBusy(trial) || trial.tryAt === Number.POSITIVE_INFINITY)
    );
  }

  #trial(host: string): Trial {
    const trial = this.#trials.get(host) ?? { tryAt: Number.NEGATIVE_INFINITY, failures: 0 };
    this.#trials.set(host, trial);
    return trial;
  }
}
