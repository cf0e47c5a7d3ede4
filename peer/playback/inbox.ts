/**
 * A song's bytes on their way from the pipe to the decoder: pushed as they come, pulled as they are wanted.
 */
export class Inbox implements AsyncIterable<Uint8Array> {
  #chunks: Uint8Array[] = [];
  #over = false;
  #wake: (() => void) | undefined;
  readonly #onTaken: (bytes: number) => void;

  /** `onTaken` is told of every chunk that was taken or dropped. */
  constructor(onTaken: (bytes: number) => void) {
    this.#onTaken = onTaken;
  }

  /** Whether somebody waits for bytes. */
  get starving(): boolean {
    return this.#wake !== undefined;
  }

  /** Whether there are bytes to take. */
  get hasChunk(): boolean {
    return this.#chunks.length > 0;
  }

  push(chunk: Uint8Array): void {
    if (this.#over) {
      this.#onTaken(chunk.length);
    } else {
      this.#chunks.push(chunk);
      this.#wakeUp();
    }
  }

  /** No more comes. */
  end(): void {
    this.#over = true;
    this.#wakeUp();
  }

  /** Nothing more is wanted. */
  abort(): void {
    for (const chunk of this.#chunks) this.#onTaken(chunk.length);
    this.#chunks = [];
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#onTaken(chunk.length);
        yield chunk;
      } else if (this.#over) {
        return;
      } else {
        await new Promise<void>(resolve => {
          this.#wake = resolve;
        });
      }
    }
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
