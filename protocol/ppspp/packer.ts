/**
 * Messages into datagrams (RFC 7574 §5.3, §8.2): what belongs together stays together, and DATA comes last.
 *
 *     REQUEST · HAVE · ACK │ peaks · uncles · DATA            one chunk, its proofs, and what else there is to say
 *     peaks · uncles  ‖  uncles · DATA                        where the proofs have no room beside it, they go before
 *     peaks · uncles · uncles │ DATA · DATA · DATA            in a large frame, if the chunks are of one length
 */
import { encode, encodeData } from './codec.js';
import { CHANNEL_BYTES, VARIABLE_CHUNK_BYTES } from './constants.js';
import type { Dialect } from './handshake.js';
import type { Message, WireFormat } from './messages.js';
import type { ChunkUnit } from './serving.js';

/** Fits an IPv6 packet of Ethernet with tunnels in between, whatever it goes through. */
export const DATAGRAM_BYTES = 1_400;
/** Over a stream a frame is a matter of system calls only. */
export const FRAME_BYTES = 65_507;

export class Packer {
  readonly #channel: Buffer;
  readonly #format: WireFormat;
  readonly #dialect: Dialect;
  readonly #maxBytes: number;
  readonly #done: Buffer[] = [];
  #head: Uint8Array[] = [];
  #data: Uint8Array[] = [];
  #bytes = CHANNEL_BYTES;

  /** `channel`: the other side's. */
  constructor(options: {
    readonly channel: number;
    readonly format: WireFormat;
    readonly dialect: Dialect;
    readonly maxBytes: number;
  }) {
    this.#channel = Buffer.alloc(CHANNEL_BYTES);
    this.#channel.writeUInt32BE(options.channel);
    this.#format = options.format;
    this.#dialect = options.dialect;
    this.#maxBytes = options.maxBytes;
  }

  /** Anything but DATA. */
  add(message: Message): void {
    const bytes = encode(message, this.#format);
    if (this.#bytes + bytes.length > this.#maxBytes) this.#close();
    this.#head.push(bytes);
    this.#bytes += bytes.length;
    // PyPPSPP reads an ACK to the end of the datagram.
    if (this.#dialect === 'pyppspp' && message.type === 'ACK') this.#close();
  }

  /** A chunk after its proofs; how many bytes they take. */
  addChunk({ proof, data }: ChunkUnit): number {
    const proofs = proof.map(claim => encode(claim, this.#format));
    const chunk = encodeData(data, this.#format);
    const chunkLength = chunk[0].length + chunk[1].length;
    const bytes = proofs.reduce((sum, { length }) => sum + length, chunkLength);
    const { chunkBytes } = this.#format;
    // Its length is told by where the datagram ends.
    const isLast = data.bytes.length < chunkBytes || chunkBytes === VARIABLE_CHUNK_BYTES;
    const isAlone = isLast || this.#dialect !== 'rfc7574';
    if (this.#bytes + bytes > this.#maxBytes || (isAlone && this.#data.length > 0)) this.#close();
    for (const each of proofs) {
      if (this.#bytes + each.length > this.#maxBytes) this.#close();
      this.#head.push(each);
      this.#bytes += each.length;
    }
    if (this.#bytes + chunkLength > this.#maxBytes) this.#close();
    this.#data.push(...chunk);
    this.#bytes += chunkLength;
    if (isAlone) this.#close();
    return bytes;
  }

  /** All datagrams so far. */
  finish(): Buffer[] {
    this.#close();
    return this.#done;
  }

  /** Four bytes, where there is nothing else to say. */
  keepAlive(): void {
    if (this.#done.length === 0 && this.#bytes === CHANNEL_BYTES) this.#done.push(this.#channel);
  }

  #close(): void {
    if (this.#bytes > CHANNEL_BYTES)
      this.#done.push(Buffer.concat([this.#channel, ...this.#head, ...this.#data]));
    this.#head = [];
    this.#data = [];
    this.#bytes = CHANNEL_BYTES;
  }
}
