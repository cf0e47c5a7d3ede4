/** The key of a live source, in a file: ECDSA on P-256 (RFC 7574 §7.7: algorithm 13), PKCS #8 as PEM. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { fileError } from '../failures/failure.js';

export const newP256Key = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

export const p256Pem = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }).toString();

/** `pem`: what the file at `path` says. Throws CommandError when that is something else. */
export function readP256Pem(pem: string, path: string): KeyObject {
  const key = asKey(pem);
  if (key?.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  throw fileError(
    `${path} is no P-256 key.`,
    'Put a copy in its place, or move it away: then there is a new key, and with it a new ID.',
  );
}

function asKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
