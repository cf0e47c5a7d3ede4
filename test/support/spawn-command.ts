/**
 * Runs the real, built commands as child processes and waits for what they say.
 *
 *     const tracker = await spawnCommand(t, 'tsp-tracker', ['--port', '0']);
 *     const { port } = await tracker.ready();
 *     const peer = await spawnCommand(t, 'tsp-peer', ['--tracker', `127.0.0.1:${port}`, '--headless'], { home });
 *     await peer.says(/"event":"library"/);
 *
 * Each has a home of its own unless several are given the same. What is still running when the test ends gets
 * SIGTERM, so that its coverage is written, and SIGKILL if that is not enough.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { fileURLToPath } from 'node:url';
import { homeIn, tempFolder } from './temp-folder.js';
import { DEADLINE_MS, type Teardown, until, within } from './until.js';

export type CommandName = 'tsp-tracker' | 'tsp-peer' | 'start';

/** The folder of the built programs, seen from `build/test/support/`. */
const BIN = fileURLToPath(new URL('../../src/bin/', import.meta.url));
export const commandPath = (name: CommandName): string => join(BIN, `${name}.js`);

/** A command that does not end on SIGTERM within this is killed, and that is an error. */
const END_MS = 60_000;

export interface SpawnOptions {
  /** Folder for HOME and the XDG folders; default: a new one. */
  readonly home?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. Default: it stays open and empty. */
  readonly input?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What a shell says of those that ask a process to end. */
const ASKING: Partial<Record<NodeJS.Signals, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

export class RunningCommand {
  readonly #out: Buffer[] = [];
  readonly #decoder = new StringDecoder('utf8');
  #text = '';
  #stderr = '';
  /** Resolves when the process has ended and all it wrote has arrived. */
  readonly exited: Promise<Exit>;

  constructor(
    readonly name: string,
    readonly child: ChildProcessWithoutNullStreams,
  ) {
    child.stdout.on('data', (chunk: Buffer) => {
      this.#out.push(chunk);
      this.#text += this.#decoder.write(chunk);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    // A command may end before it has read its input; that is its own affair.
    child.stdin.on('error', () => {});
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  get pid(): number {
    return this.child.pid!;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** All that came on standard output so far, as bytes and as text. */
  get bytes(): Buffer {
    return Buffer.concat(this.#out);
  }

  get stdout(): string {
    return this.#text;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Standard output's whole lines. */
  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  /** Standard output's whole lines, each parsed. */
  get rows(): Record<string, unknown>[] {
    return this.lines.map(line => JSON.parse(line));
  }

  /** Waits until standard output matches, and gives the match. Fails at once when the command ends without it. */
  says(pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<RegExpExecArray> {
    return this.#waitFor(`${pattern} on stdout`, () => pattern.exec(this.#text), deadlineMs);
  }

  /** The same on standard error. */
  complains(pattern: RegExp, deadlineMs = DEADLINE_MS): Promise<RegExpExecArray> {
    return this.#waitFor(`${pattern} on stderr`, () => pattern.exec(this.#stderr), deadlineMs);
  }

  /** The address of the line `… ready on ADDRESS:PORT`, or of the event `ready`. */
  async ready(deadlineMs = DEADLINE_MS): Promise<{ address: string; port: number }> {
    const [, human, event] = await this.says(/^\S+ ready on (\S+)\n|^(\{"event":"ready".*\})\n/m, deadlineMs);
    if (event !== undefined) return JSON.parse(event);
    const [, address, port] = /^\[?(.*?)\]?:(\d+)$/.exec(human!)!;
    return { address: address!, port: Number(port) };
  }

  write(text: string): void {
    this.child.stdin.write(text);
  }

  endInput(): void {
    this.child.stdin.end();
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.child.kill(signal);
  }

  /** The exit code, of what ended by a signal that asks it to 128 + its number; rejects when another did, or at the deadline. */
  async exitCode(deadlineMs = DEADLINE_MS): Promise<number> {
    const { code, signal } = await within(`${this.name} ends\n${this.#told()}`, this.exited, deadlineMs);
    if (signal !== null && signal in ASKING) return ASKING[signal]!;
    if (code === null) throw new Error(`${this.name} was ended by ${signal}\n${this.#told()}`);
    return code;
  }

  /** SIGTERM and the exit code. */
  async end(): Promise<number> {
    if (this.running) this.kill();
    return await this.exitCode();
  }

  async #waitFor<T>(what: string, look: () => T | null, deadlineMs: number): Promise<T> {
    let over = false;
    void this.exited.finally(() => {
      over = true;
    });
    return await until(
      () => `${what}\n${this.#told()}`,
      () => {
        const found = look();
        if (found === null && over) throw new Error(`${this.name} ended without ${what}\n${this.#told()}`);
        return found ?? undefined;
      },
      deadlineMs,
    );
  }

  #told(): string {
    return `--- ${this.name} stdout\n${this.stdout.slice(-4_000)}\n--- stderr\n${this.#stderr.slice(-4_000)}`;
  }
}

/** Starts one of the house's own commands. */
export async function spawnCommand(
  t: Teardown,
  name: CommandName,
  args: readonly string[] = [],
  options: SpawnOptions = {},
): Promise<RunningCommand> {
  return await spawnProgram(t, process.execPath, [commandPath(name), ...args], options, name);
}

/** Starts any program in the same manner: a shell that runs the lines of a document, `nc`, a pipe. */
export async function spawnProgram(
  t: Teardown,
  file: string,
  args: readonly string[],
  options: SpawnOptions = {},
  name = file,
): Promise<RunningCommand> {
  const home = options.home ?? (await tempFolder(t));
  const child = spawn(file, args, {
    cwd: options.cwd ?? home,
    env: { ...homeIn(home), ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const command = new RunningCommand(name, child);
  if (options.input !== undefined) child.stdin.end(options.input);
  t.teardown(() => endCommand(command));
  return command;
}

async function endCommand(command: RunningCommand): Promise<void> {
  if (!command.running) return;
  // A stopped process takes no SIGTERM.
  command.kill('SIGCONT');
  command.kill();
  try {
    await within(`${command.name} ends on SIGTERM`, command.exited, END_MS);
  } catch (error) {
    command.kill('SIGKILL');
    throw error;
  }
}
