/**
 * Drives a command as a person at a terminal does: a real pseudo-terminal, made by `script` of util-linux, so that no
 * native module is needed.
 *
 *     test ──type()──▶ script ──pty──▶ tsp-peer          const terminal = await openTerminal(t, 'tsp-peer', [...]);
 *     test ◀─screen─── script ◀─pty─── tsp-peer          await terminal.shows(/torero> /);  terminal.type('list\r');
 *
 * Keys: `\r` Enter, `\t` Tab, `\x03` Ctrl-C, `\x04` Ctrl-D, `\x1b[A` up.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommandName, commandPath, type Exit, type SpawnOptions } from './spawn-command.js';
import { homeIn, tempFolder } from './temp-folder.js';
import { TerminalScreen } from './terminal-screen.js';
import { DEADLINE_MS, type Teardown, until, within } from './until.js';

/** Why terminals can't be had here, as tap's `skip` wants it; false when they can. */
export const noTerminal: string | false = /util-linux/.test(
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout ?? '',
)
  ? false
  : 'there is no `script` of util-linux';

const END_MS = 60_000;

class Terminal {
  readonly screen: TerminalScreen;
  /** Everything that was written to the terminal, escape sequences and all. */
  raw = '';
  readonly exited: Promise<Exit>;
  readonly #ttyFile: string;

  constructor(
    readonly child: ChildProcessWithoutNullStreams,
    size: { readonly columns: number; readonly rows: number },
    ttyFile: string,
  ) {
    this.screen = new TerminalScreen(size.columns, size.rows);
    this.#ttyFile = ttyFile;
    child.stdin.on('error', () => {});
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.raw += text;
      this.screen.write(text);
    });
    this.exited = new Promise(resolve => child.once('close', (code, signal) => resolve({ code, signal })));
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** All lines ever shown, the ones that scrolled away first. */
  get text(): string {
    return [...this.screen.history, ...this.screen.lines].join('\n');
  }

  type(keys: string): void {
    this.child.stdin.write(keys);
  }

  /** Waits until the text shown matches. */
  async shows(pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<RegExpExecArray> {
    let over = false;
    void this.exited.finally(() => {
      over = true;
    });
    const what = (): string => `${pattern} on the screen\n---\n${this.text}\n---`;
    return await until(
      what,
      () => {
        const found = pattern.exec(this.text);
        if (found === null && over) throw new Error(`the command ended without ${what()}`);
        return found ?? undefined;
      },
      deadlineMs,
    );
  }

  /** Changes the window's width; the command gets SIGWINCH. */
  async resize(columns: number): Promise<void> {
    const tty = (await readFile(this.#ttyFile, 'utf8')).trim();
    this.screen.columns = columns;
    execFileSync('stty', ['-F', tty, 'cols', String(columns)]);
  }

  /** The command's own exit code; one that a signal ended gives 128 + its number, as in a shell. */
  async exitCode(deadlineMs = DEADLINE_MS): Promise<number> {
    const { code } = await within(`the command ends\n---\n${this.text}`, this.exited, deadlineMs);
    return code ?? -1;
  }
}

export interface TerminalOptions extends Omit<SpawnOptions, 'input'> {
  readonly columns?: number;
  readonly rows?: number;
}

/** Starts one of the house's commands in a terminal of its own, 80 × 24 unless told. */
export async function openTerminal(
  t: Teardown,
  name: CommandName,
  args: readonly string[] = [],
  options: TerminalOptions = {},
): Promise<Terminal> {
  const home = options.home ?? (await tempFolder(t));
  const size = { columns: options.columns ?? 80, rows: options.rows ?? 24 };
  const ttyFile = join(await tempFolder(t), 'tty');
  const command = [process.execPath, commandPath(name), ...args].map(quoted).join(' ');
  const line = `tty > ${quoted(ttyFile)}; stty cols ${size.columns} rows ${size.rows}; exec ${command}`;
  const child = spawn('script', ['-qfec', line, '/dev/null'], {
    cwd: options.cwd ?? home,
    env: { ...homeIn(home), SHELL: '/bin/sh', TERM: 'xterm-256color', ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const terminal = new Terminal(child, size, ttyFile);
  t.teardown(() => closeTerminal(terminal));
  return terminal;
}

/** As when the window is closed: the command gets SIGHUP. */
async function closeTerminal(terminal: Terminal): Promise<void> {
  if (!terminal.running) return;
  terminal.child.kill('SIGTERM');
  try {
    await within('the command ends when its terminal closes', terminal.exited, END_MS);
  } catch (error) {
    terminal.child.kill('SIGKILL');
    throw error;
  }
}

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
