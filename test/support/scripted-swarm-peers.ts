/**
 * Other implementations as scripts that behave just so, quirks included: libswift (draft 10) and PyPPSPP, giving and taking.
 *
 *     SwiftLeecher · SwiftSeeder          one bin a REQUEST, one chunk an ACK, no option that draft 10 does not have
 *     PyLeecher · PySeeder                no proofs; lost for ever behind a message that it does not know; UDP and TCP
 *
 * A script is told datagrams and answers with datagrams. What would break the real program breaks the script: it throws.
 */
import { ChunkSet } from '../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../protocol/ppspp/codec.js';
import { wireFormatOf } from '../../protocol/ppspp/handshake.js';
import type { HashTree } from '../../protocol/ppspp/hash-tree.js';
import type { ChunkRange, Message, WireFormat } from '../../protocol/ppspp/messages.js';
import { metadataOf } from './virtual-swarm.js';
import { wholeTree } from './whole-tree.js';

const CHUNK = 1_024;

export type Say = (datagram: Uint8Array) => void;

export interface Script {
  /** It speaks first. */
  begin?(say: Say): void;
  hear(datagram: Uint8Array, say: Say): void;
}

export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
export const u32 = (value: number): string => value.toString(16).padStart(8, '0');
const chunkOf = (content: Uint8Array, chunk: number): Uint8Array =>
  content.subarray(chunk * CHUNK, (chunk + 1) * CHUNK);

export function must(isSo: boolean, what: string): asserts isSo {
  if (!isSo) throw new Error(`the real program would fail here: ${what}`);
}

/** What both are about: SHA-1, chunks of 1,024, 32-bit ranges. */
class Content {
  readonly id: string;
  readonly last: number;
  readonly format: WireFormat;

  constructor(
    readonly bytes: Uint8Array,
    dialect: 'draft10' | 'pyppspp',
  ) {
    const metadata = metadataOf(bytes, { hash: 'sha1' });
    this.id = Buffer.from(metadata.swarmId).toString('hex');
    this.last = Math.ceil(bytes.length / CHUNK) - 1;
    this.format = wireFormatOf(metadata, [dialect]);
  }

  read(datagram: Uint8Array): readonly Message[] {
    const { messages, error } = decodeDatagram(datagram, this.format);
    must(error === undefined, `${error?.message}`);
    return messages;
  }

  data(chunk: number): Message {
    return { type: 'DATA', chunk, timestampUs: Date.now() * 1_000, bytes: chunkOf(this.bytes, chunk) };
  }
}

/** What came; the same again does not count. */
export class Received {
  readonly #chunks = new Map<number, Uint8Array>();

  get size(): number {
    return this.#chunks.size;
  }

  has(chunk: number): boolean {
    return this.#chunks.has(chunk);
  }

  /** True if it is new. */
  add(chunk: number, bytes: Uint8Array): boolean {
    if (this.#chunks.has(chunk)) return false;
    this.#chunks.set(chunk, Uint8Array.from(bytes));
    return true;
  }

  get bytes(): Buffer {
    return Buffer.concat([...this.#chunks].sort(([a], [b]) => a - b).map(([, bytes]) => bytes));
  }
}

/** libswift: chunk 0 first, since it does not know the size; then bin by bin. */
export class SwiftLeecher implements Script {
  readonly received = new Received();
  readonly #content: Content;
  #theirs = 0;
  #peaks = new Map<number, number>();

  constructor(content: Uint8Array) {
    this.#content = new Content(content, 'draft10');
  }

  get isComplete(): boolean {
    return this.received.size === this.#content.last + 1;
  }

  begin(say: Say): void {
    say(hex(`00000000 00 82ed44a1 0001 0101 020014 ${this.#content.id} 0301 0400 0602 ff`));
  }

  hear(datagram: Uint8Array, say: Say): void {
    const messages = this.#content.read(datagram);
    for (const [i, message] of messages.entries()) {
      if (message.type === 'HANDSHAKE') this.#met(Buffer.from(datagram), message.channel, say);
      if (message.type === 'INTEGRITY' && message.range.start === this.#known) this.#grow(message.range);
      if (message.type !== 'DATA') continue;
      must(i === messages.length - 1, 'DATA takes the rest of the datagram');
      must(this.#peaks.size > 0, 'a chunk before the peaks has no size');
      const { chunk } = message;
      this.received.add(chunk, message.bytes);
      const ack: Message = { type: 'ACK', range: { start: chunk, end: chunk }, delayUs: -1_000 };
      say(encodeDatagram(this.#theirs, [ack, ...this.#next()], this.#content.format));
    }
  }

  #met(datagram: Buffer, channel: number, say: Say): void {
    if (this.#theirs !== 0) return;
    const options = datagram.subarray(9).toString('hex');
    must(options.startsWith('00010101030104000602ff'), `popt id unknown in ${options}`);
    this.#theirs = channel;
    say(hex(`${u32(channel)} 08 00000000 00000000 06`));
  }

  get #known(): number {
    return [...this.#peaks].reduce((end, [start, width]) => Math.max(end, start + width), 0);
  }

  /** Peaks come first, the largest in front; what is smaller than its place is an uncle. */
  #grow({ start, end }: ChunkRange): void {
    const width = end - start + 1;
    must(Number.isInteger(Math.log2(width)) && start % width === 0, 'INTEGRITY is one bin');
    if (this.received.size === 0) this.#peaks.set(start, width);
  }

  /** The next bin of eight at most. */
  #next(): Message[] {
    let first = 0;
    while (this.received.has(first)) first += 1;
    if (first > this.#content.last) return [];
    let width = 1;
    while (width < 8 && first % (2 * width) === 0 && first + 2 * width - 1 <= this.#content.last) width *= 2;
    return [{ type: 'REQUEST', range: { start: first, end: first + width - 1 } }];
  }
}

/** libswift: a HAVE a peak, peaks until something is acknowledged, hashes apart from their chunk when they are many. */
export class SwiftSeeder implements Script {
  readonly #content: Content;
  readonly #tree: HashTree;
  readonly #sent = new ChunkSet();
  #theirs = 0;
  #isAcked = false;

  constructor(content: Uint8Array) {
    this.#content = new Content(content, 'draft10');
    this.#tree = wholeTree(content, 'sha1', CHUNK);
  }

  hear(datagram: Uint8Array, say: Say): void {
    const { id, last } = this.#content;
    const bytes = Buffer.from(datagram);
    if (bytes.readUInt32BE(0) === 0) {
      // An option that it does not know, and it has not heard anything.
      const isOurs = bytes.subarray(9).toString('hex').startsWith(`00010101020014${id}030104000602ff`);
      if (!isOurs || this.#theirs !== 0) return;
      this.#theirs = bytes.readUInt32BE(5);
      const haves = this.#tree.proofOf(0, true, () => true).map(({ range }) => range);
      say(
        Buffer.concat([
          hex(`${u32(this.#theirs)} 00 82ce495f 0001 0101 0301 0400 0602 ff`),
          ...haves.map(({ start, end }) => hex(`03 ${u32(start)} ${u32(end)}`)),
        ]),
      );
      return;
    }
    must(bytes.readUInt32BE(0) === 0x82ce495f, 'somebody else’s channel');
    for (const message of this.#content.read(datagram)) {
      if (message.type === 'ACK') {
        must(message.range.start === message.range.end, 'only the first chunk of an ACK counts');
        must(message.range.end <= last, 'invalid ack');
        this.#isAcked = true;
      }
      if (message.type !== 'REQUEST') continue;
      for (let chunk = message.range.start; chunk <= Math.min(last, message.range.end); chunk += 1)
        this.#give(chunk, say);
    }
  }

  #give(chunk: number, say: Say): void {
    const proof = this.#tree.proofOf(chunk, !this.#isAcked, range => this.#sent.touches(range));
    this.#sent.add({ start: chunk, end: chunk });
    const together = encodeDatagram(
      this.#theirs,
      [...proof, this.#content.data(chunk)],
      this.#content.format,
    );
    if (together.length <= 4 + 443 + 1_041) {
      say(together);
      return;
    }
    say(encodeDatagram(this.#theirs, proof, this.#content.format));
    say(encodeDatagram(this.#theirs, [this.#content.data(chunk)], this.#content.format));
  }
}

const PY_UUID = '00112233445566778899aabbccddeeff';
/** Its parser knows these; behind any other it reads nonsense. */
const PY_READS = ['HANDSHAKE', 'DATA', 'ACK', 'HAVE', 'REQUEST'];
const pyHello = (to: number, channel: number, id: string): Buffer =>
  hex(
    `${u32(to)} 00 ${u32(channel)} 0001 0101 020014 ${id} 0300 0602 07000003e8 0802ff00 0900000400 0a${PY_UUID} ff`,
  );

/** An option that it does not know holds it in an endless loop; over TCP it looks for the swarm at a fixed place. */
function pyOptions(datagram: Uint8Array, id: string): void {
  const options = Buffer.from(datagram.subarray(9)).toString('hex');
  const known = new RegExp(`^00010101020014${id}0300(0400)?0602(07.{8})?(0802.{4})?0900000400(0a.{32})?ff`);
  must(known.test(options), `options ${options}`);
}

function pyReads(messages: readonly Message[]): void {
  for (const [i, { type }] of messages.entries()) {
    must(PY_READS.includes(type), `${type} is unknown to it`);
    must(type !== 'ACK' || i === messages.length - 1, 'an ACK is the last of its datagram');
  }
}

/** PyPPSPP: asks once for all, acknowledges eleven together, and never asks again for what is lost. */
export class PyLeecher implements Script {
  readonly received = new Received();
  readonly #content: Content;
  readonly #loses: (chunk: number) => boolean;
  readonly #isReliable: boolean;
  #theirs = 0;
  #acked = -1;

  /** `loses`: a chunk on its way to it, once. */
  constructor(
    content: Uint8Array,
    options: { readonly isReliable?: boolean; readonly loses?: (chunk: number) => boolean } = {},
  ) {
    this.#content = new Content(content, 'pyppspp');
    this.#isReliable = options.isReliable ?? false;
    this.#loses = options.loses ?? (() => false);
  }

  get isComplete(): boolean {
    return this.received.size === this.#content.last + 1;
  }

  begin(say: Say): void {
    say(pyHello(0, 0xbeef, this.#content.id));
  }

  hear(datagram: Uint8Array, say: Say): void {
    const { last, format, id } = this.#content;
    const messages = this.#content.read(datagram);
    pyReads(messages);
    for (const message of messages) {
      if (message.type === 'HANDSHAKE' && message.channel !== 0 && this.#theirs === 0) {
        pyOptions(datagram, id);
        this.#theirs = message.channel;
        say(encodeDatagram(this.#theirs, [{ type: 'REQUEST', range: { start: 0, end: last } }], format));
      }
      if (message.type !== 'DATA' || this.#loses(message.chunk)) continue;
      must(message.timestampUs <= Date.now() * 1_000 + 999, 'a delay below zero cannot be packed');
      if (this.received.add(message.chunk, message.bytes)) this.#acknowledge(say);
    }
  }

  #acknowledge(say: Say): void {
    const { last, format } = this.#content;
    const tell = (message: Message): void => say(encodeDatagram(this.#theirs, [message], format));
    if (this.isComplete) tell({ type: 'HAVE', range: { start: 0, end: last } });
    if (this.#isReliable) return;
    let end = this.#acked;
    while (this.received.has(end + 1)) end += 1;
    if (end - this.#acked < 11) return;
    tell({ type: 'ACK', range: { start: this.#acked + 1, end }, delayUs: 1_000 });
    this.#acked = end;
  }
}

/** PyPPSPP: serves what is asked but for chunk 0 alone, and sends the lowest chunk that is not acknowledged again. */
export class PySeeder implements Script {
  readonly #content: Content;
  readonly #isReliable: boolean;
  readonly #inFlight = new Set<number>();
  #theirs = 0;

  constructor(content: Uint8Array, options: { readonly isReliable?: boolean } = {}) {
    this.#content = new Content(content, 'pyppspp');
    this.#isReliable = options.isReliable ?? false;
  }

  hear(datagram: Uint8Array, say: Say): void {
    const { id, last, format } = this.#content;
    const messages = this.#content.read(datagram);
    pyReads(messages);
    for (const message of messages) {
      if (message.type === 'HANDSHAKE' && message.channel !== 0) {
        pyOptions(datagram, id);
        this.#theirs = message.channel;
        const have = encodeDatagram(0, [{ type: 'HAVE', range: { start: 0, end: last } }], format).subarray(
          4,
        );
        say(Buffer.concat([pyHello(this.#theirs, 0xcafe, id), have]));
      }
      if (message.type === 'ACK') {
        must(!this.#isReliable, 'nobody acknowledges over TCP');
        for (let chunk = message.range.start; chunk <= message.range.end; chunk += 1)
          this.#inFlight.delete(chunk);
        const [lowest] = [...this.#inFlight].sort((a, b) => a - b);
        if (lowest !== undefined) this.#give(lowest, say);
      }
      if (message.type !== 'REQUEST' || message.range.end === 0) continue;
      for (let chunk = message.range.start; chunk <= Math.min(last, message.range.end); chunk += 1)
        this.#give(chunk, say);
    }
  }

  #give(chunk: number, say: Say): void {
    if (!this.#isReliable) this.#inFlight.add(chunk);
    say(encodeDatagram(this.#theirs, [this.#content.data(chunk)], this.#content.format));
  }
}
