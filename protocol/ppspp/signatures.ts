/**
 * Live signatures (RFC 7574 §6.1, §7.7): keys and signatures as DNSSEC writes them.
 *
 *     swarm ID = algorithm (u8) · public key        ECDSA: x · y        RSA: exponent length · exponent · modulus (RFC 3110)
 *     signed   = chunk specification · NTP time · munro hash            ECDSA: r · s      RSA: PKCS #1 v1.5
 *
 * Nothing carries the length of a signature; it follows from the key.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { ByteReader } from '../bytes.js';
import { LocalProtocolError, RemoteProtocolError } from '../errors.js';
import { SIGNATURE_ALGORITHMS, type SignatureAlgorithm } from './constants.js';

interface Algorithm {
  readonly digest: string;
  /** ECDSA; its coordinates have `coordinateBytes`. */
  readonly curve?: { readonly name: string; readonly coordinateBytes: number };
}

const ALGORITHMS: Readonly<Record<SignatureAlgorithm, Algorithm>> = {
  5: { digest: 'sha1' },
  8: { digest: 'sha256' },
  13: { digest: 'sha256', curve: { name: 'P-256', coordinateBytes: 32 } },
  14: { digest: 'sha384', curve: { name: 'P-384', coordinateBytes: 48 } },
};
/** From 512 to 4,096 bits, as RFC 3110 has it. */
const MIN_MODULUS_BYTES = 64;
const MAX_MODULUS_BYTES = 512;

/** The public half of a live swarm: what its ID says. */
export interface LiveKey {
  readonly algorithm: SignatureAlgorithm;
  readonly signatureBytes: number;
  verify(signed: Uint8Array, signature: Uint8Array): boolean;
}

/** Reads a live swarm's ID; RemoteProtocolError `bad-message` when it is none. */
export function parseLiveSwarmId(swarmId: Uint8Array): LiveKey {
  const reader = new ByteReader(swarmId);
  const code = reader.u8('algorithm');
  const algorithm = SIGNATURE_ALGORITHMS.find(known => known === code);
  if (algorithm === undefined) throw bad(`unknown signature algorithm ${code}`);
  const { digest, curve } = ALGORITHMS[algorithm];
  const jwk = curve === undefined ? readRsa(reader) : readEcdsa(reader, curve);
  reader.end('the swarm ID');
  const key = publicKey(jwk);
  const signatureBytes =
    curve === undefined ? Buffer.from(jwk.n!, 'base64url').length : 2 * curve.coordinateBytes;
  return {
    algorithm,
    signatureBytes,
    verify: (signed, signature) =>
      signature.length === signatureBytes &&
      verify(digest, signed, { key, dsaEncoding: 'ieee-p1363' }, signature),
  };
}

/** The swarm ID of a source's key. LocalProtocolError when the key is not of that algorithm. */
export function liveSwarmId(algorithm: SignatureAlgorithm, key: KeyObject): Uint8Array {
  const jwk = createPublicKey(key).export({ format: 'jwk' });
  const { curve } = ALGORITHMS[algorithm];
  if (curve === undefined ? jwk.kty !== 'RSA' : jwk.crv !== curve.name)
    throw new LocalProtocolError(`this key is none of algorithm ${algorithm}`);
  const field = (text: string | undefined): Buffer => Buffer.from(text!, 'base64url');
  if (curve !== undefined) return Buffer.concat([Uint8Array.of(algorithm), field(jwk.x), field(jwk.y)]);
  const exponent = field(jwk.e);
  return Buffer.concat([Uint8Array.of(algorithm, exponent.length), exponent, field(jwk.n)]);
}

/** A source's signature, as it stands in SIGNED_INTEGRITY. */
export const signLive = (algorithm: SignatureAlgorithm, key: KeyObject, signed: Uint8Array): Uint8Array =>
  sign(ALGORITHMS[algorithm].digest, signed, { key, dsaEncoding: 'ieee-p1363' });

interface Jwk {
  readonly [field: string]: string;
}

function readEcdsa(reader: ByteReader, curve: NonNullable<Algorithm['curve']>): Jwk {
  const x = base64url(reader.bytes(curve.coordinateBytes, 'x'));
  const y = base64url(reader.bytes(curve.coordinateBytes, 'y'));
  return { kty: 'EC', crv: curve.name, x, y };
}

function readRsa(reader: ByteReader): Jwk {
  const short = reader.u8('length of the exponent');
  const e = reader.bytes(short === 0 ? reader.u16('length of the exponent') : short, 'exponent');
  const n = reader.bytes(reader.remaining, 'modulus');
  if (n.length < MIN_MODULUS_BYTES || n.length > MAX_MODULUS_BYTES || n[0] === 0)
    throw bad(`a modulus of ${n.length} bytes`);
  return { kty: 'RSA', e: base64url(e), n: base64url(n) };
}

function publicKey(jwk: Jwk): KeyObject {
  try {
    return createPublicKey({ format: 'jwk', key: jwk });
  } catch {
    throw bad('a key that is none');
  }
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');

const bad = (what: string): RemoteProtocolError =>
  new RemoteProtocolError('bad-message', `${what} in a live swarm's ID`);
