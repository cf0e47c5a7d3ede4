/**
 * The log: pino on standard error, one JSON object a line, made readable when a person looks (a terminal).
 *
 * Much of what is logged was said by strangers. So strings are made safe for a terminal and cut to 200 bytes, and one
 * source (a remote address, else a message) gets ten lines a second, all addresses together a hundred (log-budget.ts).
 *
 * Most commands say nothing before they are ready, or until they end: pino is loaded with the first line, or else when a
 * start is over, for later there may be no descriptor left to load it with.
 */
import { createRequire } from 'node:module';
import type { Writable } from 'node:stream';
import type { Logger as Pino, pino } from 'pino';
import { safeText } from '../peer/prompt/terminal-text.js';
import { ConfigError, RemoteProtocolError, RequestError, TransportError } from '../protocol/errors.js';
import type { Clock, Logger } from '../protocol/ports.js';
import { LogBudget, STRANGERS_LINES_A_WINDOW } from './log-budget.js';
import { LOG_LEVELS, type LogLevel } from './log-levels.js';

type Level = Exclude<LogLevel, 'silent'>;

const MAX_FIELD_BYTES = 200;
/** Fields in fields: as deep as our own code ever nests them. */
const MAX_DEPTH = 3;
const MAX_ITEMS = 20;
/** Kept for a while in which standard error takes nothing; lines past it are lost. */
const MAX_UNWRITTEN_CHARS = 64 * 1024;
/** Longer than a start takes. */
const LOADED_AFTER_MS = 1_000;

const require = createRequire(import.meta.url);

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly clock: Clock;
  /** Default: standard error. */
  readonly destination?: Destination;
}

type Destination = Writable & { readonly isTTY?: boolean };

/** Writes synchronously, so that the line before a crash is not lost. */
export function openLogger({ level, clock, destination = process.stderr }: LoggerOptions): Logger {
  const log = new Log(level, destination);
  clock.after(LOADED_AFTER_MS, () => log.open());
  const budgets = { source: new LogBudget(), strangers: new LogBudget(STRANGERS_LINES_A_WINDOW) };
  return new BoundedLogger(log, {}, budgets, clock);
}

/** pino, once it is wanted. */
class Log {
  readonly #level: LogLevel;
  readonly #destination: Destination;
  #pino: Pino | undefined;

  constructor(level: LogLevel, destination: Destination) {
    this.#level = level;
    this.#destination = destination;
  }

  isWritten(level: Level): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#level);
  }

  /** Undefined while it can't be loaded, for want of descriptors: lines are lost then, and nobody ends. */
  open(): Pino | undefined {
    try {
      this.#pino ??= openPino(this.#level, this.#destination);
    } catch {}
    return this.#pino;
  }
}

function openPino(level: LogLevel, destination: Destination): Pino {
  const { pino } = require('pino') as typeof import('pino');
  const sink = destination === process.stderr ? toStandardError : () => destination;
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: AS_THEY_ARE },
    destination.isTTY === true ? readable(destination) : sink(pino),
  );
}

/** A disk that is full, or a reader that takes nothing, ends nobody and holds up nobody. */
function toStandardError({ destination }: typeof pino) {
  const stream = destination({
    dest: 2,
    sync: true,
    maxLength: MAX_UNWRITTEN_CHARS,
    retryEAGAIN: () => false,
  });
  return stream.on('error', () => {});
}

/** Instead of pino's own: what comes here is bounded already, errors too. */
const AS_THEY_ARE = { err: (value: unknown) => value };

function readable(destination: Writable): NodeJS.WritableStream {
  const { PinoPretty: pretty } = require('pino-pretty') as typeof import('pino-pretty');
  return pretty({
    destination,
    sync: true,
    colorize: process.env.NO_COLOR === undefined,
    translateTime: 'SYS:HH:MM:ss',
  });
}

/**
 * What packages say on the console goes to the log, for those who look closely: lmdb prints each write that failed, stack
 * and all, into whatever is on the screen.
 */
export function consoleToLog(console: Pick<Console, 'error' | 'warn'>, logger: Logger): void {
  const tell = (...said: readonly unknown[]): void =>
    logger.debug({ said: said.map(String) }, 'a package spoke');
  console.error = tell;
  console.warn = tell;
}

interface Budgets {
  readonly source: LogBudget;
  /** All remote addresses are one source here. */
  readonly strangers: LogBudget;
}

class BoundedLogger implements Logger {
  readonly #log: Log;
  readonly #fields: object;
  readonly #budgets: Budgets;
  readonly #clock: Clock;

  constructor(log: Log, fields: object, budgets: Budgets, clock: Clock) {
    this.#log = log;
    this.#fields = fields;
    this.#budgets = budgets;
    this.#clock = clock;
  }

  debug(fields: object, message: string): void {
    this.#write('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#write('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#write('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#write('error', fields, message);
  }

  child(fields: object): Logger {
    return new BoundedLogger(this.#log, { ...this.#fields, ...fields }, this.#budgets, this.#clock);
  }

  #write(level: Level, fields: object, message: string): void {
    if (!this.#log.isWritten(level)) return;
    const all = { ...this.#fields, ...fields };
    const address = addressIn(all);
    if (!this.#spend(this.#budgets.source, address ?? message)) return;
    if (address !== undefined && !this.#spend(this.#budgets.strangers, 'every address')) return;
    this.#log.open()?.[level](bounded(all) as object, bounded(message) as string);
  }

  /** False: the line is left out. How many were is told before the first that is not. */
  #spend(budget: LogBudget, source: string): boolean {
    const suppressed = budget.spend(source, this.#clock.now());
    if (suppressed !== undefined && suppressed > 0)
      this.#log.open()?.warn({ source: bounded(source) }, `suppressed ${suppressed}`);
    return suppressed !== undefined;
  }
}

/** One remote address is one source, whatever its port; lines that name nobody go by what they say. */
function addressIn(fields: object): string | undefined {
  const remote = 'remote' in fields ? fields.remote : 'address' in fields ? fields.address : undefined;
  return typeof remote === 'string' ? remote.replace(/:\d+$/, '') : undefined;
}

const BLAMELESS = [RemoteProtocolError, RequestError, TransportError, ConfigError] as const;

/** A copy in which every string is short and safe to print. */
export function bounded(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return cut(safeText(value));
  if (value instanceof Error)
    return depth > MAX_DEPTH ? cut(safeText(value.message)) : boundedError(value, depth);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return Array.isArray(value) ? `[${value.length}]` : '{…}';
  if (Array.isArray(value)) return value.slice(0, MAX_ITEMS).map(item => bounded(item, depth + 1));
  const entries = Object.entries(value).slice(0, MAX_ITEMS);
  return Object.fromEntries(entries.map(([key, item]) => [key, bounded(item, depth + 1)]));
}

/**
 * A stack tells where a bug is, line by line, and is worth its length then. Where the system refused a call (lmdb gives
 * its number as the code), or somebody else is to blame (protocol/errors.ts), the message says it all.
 */
function boundedError(error: Error, depth: number): object {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown };
  const isRefusal = syscall !== undefined || typeof code === 'number';
  const isBug = !isRefusal && !BLAMELESS.some(kind => error instanceof kind);
  const stack = isBug ? error.stack?.split('\n').slice(1, MAX_ITEMS) : undefined;
  return {
    type: error.name,
    message: cut(safeText(error.message)),
    ...(code === undefined ? {} : { code: bounded(code, depth + 1) }),
    ...(stack === undefined ? {} : { stack: stack.map(line => cut(line.trim())) }),
    ...(error.cause === undefined ? {} : { cause: bounded(error.cause, depth + 1) }),
  };
}

function cut(text: string): string {
  if (Buffer.byteLength(text) <= MAX_FIELD_BYTES) return text;
  const bytes = Buffer.from(text).subarray(0, MAX_FIELD_BYTES - 3);
  return `${bytes.toString('utf8').replace(/\ufffd+$/, '')}…`;
}
