/**
 * libswift in live streams (draft 10), as a script at either end, with hashes and signatures of its own: SHA-1 trees of 32
 * chunks, of which the root is signed and nothing else; microseconds since 1970 for a time; whole subtrees announced, never
 * a part of one, nor an end.
 *
 *     SwiftLiveSource     goes on with the next subtree when the last chunk of the one before is acknowledged
 *     SwiftLiveListener   begins at the first signed subtree that it is shown, and asks for a bin at a time
 */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { decodeDatagram, encodeDatagram } from '../../protocol/ppspp/codec.js';
import type { ChunkRange, Message, WireFormat } from '../../protocol/ppspp/messages.js';
import { hex, must, Received, type Say, type Script, u32 } from './scripted-swarm-peers.js';

const CHUNK = 1_024;
const WIDTH = 32;
/** Uncles above a chunk, which go with it. */
const LEVELS = 5;
const FORMAT: WireFormat = { addressing: 'chunk32', chunkBytes: CHUNK, hashBytes: 20, signatureBytes: 64 };
/** Ours may say another window; no hash, and no chunk size. */
const OPTIONS = '0303 050d 0602 07ffffffff ff'.replaceAll(' ', '');
const isKnown = (options: string): boolean => /^0303050d060207.{8}ff/.test(options);

const sha1 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha1').update(Buffer.concat(parts)).digest();
const dsa = (key: KeyObject) => ({ key, dsaEncoding: 'ieee-p1363' }) as const;

function read(datagram: Uint8Array): readonly Message[] {
  const { messages, error } = decodeDatagram(datagram, FORMAT);
  must(error === undefined, `${error?.message}`);
  return messages;
}

export class SwiftLiveSource implements Script {
  readonly id: string;
  /** Of the subtrees so far. */
  announced = 0;
  readonly #content: Uint8Array;
  readonly #key: KeyObject;
  #theirs = 0;

  /** `content`: of whole subtrees, of which two are there when somebody comes. */
  constructor(content: Uint8Array) {
    this.#content = content;
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    const { x, y } = createPublicKey(privateKey).export({ format: 'jwk' });
    this.id = `0d${Buffer.from(x!, 'base64url').toString('hex')}${Buffer.from(y!, 'base64url').toString('hex')}`;
  }

  hear(datagram: Uint8Array, say: Say): void {
    const bytes = Buffer.from(datagram);
    if (bytes.readUInt32BE(0) === 0) {
      const options = bytes.subarray(9).toString('hex');
      const before = `00010101020041${this.id}`;
      if (!options.startsWith(before) || !isKnown(options.slice(before.length)) || this.#theirs !== 0) return;
      this.#theirs = bytes.readUInt32BE(5);
      this.announced = 2;
      say(hex(`${u32(this.#theirs)} 00 82ce495f 0001 0101 ${OPTIONS} 03 ${u32(0)} ${u32(2 * WIDTH - 1)}`));
      return;
    }
    must(bytes.readUInt32BE(0) === 0x82ce495f, 'somebody else’s channel');
    const messages = read(datagram);
    // The third datagram, or any until the reader shows that it knows where the stream is.
    if (!messages.some(({ type }) => type === 'ACK')) this.#say(say, this.#munro(this.announced - 1));
    for (const message of messages) {
      if (message.type === 'ACK') {
        must(message.range.start === message.range.end, 'only the first chunk of an ACK counts');
        if (message.range.end === this.announced * WIDTH - 1) this.#goOn(say);
      }
      if (message.type !== 'REQUEST') continue;
      const end = Math.min(message.range.end, this.announced * WIDTH - 1);
      for (let chunk = message.range.start; chunk <= end; chunk += 1) this.#give(chunk, say);
    }
  }

  #say(say: Say, messages: readonly Message[]): void {
    say(encodeDatagram(this.#theirs, messages, FORMAT));
  }

  #goOn(say: Say): void {
    if ((this.announced + 1) * WIDTH * CHUNK > this.#content.length) return;
    const start = this.announced * WIDTH;
    this.announced += 1;
    this.#say(say, [
      ...this.#munro(this.announced - 1),
      { type: 'HAVE', range: { start, end: start + WIDTH - 1 } },
    ]);
  }

  #give(chunk: number, say: Say): void {
    const uncles = Array.from({ length: LEVELS }, (_, up): Message => {
      const width = 2 ** (LEVELS - 1 - up);
      const start = (Math.floor(chunk / width) ^ 1) * width;
      const range = { start, end: start + width - 1 };
      return { type: 'INTEGRITY', range, hash: this.#node(range) };
    });
    // Hashes that have no room beside their chunk go before it.
    this.#say(say, [...this.#munro(Math.floor(chunk / WIDTH)), ...uncles]);
    const timestampUs = Date.now() * 1_000;
    this.#say(say, [{ type: 'DATA', chunk, timestampUs, bytes: this.#chunk(chunk) }]);
  }

  #munro(subtree: number): Message[] {
    const range = { start: subtree * WIDTH, end: (subtree + 1) * WIDTH - 1 };
    const hash = this.#node(range);
    const signature = sign('sha256', hash, dsa(this.#key));
    const timestamp = BigInt(Date.now()) * 1_000n;
    return [
      { type: 'INTEGRITY', range, hash },
      { type: 'SIGNED_INTEGRITY', range, timestamp, signature },
    ];
  }

  #chunk(chunk: number): Uint8Array {
    return this.#content.subarray(chunk * CHUNK, (chunk + 1) * CHUNK);
  }

  #node({ start, end }: ChunkRange): Buffer {
    if (start === end) return sha1(this.#chunk(start));
    const middle = (start + end + 1) / 2;
    return sha1(this.#node({ start, end: middle - 1 }), this.#node({ start: middle, end }));
  }
}

export class SwiftLiveListener implements Script {
  readonly received = new Received();
  /** The first chunk that it asks for; undefined until it was shown where the stream is. */
  first: number | undefined;
  readonly #id: string;
  readonly #key: KeyObject;
  readonly #claims = new Map<string, Buffer>();
  readonly #signed = new Set<number>();
  #end = -1;
  #asked = -1;
  #theirs = 0;

  constructor(id: string) {
    this.#id = id;
    const [x, y] = [id.slice(2, 66), id.slice(66)].map(part => hex(part).toString('base64url'));
    this.#key = createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: x!, y: y! } });
  }

  begin(say: Say): void {
    say(hex(`00000000 00 82ed44a1 0001 0101 020041 ${this.#id} ${OPTIONS}`));
  }

  hear(datagram: Uint8Array, say: Say): void {
    const messages = read(datagram);
    for (const [i, message] of messages.entries()) {
      if (message.type === 'HANDSHAKE' && message.channel !== 0 && this.#theirs === 0) {
        const options = Buffer.from(datagram.subarray(9)).toString('hex');
        must(options.startsWith('00010101') && isKnown(options.slice(8)), `popt id unknown in ${options}`);
        this.#theirs = message.channel;
        say(hex(`${u32(message.channel)} 06`));
      }
      if (message.type === 'INTEGRITY') this.#claims.set(keyOf(message.range), Buffer.from(message.hash));
      if (message.type === 'SIGNED_INTEGRITY') this.#believe(message);
      if (message.type === 'HAVE') this.#end = Math.max(this.#end, message.range.end);
      if (message.type !== 'DATA') continue;
      must(i === messages.length - 1, 'DATA takes the rest of the datagram');
      must(this.#isTrue(message.chunk, message.bytes), `chunk ${message.chunk} is not proven`);
      this.received.add(message.chunk, message.bytes);
      const ack: Message = {
        type: 'ACK',
        range: { start: message.chunk, end: message.chunk },
        delayUs: -1_000,
      };
      say(encodeDatagram(this.#theirs, [ack], FORMAT));
    }
    this.#ask(say);
  }

  #believe({ range, timestamp, signature }: Extract<Message, { type: 'SIGNED_INTEGRITY' }>): void {
    must(range.start % WIDTH === 0 && range.end === range.start + WIDTH - 1, 'a munro is 32 chunks');
    const hash = this.#claims.get(keyOf(range));
    must(hash !== undefined, 'the hash goes before its signature');
    must(verify('sha256', hash, dsa(this.#key), signature), 'a signature of the hash alone');
    must(Math.abs(Number(timestamp / 1_000n) - Date.now()) < 3_600_000, 'microseconds since 1970');
    this.#signed.add(range.start);
    this.first ??= range.start;
  }

  #isTrue(chunk: number, bytes: Uint8Array): boolean {
    let hash = sha1(bytes);
    for (let width = 1; width < WIDTH; width *= 2) {
      const start = (Math.floor(chunk / width) ^ 1) * width;
      const sibling = this.#claims.get(keyOf({ start, end: start + width - 1 }));
      if (sibling === undefined) return false;
      hash = start < chunk ? sha1(sibling, hash) : sha1(hash, sibling);
      const own = Math.floor(chunk / (2 * width)) * 2 * width;
      // What is proven serves the chunks beside it, whose hashes are not sent again.
      if (2 * width < WIDTH) this.#claims.set(keyOf({ start: own, end: own + 2 * width - 1 }), hash);
    }
    this.#claims.set(keyOf({ start: chunk, end: chunk }), sha1(bytes));
    const start = Math.floor(chunk / WIDTH) * WIDTH;
    const munro = this.#claims.get(keyOf({ start, end: start + WIDTH - 1 }));
    return this.#signed.has(start) && munro?.equals(hash) === true;
  }

  /** Eight chunks, once those before them are here. */
  #ask(say: Say): void {
    if (this.first === undefined) return;
    let next = this.first;
    while (this.received.has(next)) next += 1;
    const isAligned = next % 8 === 0;
    if (!isAligned || next > this.#end || next <= this.#asked) return;
    this.#asked = next;
    const request: Message = { type: 'REQUEST', range: { start: next, end: next + 7 } };
    say(encodeDatagram(this.#theirs, [request], FORMAT));
  }
}

const keyOf = ({ start, end }: ChunkRange): string => `${start}-${end}`;
