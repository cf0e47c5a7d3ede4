/**
 * Commands from a stdin that is no terminal: read line by line, answered plainly, or with `--json` as one object each.
 *
 *     printf 'play 10 11\n' | tsp-peer        «Playing 2 songs» … ▶ … ■ started in 9 ms · … ▶ … ■ …        exit 0
 *
 * The end of the input is no `quit`: the queue plays out. The exit code is that of the last command, or song, that
 * failed.
 */
import { createInterface, type Interface } from 'node:readline';
import type { Readable } from 'node:stream';
import { EXIT, failureOf } from '../failures/failure.js';
import { type Answer, answerAsJson, eventAsJson } from './answers.js';
import { CommandRunner } from './commands.js';
import { parseLine } from './grammar.js';
import { parseFailure } from './parse-failure.js';
import type { PeerEvent, PeerView } from './peer-view.js';
import { renderAnswer, renderEvent } from './render.js';
import type { Style } from './style.js';
import { safeJson } from './terminal-text.js';

/** Events that nobody reads may not pile up: past this they are lost, answers never. */
export const MAX_UNREAD_BYTES = 1024 * 1024;

export interface ScriptOptions {
  readonly peer: PeerView;
  readonly input: Readable;
  readonly json: boolean;
  readonly style: Style;
  /** One line without its newline, to where answers go. */
  readonly write: (line: string) => void;
  /** What was written and not read yet. */
  readonly unreadBytes?: () => number;
  /** What is no answer, for a person who watches. */
  readonly remark: (line: string) => void;
  /** Commands wait for this: a list that is asked for at once should not be empty. */
  readonly ready: Promise<unknown>;
}

/** What a script may want to read; the rest are remarks. */
const ABOUT_SONGS: ReadonlySet<PeerEvent['kind']> = new Set(['started', 'title', 'ended', 'library']);

export class Script {
  readonly #options: ScriptOptions;
  readonly #runner: CommandRunner;
  #lines: Interface | undefined;
  #exitCode: number = EXIT.ok;

  constructor(options: ScriptOptions) {
    this.#options = options;
    this.#runner = new CommandRunner(options.peer);
  }

  /** Of the last command or song that failed, so far. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** Resolves with whether the input ended by `quit`; otherwise it simply ended. */
  async run(): Promise<'quit' | 'end'> {
    await this.#options.ready;
    const { input } = this.#options;
    this.#lines = createInterface({ input, terminal: false, crlfDelay: Number.POSITIVE_INFINITY });
    const lines = this.#lines[Symbol.asyncIterator]();
    for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
      if (await this.#perform(line.value)) return 'quit';
    }
    return 'end';
  }

  /** Reads no further. */
  close(): void {
    this.#lines?.close();
  }

  /** Resolves when nothing sounds any more: the queue is played out, or paused for ever. */
  async playedOut(): Promise<void> {
    const { peer } = this.#options;
    const silent = (): boolean => ['stopped', 'paused'].includes(peer.player.nowPlaying().state);
    if (silent()) return;
    await new Promise<void>(resolve => {
      const stop = peer.onEvent(event => {
        if (event.kind !== 'idle' && event.kind !== 'progress') return;
        if (!silent()) return;
        stop();
        resolve();
      });
    });
  }

  /** Says what happened by itself, and remembers a song that failed. */
  happened(event: PeerEvent): void {
    const { json, write, remark, style } = this.#options;
    if (event.kind === 'ended' && event.outcome === 'failed')
      this.#exitCode = failureOf(event.error).exitCode;
    if ((this.#options.unreadBytes?.() ?? 0) > MAX_UNREAD_BYTES) return;
    if (json) {
      const object = eventAsJson(event);
      if (object !== undefined) write(safeJson(object));
      return;
    }
    if (event.kind === 'list') return;
    for (const line of renderEvent(event, style)) (ABOUT_SONGS.has(event.kind) ? write : remark)(line);
  }

  /** True when the command was `quit`. */
  async #perform(line: string): Promise<boolean> {
    const parsed = parseLine(line);
    if (parsed.is === 'nothing') return false;
    if (parsed.is === 'problem') {
      this.#answer(parsed.name ?? line.trim().split(/\s/, 1)[0]!, parseFailure(parsed));
      return false;
    }
    this.#answer(parsed.command.name, await this.#runner.run(parsed.command));
    return parsed.command.name === 'quit';
  }

  #answer(name: string, answer: Answer): void {
    const { json, write, style } = this.#options;
    if (answer.kind === 'failure') this.#exitCode = answer.failure.exitCode;
    if (json) write(safeJson(answerAsJson(name, answer)));
    else for (const line of renderAnswer(answer, style)) write(line);
  }
}
