/**
 * The server's side of the RTMP handshake (RTMP 1.0 §5.2), and the digests that Flash Player 9 brought.
 *
 *     C0 C1 ─▶          1 + 1,536 bytes: version 3, time, version, random (with a digest somewhere in it, or not)
 *           ◀─ S0 S1 S2  in one piece: random with our digest and a proof that we saw theirs; or plainly C1's echo
 *     C2    ─▶          1,536 bytes that nobody can judge: every client fills them otherwise
 *
 * ffmpeg and VLC leave a server that claims a version of 3 or more in S1 and has no digest; so without one it claims 0.
 */
import { createHmac } from 'node:crypto';
import { ByteCollector, writeU32 } from '../bytes.js';
import { RemoteProtocolError } from '../errors.js';
import type { RandomBytes } from '../ports.js';
import { HANDSHAKE_BYTES, RTMP_VERSION } from './constants.js';

const DIGEST_BYTES = 32;
const SHARED_KEY = Buffer.from('f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae', 'hex');
const PLAYER_NAME = Buffer.from('Genuine Adobe Flash Player 001');
const SERVER_NAME = Buffer.from('Genuine Adobe Flash Media Server 001');
const SERVER_KEY = Buffer.concat([SERVER_NAME, SHARED_KEY]);

/** Where a schema keeps the four bytes whose sum tells where the digest is, and where it can begin. */
const SCHEMAS = [
  { offsetAt: 8, base: 12 },
  { offsetAt: 772, base: 776 },
] as const;
type Schema = (typeof SCHEMAS)[number];
const DIGEST_PLACES = 728;

/** Claimed in S1 with a digest; ffmpeg checks the digest from 3 on. */
const DIGEST_VERSION = Buffer.from('04050001', 'hex');

export interface HandshakeStep {
  /** To be sent, in one write. */
  readonly send?: Buffer;
  /** Present when the handshake is done: what came after it. */
  readonly rest?: Uint8Array;
}

export class ServerHandshake {
  readonly #randomBytes: RandomBytes;
  #hello: ByteCollector | undefined = new ByteCollector(1 + HANDSHAKE_BYTES);
  #owed = HANDSHAKE_BYTES;

  constructor(randomBytes: RandomBytes) {
    this.#randomBytes = randomBytes;
  }

  /** Takes what arrived, in any pieces. Throws RemoteProtocolError for what is not RTMP, at its first byte. */
  receive(bytes: Uint8Array): HandshakeStep {
    if (this.#hello === undefined) return this.#skipEcho(bytes);
    if (this.#hello.length === 0 && bytes.length > 0 && bytes[0] !== RTMP_VERSION)
      throw new RemoteProtocolError('bad-message', `version ${bytes[0]} is not RTMP`);
    const missing = this.#hello.limit - this.#hello.length;
    this.#hello.add(bytes.subarray(0, missing));
    if (bytes.length < missing) return {};
    const send = answerHello(this.#hello.take().subarray(1), this.#randomBytes);
    this.#hello = undefined;
    return { send, ...this.#skipEcho(bytes.subarray(missing)) };
  }

  #skipEcho(bytes: Uint8Array): HandshakeStep {
    const skipped = Math.min(this.#owed, bytes.length);
    this.#owed -= skipped;
    return this.#owed > 0 ? {} : { rest: bytes.subarray(skipped) };
  }
}

/** S0, S1 and S2 for a C1. */
function answerHello(c1: Uint8Array, randomBytes: RandomBytes): Buffer {
  const answer = Buffer.from(randomBytes(1 + 2 * HANDSHAKE_BYTES));
  const s1 = answer.subarray(1, 1 + HANDSHAKE_BYTES);
  const s2 = answer.subarray(1 + HANDSHAKE_BYTES);
  answer[0] = RTMP_VERSION;
  writeU32(s1, 0, 0);
  const schema = SCHEMAS.find(each => digestOf(c1, each, PLAYER_NAME).equals(digestIn(c1, each)));
  if (schema === undefined) {
    writeU32(s1, 0, 4);
    s2.set(c1);
    return answer;
  }
  s1.set(DIGEST_VERSION, 4);
  digestIn(s1, schema).set(digestOf(s1, schema, SERVER_NAME));
  const proofKey = hmac(SERVER_KEY, digestIn(c1, schema));
  const proofAt = HANDSHAKE_BYTES - DIGEST_BYTES;
  s2.set(hmac(proofKey, s2.subarray(0, proofAt)), proofAt);
  return answer;
}

/** The 32 bytes of `block` where its digest is, if it has one. */
function digestIn(block: Uint8Array, { offsetAt, base }: Schema): Uint8Array {
  const sum = block.subarray(offsetAt, offsetAt + 4).reduce((total, byte) => total + byte, 0);
  const at = base + (sum % DIGEST_PLACES);
  return block.subarray(at, at + DIGEST_BYTES);
}

/** What the digest must be: over all of the block but itself. */
function digestOf(block: Uint8Array, schema: Schema, key: Uint8Array): Buffer {
  const at = digestIn(block, schema).byteOffset - block.byteOffset;
  return hmac(key, block.subarray(0, at), block.subarray(at + DIGEST_BYTES));
}

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}
