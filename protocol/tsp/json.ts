/**
 * The JSON payloads of HELLO, WELCOME and ERROR (TSP §3.3, §6), and the lenient field readers that rows use too.
 *
 * A field of the wrong type counts as absent, so that a newer sender with other ideas is still understood; only what a
 * message cannot do without (`tsp`, `code`) must be right. Text is cleaned here, at ingress, once.
 */
import { ERROR_CODES, type ErrorCode, RemoteProtocolError } from '../errors.js';
import { MAX_TEXT_BYTES } from './constants.js';
import type { ErrorBody, Hello, Welcome } from './messages.js';

export type JsonObject = Readonly<Record<string, unknown>>;
/** undefined: the field is absent, or not what it should be. */
export type FieldReader<T> = (value: unknown) => T | undefined;

const MAX_LISTED = 16;
const MAX_MESSAGE_CHARS = 500;
const MAX_RETRY_MS = 3_600_000;
const MAX_PORT = 0xffff;

export const encodeJson = (value: object): Buffer => Buffer.from(JSON.stringify(value));

/** Anything but a JSON object is `bad-message`. */
export function parseJsonObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RemoteProtocolError('bad-message', `${what} is no JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RemoteProtocolError('bad-message', `${what} is no JSON object`);
  }
  return value as JsonObject;
}

/** Reads the fields of `readers` out of `json` into `fields`; those that are absent or unusable are left out. */
export function readFields<T extends object>(
  json: JsonObject,
  readers: { readonly [K in keyof T]-?: FieldReader<T[K]> },
  fields: Partial<T> = {},
): Partial<T> {
  for (const key in readers) {
    const value = readers[key](json[key]);
    if (value !== undefined) fields[key] = value;
  }
  return fields;
}

export const boolean: FieldReader<boolean> = value => (typeof value === 'boolean' ? value : undefined);
export const count: FieldReader<number> = value =>
  Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
export const quantity: FieldReader<number> = value =>
  typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : undefined;
export const text: FieldReader<string> = value => {
  const cleaned = typeof value === 'string' ? cleanText(value) : '';
  return cleaned === '' ? undefined : cleaned;
};
const port: FieldReader<number> = value => {
  const number = count(value);
  return number === undefined || number === 0 || number > MAX_PORT ? undefined : number;
};
const textList: FieldReader<readonly string[]> = value =>
  Array.isArray(value) ? value.slice(0, MAX_LISTED).flatMap(item => text(item) ?? []) : undefined;

/** NUL and lone surrogates to U+FFFD, NFC, at most 255 bytes of UTF-8 cut on a code point. */
export function cleanText(raw: string): string {
  if (raw.length <= MAX_TEXT_BYTES && PLAIN_ASCII.test(raw)) return raw;
  const longestUseful = raw.slice(0, 4 * MAX_TEXT_BYTES);
  const bytes = Buffer.from(
    Buffer.from(longestUseful).toString().replaceAll('\0', '\ufffd').normalize('NFC'),
  );
  let end = Math.min(bytes.length, MAX_TEXT_BYTES);
  while (end < bytes.length && isContinuation(bytes[end])) end -= 1;
  return bytes.toString('utf8', 0, end);
}

const PLAIN_ASCII = /^[\x01-\x7f]*$/;
const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** RemoteProtocolError `bad-message` without `"tsp":1` (TSP §3.3). */
export function parseHello(json: JsonObject): Hello {
  requireVersion(json, 'HELLO');
  return { tsp: 1, ...readFields<Omit<Hello, 'tsp'>>(json, HELLO_FIELDS) };
}

/** As `parseHello`. */
export function parseWelcome(json: JsonObject): Welcome {
  requireVersion(json, 'WELCOME');
  return { tsp: 1, ...readFields<Omit<Welcome, 'tsp'>>(json, WELCOME_FIELDS) };
}

/** A code that we do not know is read as `internal`: the sender meant an error, and a newer version may name more. */
export function parseErrorBody(json: JsonObject): ErrorBody {
  const code = errorCode(json.code);
  if (code === undefined) throw new RemoteProtocolError('bad-message', 'ERROR without a code');
  return { code, ...readFields<Omit<ErrorBody, 'code'>>(json, ERROR_FIELDS) };
}

/** What the other side is told of how it broke the protocol (TSP §6). */
export const breachBody = ({ code, message, type }: RemoteProtocolError): ErrorBody =>
  type === undefined ? { code, message } : { code, message, type };

export const errorCode: FieldReader<ErrorCode> = value => {
  if (typeof value !== 'string') return undefined;
  return ERROR_CODES.find(code => code === value) ?? 'internal';
};

function requireVersion(json: JsonObject, what: string): void {
  if (json.tsp !== 1) throw new RemoteProtocolError('bad-message', `${what} without "tsp":1`);
}

type Readers<T> = { readonly [K in keyof T]-?: FieldReader<T[K]> };

const HELLO_FIELDS: Readers<Omit<Hello, 'tsp'>> = {
  agent: text,
  name: text,
  instance: text,
  local: boolean,
  advertise: textList,
  broadcasts: boolean,
  since: value => {
    if (typeof value !== 'object' || value === null) return undefined;
    const { tracker, revision } = value as JsonObject;
    const name = text(tracker);
    const number = count(revision);
    return name === undefined || number === undefined ? undefined : { tracker: name, revision: number };
  },
  features: textList,
  swarmPort: port,
};

const WELCOME_FIELDS: Readers<Omit<Welcome, 'tsp'>> = {
  agent: text,
  name: text,
  tracker: text,
  listed: textList,
  features: textList,
  swarmPort: port,
  maxSongs: count,
};

const ERROR_FIELDS: Readers<Omit<ErrorBody, 'code'>> = {
  type: count,
  message: value => (typeof value === 'string' ? value.slice(0, MAX_MESSAGE_CHARS) : undefined),
  retryAfterMs: value => {
    const wait = quantity(value);
    return wait === undefined ? undefined : Math.min(wait, MAX_RETRY_MS);
  },
};
