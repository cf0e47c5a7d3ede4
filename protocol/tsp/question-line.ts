/**
 * Questions on one connection, answered one at a time and in their order (TSP §3): sixteen may wait.
 *
 *     add ─▶ [ … ] ─▶ next ─▶ begin ─▶ being answered elsewhere ─▶ done
 */
import { MAX_PIPELINED_REQUESTS, NO_SONG } from './constants.js';
import type { ErrorBody, Request, SongId } from './messages.js';

/** STOP and QUIT have no answer and never wait. */
export type Asked = Exclude<Request, { type: 'STOP' | 'QUIT' }>;

export type Question =
  | { readonly kind: 'request'; readonly request: Asked }
  /** Of a type that TSP/1 does not know. */
  | { readonly kind: 'unknown'; readonly type: number }
  /** The tracker's own: to enlist once more what could not be enlisted before. */
  | { readonly kind: 'again' };

/** What is being answered: a request by its type and song-ID field, or the tracker's own `again`. */
interface Begun {
  readonly type: number | undefined;
  readonly song: SongId | 0;
}

export class QuestionLine {
  readonly #waiting: Question[] = [];
  #begun: Begun | undefined;

  get isFull(): boolean {
    return this.#waiting.length >= MAX_PIPELINED_REQUESTS;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Something is being answered elsewhere. */
  get isBusy(): boolean {
    return this.#begun !== undefined;
  }

  /** The type of what is being answered; undefined for nothing, and for `again`. */
  get type(): number | undefined {
    return this.#begun?.type;
  }

  get song(): SongId | 0 {
    return this.#begun?.song ?? NO_SONG;
  }

  add(question: Question): void {
    this.#waiting.push(question);
  }

  /** The next one, unless something is being answered. */
  next(): Question | undefined {
    return this.isBusy ? undefined : this.#waiting.shift();
  }

  begin(type: number | undefined, song: SongId | 0 = NO_SONG): void {
    this.#begun = { type, song };
  }

  done(): void {
    this.#begun = undefined;
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  /** `error` as the answer to what is being answered: it names its type. */
  asAnswer(error: ErrorBody): ErrorBody {
    return this.type === undefined ? error : { ...error, type: this.type };
  }
}
