/**
 * A TCP socket without TCP: a Duplex that behaves to its user as one of `node:net`, over two one-way pipes.
 *
 *     write ─▶ [ pipe: in flight, cut and merged anew, in order ] ─▶ inbox ─▶ 'data'
 *
 * What is written counts as handed over while the pipe has room, as with a kernel's buffer; then the callback waits. A
 * reader that takes nothing so stops its writer. A closed socket sends what it had; a reset may lose it.
 */
import { Duplex } from 'node:stream';
import type { Machine } from './virtual-network.js';

/** In flight and unread together: small, so that writers have to wait. */
const PIPE_BYTES = 96 * 1024;
/** As large as Node reads at a time. */
const LONGEST_SEGMENT = 64 * 1024;

type Done = (error?: Error | null) => void;

export class VirtualSocket extends Duplex {
  connecting = false;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  localPort: number | undefined;
  /** The other end, once connected. */
  other: VirtualSocket | undefined;
  /** Its process is no more: nothing it does has any effect. */
  isAbandoned = false;
  readonly machine: Machine;
  readonly #inbox: Buffer[] = [];
  #inboxBytes = 0;
  #inboxEnds = false;
  #isReading = false;
  /** Of ours, between us and the other's reader. */
  #underWay = 0;
  #waiting: { readonly bytes: Buffer; readonly done: Done } | undefined;
  #resets = false;

  constructor(machine: Machine, { allowHalfOpen }: { readonly allowHalfOpen: boolean }) {
    super({ allowHalfOpen, emitClose: true });
    this.machine = machine;
  }

  /** Bytes that its user was not yet rid of, for whoever looks at memory. */
  get heldBytes(): number {
    return this.writableLength + this.readableLength;
  }

  connect({ host, port }: { readonly host: string; readonly port: number }): this {
    this.connecting = true;
    this.machine.dial(this, host, port);
    return this;
  }

  connected(to: VirtualSocket): void {
    this.connecting = false;
    this.other = to;
    this.remoteAddress = to.machine.address;
    this.emit('connect');
  }

  resetAndDestroy(): this {
    this.#resets = true;
    return this.destroy();
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Bytes arrive. False when they came to a socket that is closed. */
  arrive(bytes: Buffer): boolean {
    if (this.destroyed || this.isAbandoned) return false;
    this.#inbox.push(bytes);
    this.#inboxBytes += bytes.length;
    this.#handOver();
    return true;
  }

  arriveEnd(): void {
    if (this.destroyed || this.isAbandoned) return;
    this.#inboxEnds = true;
    this.#handOver();
  }

  arriveReset(): void {
    if (this.destroyed || this.isAbandoned) return;
    this.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  }

  /** So much of ours was read, or is lost: there is room again. */
  passed(count: number): void {
    this.#underWay -= count;
    const waiting = this.#waiting;
    if (waiting === undefined || this.#underWay >= PIPE_BYTES || this.destroyed || this.isAbandoned) return;
    this.#waiting = undefined;
    this.#give(waiting.bytes, waiting.done);
  }

  override _read(): void {
    this.#isReading = true;
    this.#handOver();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    if (this.connecting) this.once('connect', () => this.#give(chunk, done));
    else this.#give(chunk, done);
  }

  override _final(done: Done): void {
    if (this.isAbandoned) return;
    if (this.connecting) this.once('connect', () => this._final(done));
    else {
      if (this.other !== undefined) this.machine.network.sendEnd(this, this.other);
      done();
    }
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.isAbandoned) return;
    const { other } = this;
    if (other !== undefined) {
      // A kernel that still holds unread bytes answers a close with a reset, too.
      if (this.#resets || this.#inboxBytes > 0) this.machine.network.sendReset(this, other);
      else if (!this.writableFinished) this.machine.network.sendEnd(this, other);
    }
    this.machine.forget(this);
    done(error);
  }

  #give(bytes: Buffer, done: Done): void {
    const room = PIPE_BYTES - this.#underWay;
    const now = bytes.subarray(0, Math.max(0, room));
    this.#underWay += now.length;
    if (this.other !== undefined)
      for (const segment of this.machine.network.cut(now, LONGEST_SEGMENT))
        this.machine.network.send(this, this.other, segment);
    if (now.length === bytes.length) done();
    else this.#waiting = { bytes: bytes.subarray(now.length), done };
  }

  #handOver(): void {
    while (this.#isReading && this.#inbox.length > 0) {
      const bytes = this.#inbox.shift()!;
      this.#inboxBytes -= bytes.length;
      this.#isReading = this.push(bytes);
      this.other?.passed(bytes.length);
    }
    if (this.#inbox.length === 0 && this.#inboxEnds) {
      this.#inboxEnds = false;
      this.push(null);
    }
  }
}
