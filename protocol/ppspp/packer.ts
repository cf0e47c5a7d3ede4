/**
 * Messages into datagrams (RFC 7574 §5.3, §8.2): what belongs together stays together, and DATA comes last.
 *
 *     REQUEST · HAVE · ACK │ peaks · uncles · DATA            one chunk, its proofs, and what else there is to say
 *     peaks · uncles  ‖  uncles · DATA                        where the proofs have no room beside it, they go before
 *     peaks · uncles · uncles │ DATA · DATA · DATA            in a large frame, if the chunks are of one length
 */
import { ByteWriter } from '../bytes.js';
import { dataHeadBytes, writeMessage } from './codec.js';
import { CHANNEL_BYTES, VARIABLE_CHUNK_BYTES } from './constants.js';
import { endsFrame } from './frames.js';
import type { Dialect } from './handshake.js';
import type { Message, WireFormat } from './messages.js';
import type { ChunkUnit } from './serving.js';

/** Fits an IPv6 packet of Ethernet with tunnels in between, whatever it goes through. */
export const DATAGRAM_BYTES = 1_400;
/** Over a stream a frame is a matter of system calls only. */
export const FRAME_BYTES = 65_507;

type Data = ChunkUnit['data'][number];

/** Memory for a datagram of so many bytes; who sends it may use it again afterwards. */
export type Allocate = (length: number) => Buffer;

export class Packer {
  readonly #format: WireFormat;
  readonly #dialect: Dialect;
  readonly #maxBytes: number;
  readonly #allocate: Allocate;
  #done: Buffer[] = [];
  /** The datagram that is being filled: its channel and all but DATA … */
  readonly #head = new ByteWriter(DATAGRAM_BYTES);
  /** … which comes after it. */
  #data: Data[] = [];
  #dataBytes = 0;

  /** `channel`: the other side's. */
  constructor(options: {
    readonly channel: number;
    readonly format: WireFormat;
    readonly dialect: Dialect;
    readonly maxBytes: number;
    readonly allocate?: Allocate | undefined;
  }) {
    this.#format = options.format;
    this.#dialect = options.dialect;
    this.#maxBytes = options.maxBytes;
    this.#allocate = options.allocate ?? Buffer.allocUnsafe;
    this.#head.u32(options.channel);
  }

  /** Anything but DATA. */
  add(message: Message): void {
    const before = this.#head.length;
    writeMessage(this.#head, message, this.#format);
    if (!this.#hasRoomFor(0)) {
      this.#close(before);
      writeMessage(this.#head, message, this.#format);
    }
    // PyPPSPP reads an ACK to the end of the datagram.
    if (this.#dialect === 'pyppspp' && message.type === 'ACK') this.#close();
  }

  /** Chunks after their proofs; how many bytes they take. Several are no more than fit. */
  addChunk({ proof, data }: ChunkUnit): number {
    const { chunkBytes } = this.#format;
    // Its length is told by where the datagram ends.
    const last = data.at(-1)!;
    const isLast = last.bytes.length < chunkBytes || chunkBytes === VARIABLE_CHUNK_BYTES;
    const isAlone = isLast || this.#dialect !== 'rfc7574';
    const before = this.#head.length;
    for (const claim of proof) writeMessage(this.#head, claim, this.#format);
    const dataBytes =
      (data.length - 1) * (dataHeadBytes(this.#format) + chunkBytes) +
      dataHeadBytes(this.#format) +
      last.bytes.length;
    const bytes = this.#head.length - before + dataBytes;
    if (!this.#hasRoomFor(dataBytes) || (isAlone && this.#data.length > 0)) {
      this.#close(before);
      for (const claim of proof) this.add(claim);
      if (!this.#hasRoomFor(dataBytes)) this.#close();
    }
    this.#data.push(...data);
    this.#dataBytes += dataBytes;
    if (isAlone || endsFrame(last.chunk)) this.#close();
    return bytes;
  }

  /** All datagrams since it last was asked. */
  finish(): Buffer[] {
    this.#close();
    const done = this.#done;
    this.#done = [];
    return done;
  }

  /** Four bytes, where there is nothing else to say. */
  keepAlive(): void {
    const isEmpty = this.#head.length === CHANNEL_BYTES && this.#data.length === 0;
    if (this.#done.length === 0 && isEmpty) this.#finishDatagram();
  }

  #hasRoomFor(bytes: number): boolean {
    return this.#head.length + this.#dataBytes + bytes <= this.#maxBytes;
  }

  /** With so much of what there is beside DATA. */
  #close(headBytes = this.#head.length): void {
    this.#head.truncate(headBytes);
    for (const data of this.#data) writeMessage(this.#head, data, this.#format);
    if (this.#head.length > CHANNEL_BYTES) this.#finishDatagram();
    this.#head.truncate(CHANNEL_BYTES);
    this.#data = [];
    this.#dataBytes = 0;
  }

  #finishDatagram(): void {
    const datagram = this.#allocate(this.#head.length);
    datagram.set(this.#head.written);
    this.#done.push(datagram);
  }
}
