/** Who gave how much of a swarm's content, and who failed and why, for a person: the last line of a song or a file. */
import type { EndReason } from '../../protocol/ppspp/channel.js';

/** What is said of a peer when it is gone. */
export const REASONS: Readonly<Record<Exclude<EndReason, 'closed'>, string>> = {
  unanswered: 'does not answer',
  dead: 'has fallen silent',
  lies: 'sent what is not in the file',
  nonsense: 'does not keep to the protocol',
};

/** For a person. The oldest are forgotten first: a seed that runs for months sees many who come and fail. */
const MAX_FAILED = 1_000;

export interface Source {
  /** `host:port`. */
  readonly host: string;
  readonly bytes: number;
}

export interface Failed {
  readonly host: string;
  readonly why: string;
  readonly lied?: true;
}

export class Tally {
  readonly #sources = new Map<string, number>();
  readonly #failed = new Map<string, Failed>();

  /** Most first. */
  get sources(): Source[] {
    return [...this.#sources].map(([host, bytes]) => ({ host, bytes })).sort((a, b) => b.bytes - a.bytes);
  }

  get failed(): Failed[] {
    return [...this.#failed.values()];
  }

  came(host: string, bytes: number): void {
    this.#sources.set(host, (this.#sources.get(host) ?? 0) + bytes);
  }

  /** It is there, whatever it was before; a lie is not forgotten. */
  here(host: string): void {
    if (this.#failed.get(host)?.lied !== true) this.#failed.delete(host);
  }

  /** True: it was not known for a liar before. */
  gone(host: string, why: string, lied: boolean): boolean {
    const isNews = lied && this.#failed.get(host)?.lied !== true;
    this.#failed.set(host, { host, why, ...(lied ? { lied } : {}) });
    if (this.#failed.size > MAX_FAILED) this.#failed.delete(this.#failed.keys().next().value!);
    return isNews;
  }

  /** Why nobody is left. */
  nobody(): string {
    const said = this.failed.map(({ host, why }) => `${host} ${why}`).join(', ');
    if (said !== '') return `no peer is left: ${said}`;
    return this.#sources.size > 0 ? 'no peer is left' : 'no peer answers';
  }
}
