/**
 * Standard error on a terminal that a prompt may share: while it does, what is logged goes to the prompt, which writes it
 * above the line that is being typed.
 *
 *     log, trace ──▶ TerminalOutput ──▶ terminal, or while diverted ──▶ prompt
 */
import { Writable } from 'node:stream';

export class TerminalOutput extends Writable {
  readonly isTTY = true;
  readonly #terminal: NodeJS.WriteStream;
  #sink: ((text: string) => void) | undefined;

  constructor(terminal: NodeJS.WriteStream) {
    super({ decodeStrings: true });
    this.#terminal = terminal;
  }

  get columns(): number {
    return this.#terminal.columns;
  }

  /** From now on `sink` gets whole writes as text. The returned function ends that. */
  divert(sink: (text: string) => void): () => void {
    this.#sink = sink;
    return () => {
      this.#sink = undefined;
    };
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#sink === undefined) this.#terminal.write(chunk);
    else this.#sink(chunk.toString());
    done();
  }
}
