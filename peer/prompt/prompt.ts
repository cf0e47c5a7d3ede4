/**
 * The prompt on a terminal: readline below, the now-playing line above it, and news above both.
 *
 *     ▶ Title — Artist  1:02 ━━━━━──── 3:07  buffer 12 s      redrawn each second, on a resize, on news
 *     torero> play thr▏                                       typed text and cursor stay as they are
 *
 * Both lines are readline's prompt, so readline itself knows where everything is and redraws it. Nothing here waits:
 * a command that takes long is answered when it is answered, and the next one can be typed meanwhile.
 *
 * Ctrl-C clears the line, or else stops the song; Ctrl-D on an empty line leaves.
 */
import { createInterface, type Interface, type Key } from 'node:readline';
import type { Readable } from 'node:stream';
import type { ReadStream } from 'node:tty';
import type { Clock } from '../../protocol/ports.js';
import type { World } from '../world.js';
import type { Answer } from './answers.js';
import { CommandRunner } from './commands.js';
import { complete } from './complete.js';
import { type Command, parseLine } from './grammar.js';
import type { History } from './history.js';
import { ListChangeNotice } from './list-changes.js';
import { renderNowPlaying, renderScan } from './now-playing.js';
import { parseFailure } from './parse-failure.js';
import type { PeerEvent, PeerView } from './peer-view.js';
import { renderAnswer, renderEvent, SAY_WAITING_MS, waitingForTracker } from './render.js';
import { painted, type Style } from './style.js';
import { excessInReadline } from './terminal-text.js';

export const PROMPT = 'torero> ';
/** How often the clock of the now-playing line moves. */
const REDRAW_MS = 1_000;
/** While nothing sounds, whoever looks at the line wants to know what comes of it. */
const REDRAW_WAITING_MS = 250;

export interface PromptOptions {
  readonly peer: PeerView;
  readonly world: Pick<World, 'stdin' | 'stdout' | 'clock'>;
  readonly history: History;
  /** Asked again for every line, since windows change. */
  readonly style: () => Style;
}

export class Prompt {
  readonly #peer: PeerView;
  readonly #runner: CommandRunner;
  readonly #world: PromptOptions['world'];
  readonly #clock: Clock;
  readonly #history: History;
  readonly #style: () => Style;
  readonly #notice: ListChangeNotice;
  #readline: Interface | undefined;
  readonly #over: Promise<void>;
  #end: () => void = () => {};
  #isOver = false;
  #cancelRedraw: () => void = () => {};
  #stopListening: () => void = () => {};
  #scan: { readonly done: number; readonly total: number } | undefined;
  #shownAbove: string | undefined;
  /** By Ctrl-Z, since both lines were drawn. */
  #wasStopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor({ peer, world, history, style }: PromptOptions) {
    this.#peer = peer;
    this.#runner = new CommandRunner(peer);
    this.#world = world;
    this.#clock = world.clock;
    this.#history = history;
    this.#style = style;
    this.#over = new Promise(resolve => {
      this.#end = resolve;
    });
    this.#notice = new ListChangeNotice(
      world.clock,
      () => peer.list().songs,
      changes => this.#print(renderEvent({ kind: 'list', ...changes, changed: 0 }, style())),
    );
  }

  /** Resolves when one can type. */
  async open(): Promise<void> {
    const past = await this.#history.load();
    if (!this.#isOver) this.#open(past);
  }

  /** Resolves when the person has left (`quit`, Ctrl-D), or after `close`. */
  async left(): Promise<void> {
    await this.#over;
    await this.#history.settled();
  }

  /** Gives the terminal back. A command that still runs is not waited for. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const readline = this.#readline;
    this.#readline = undefined;
    this.#cancelRedraw();
    this.#stopListening();
    this.#notice.stop();
    // What is said next, a failure or the shell's own prompt, begins where ours stood.
    if (readline !== undefined) this.#world.stdout.write(eraser(readline));
    readline?.close();
    this.#end();
  }

  /** Lines above the prompt, whatever is being typed. */
  say(lines: readonly string[]): void {
    this.#print(lines);
  }

  #open(past: string[]): void {
    const { stdin, stdout } = this.#world;
    // Before readline sees Enter: a now-playing line that stays in the scroll-back would be yesterday's news.
    stdin.prependListener('keypress', this.#beforeKey);
    const readline = createInterface({
      input: stdin,
      output: stdout,
      terminal: true,
      history: past,
      historySize: past.length + 1_000,
      removeHistoryDuplicates: true,
      completer: (line: string) => complete(line, this.#peer.list().songs),
    });
    this.#readline = readline;
    readline.on('line', line => this.#entered(line));
    readline.on('SIGINT', () => this.#interrupted());
    readline.on('SIGCONT', () => this.#redraw());
    readline.on('close', () => {
      stdin.off('keypress', this.#beforeKey);
      if (this.#readline === undefined) return;
      this.#readline = undefined;
      stdout.write('\n');
      this.close();
    });
    const resized = (): void => this.#redraw();
    // Readline hears of it only behind its own Ctrl-Z: a shell that took the terminal for another reason left it cooked.
    const continued = (): void => {
      // Asked for the mode that Node believes it to have, a terminal stays as it is.
      this.#rawMode(false);
      this.#rawMode(true);
      this.#redraw();
    };
    process.on('SIGCONT', continued);
    // Before readline's own listener, which erases from where it believes the upper line to begin.
    stdout.prependListener('resize', this.#countRows);
    stdout.on('resize', resized);
    stdin.on('data', this.#countRows);
    const stopEvents = this.#peer.onEvent(event => this.#happened(event));
    this.#stopListening = () => {
      process.off('SIGCONT', continued);
      stdout.off('resize', this.#countRows);
      stdout.off('resize', resized);
      stdin.off('data', this.#countRows);
      stopEvents();
    };
    this.#redraw();
  }

  /**
   * Readline goes up by the rows that it drew last, but writes pasted text without counting those that it takes; and
   * terminals break both lines anew in a window of another width.
   */
  readonly #countRows = (): void => {
    const readline = this.#readline;
    if (readline !== undefined) Object.assign(readline, { prevRows: readline.getCursorPos().rows });
  };

  readonly #beforeKey = (_text: string, key: Partial<Key> | undefined): void => {
    if (key?.name === 'return' || key?.name === 'enter') this.#redraw('plain');
    if (key?.ctrl !== true || key.name !== 'z') return;
    // Readline stops the process, and the shell writes here; or there is no shell, and it goes on at once.
    this.#wasStopped = true;
    this.#world.stdout.write('\x1b[J');
    this.#cancelRedraw();
    this.#cancelRedraw = this.#clock.after(REDRAW_WAITING_MS, () => this.#redraw());
  };

  #entered(line: string): void {
    this.#history.add(line);
    const parsed = parseLine(line);
    if (parsed.is === 'command') {
      // One after the other: `play 10` and then `seek 30` mean what they say.
      this.#running = this.#running.then(() => this.#run(parsed.command));
      if (parsed.command.name === 'quit') this.#running = this.#running.then(() => this.close());
    } else if (parsed.is === 'problem') {
      this.#running = this.#running.then(() => this.#answer(parseFailure(parsed)));
    }
    this.#redraw();
  }

  async #run(command: Command): Promise<void> {
    // Nothing but the tracker is ever waited for.
    const cancel = this.#clock.after(SAY_WAITING_MS, () => {
      const { address } = this.#peer.status().tracker;
      this.say([waitingForTracker(address, this.#style())]);
    });
    const answer = await this.#runner.run(command);
    cancel();
    this.#answer(answer);
  }

  #answer(answer: Answer): void {
    this.#print(renderAnswer(answer, this.#style()));
  }

  #interrupted(): void {
    const readline = this.#readline;
    if (readline === undefined) return;
    if (readline.line !== '') {
      readline.write(null, { ctrl: true, name: 'e' });
      readline.write(null, { ctrl: true, name: 'u' });
      return;
    }
    const { state } = this.#peer.player.nowPlaying();
    if (state === 'stopped') this.#print(['Ctrl-D or quit leaves.']);
    else this.#peer.player.stop();
  }

  #happened(event: PeerEvent): void {
    if (event.kind === 'list') {
      this.#notice.add();
      return;
    }
    if (event.kind === 'scanning') this.#scan = { done: event.done, total: event.total };
    if (event.kind === 'library') this.#scan = undefined;
    const lines = renderEvent(event, this.#style());
    if (lines.length > 0) this.#print(lines);
    else if (this.#above() !== this.#shownAbove) this.#redraw();
  }

  /** What stands above the prompt now: one row, to readline too, which else would erase as many as it takes it for. */
  #above(): string | undefined {
    const style = this.#style();
    const line = this.#upperLine(style);
    const excess = excessInReadline(line ?? '');
    return excess === 0 ? line : this.#upperLine({ ...style, width: style.width - excess });
  }

  #upperLine(style: Style): string | undefined {
    const playing = renderNowPlaying(this.#peer.player.nowPlaying(), style);
    return playing ?? (this.#scan && renderScan(this.#scan.done, this.#scan.total, style));
  }

  #redraw(how: 'whole' | 'plain' = 'whole'): void {
    const { stdout } = this.#world;
    const readline = this.#readline;
    if (readline === undefined) return;
    this.#cancelRedraw();
    this.#goBelowShell(readline);
    this.#countRows();
    this.#shownAbove = how === 'plain' ? undefined : this.#above();
    const prompt = painted(PROMPT, 'bold', this.#style());
    readline.setPrompt(this.#shownAbove === undefined ? prompt : `${this.#shownAbove}\n${prompt}`);
    // One write instead of six: nothing half-drawn is ever seen.
    stdout.cork();
    readline.prompt(true);
    stdout.uncork();
    const { state } = this.#peer.player.nowPlaying();
    if (state === 'playing' || state === 'buffering') {
      const soon = state === 'playing' ? REDRAW_MS : REDRAW_WAITING_MS;
      this.#cancelRedraw = this.#clock.after(soon, () => this.#redraw());
    }
  }

  /** Whatever is drawn first after a stop goes up by the rows of both lines, and the shell has written below them. */
  #goBelowShell(readline: Interface): void {
    if (!this.#wasStopped) return;
    this.#wasStopped = false;
    // Readline does so on SIGCONT, which does not come to a process that was never stopped.
    this.#rawMode(true);
    this.#world.stdout.write('\n'.repeat(readline.getCursorPos().rows));
  }

  #rawMode(raw: boolean): void {
    const stdin: Readable & Pick<Partial<ReadStream>, 'setRawMode'> = this.#world.stdin;
    stdin.setRawMode?.(raw);
  }

  /** Erases both lines, writes `lines` there, and draws both lines below. */
  #print(lines: readonly string[]): void {
    const { stdout } = this.#world;
    const readline = this.#readline;
    if (readline === undefined) return;
    this.#goBelowShell(readline);
    const { rows } = readline.getCursorPos();
    // Readline goes up by the rows that it knows of before it redraws: so many empty ones are put there for it.
    stdout.write(`${eraser(readline)}${lines.join('\n')}\n${'\n'.repeat(rows)}`);
    this.#redraw();
  }
}

/** Takes both lines from the screen, and leaves the cursor where they began. */
function eraser(readline: Interface): string {
  const { rows } = readline.getCursorPos();
  return `\r${rows > 0 ? `\x1b[${rows}A` : ''}\x1b[J`;
}
