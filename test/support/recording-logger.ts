/** A logger that keeps what was logged, so that a test can ask for it. Children write into the same record. */
import type { Logger } from '../../protocol/ports.js';

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export class RecordingLogger implements Logger {
  constructor(
    readonly entries: LogEntry[] = [],
    readonly fields: object = {},
  ) {}

  debug(fields: object, message: string): void {
    this.#record('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#record('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#record('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#record('error', fields, message);
  }

  child(fields: object): Logger {
    return new RecordingLogger(this.entries, { ...this.fields, ...fields });
  }

  /** The messages of one level, or of all, in order. */
  messages(level?: LogEntry['level']): string[] {
    return this.entries
      .filter(entry => level === undefined || entry.level === level)
      .map(entry => entry.message);
  }

  #record(level: LogEntry['level'], fields: object, message: string): void {
    this.entries.push({ level, fields: { ...this.fields, ...fields }, message });
  }
}
