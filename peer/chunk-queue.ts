/**
 * Bytes that came and were not read yet, chunk by chunk, and the one reader who may be waiting for the next.
 *
 *     push, push … end ─▶ next, next … done, or the error
 *
 * It has no bound of its own: who pushes looks at `bytes`.
 */
export class ChunkQueue {
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #taken = 0;
  #waiting: { resolve(result: IteratorResult<Uint8Array>): void; reject(error: unknown): void } | undefined;
  #ending: { readonly error: unknown } | undefined;

  /** Not read yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** What the reader was given in all, in bytes. */
  get taken(): number {
    return this.#taken;
  }

  push(chunk: Uint8Array): void {
    if (this.#ending !== undefined) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    this.#settle();
  }

  dropOldest(): void {
    this.#bytes -= this.#chunks.shift()?.length ?? 0;
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#bytes = 0;
  }

  /** What is there can still be read; then comes the error, if there is one. The first end counts. */
  end(error?: unknown): void {
    this.#ending ??= { error };
    this.#settle();
  }

  /** One reader at a time. */
  next(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#settle();
    });
  }

  #settle(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const chunk = this.#chunks.shift();
    if (chunk === undefined && this.#ending === undefined) return;
    this.#waiting = undefined;
    if (chunk !== undefined) {
      this.#bytes -= chunk.length;
      this.#taken += chunk.length;
      waiting.resolve({ done: false, value: chunk });
    } else if (this.#ending?.error !== undefined) waiting.reject(this.#ending.error);
    else waiting.resolve({ done: true, value: undefined });
  }
}
