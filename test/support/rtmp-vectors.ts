/** The vectors of RTMP (`test/vectors/rtmp.json`), typed: what a program in any language may read. */
import { readFileSync } from 'node:fs';
import { type AmfValue, EcmaArray } from '../../protocol/rtmp/amf0.js';
import type { Message } from '../../protocol/rtmp/messages.js';

/** Hexadecimal digits, or so many bytes, of which number i is (from + i) mod 251. */
type Piece = readonly [string | { readonly count: number; readonly from: number }, meaning: string];
export type Pieces = readonly Piece[];

/** As JSON has it: Maps and undefined are told in objects of one key. */
export type WrittenValue =
  | number
  | boolean
  | string
  | null
  | readonly WrittenValue[]
  | { readonly object: readonly (readonly [string, WrittenValue])[] }
  | { readonly ecma: readonly (readonly [string, WrittenValue])[] }
  | { readonly undefined: true };

interface Named {
  readonly name: string;
}

export interface RtmpVectors {
  readonly handshakes: readonly (Named & { client: Pieces; server: Pieces; echo: Pieces })[];
  readonly chunks: readonly (Named & {
    bytes: Pieces;
    messages: readonly { type: number; stream: number; timestamp: number; payload: string }[];
    chunkBytes?: number;
    chunkStream?: number;
  })[];
  readonly rejects: readonly (Named & { bytes: Pieces; error: string })[];
  readonly amf: readonly (Named & { bytes: Pieces; values: readonly WrittenValue[]; decodeOnly?: boolean })[];
  readonly amfRejects: readonly (Named & { bytes: Pieces })[];
  readonly messages: readonly (Named & {
    type: number;
    payload: Pieces;
    message: { kind: Message['kind']; values?: readonly WrittenValue[]; body?: string };
    decodeOnly?: boolean;
  })[];
  readonly messageRejects: readonly (Named & { type: number; payload: Pieces })[];
  readonly audio: readonly (Named & {
    body: Pieces;
    kind: string;
    bytes?: string;
    codec?: string;
    isConfiguration?: boolean;
  })[];
  readonly tags: readonly { sampleRate: number; channels: number; byte: string }[];
  /** `path`: null names nothing. */
  readonly paths: readonly {
    client: string;
    app: string;
    name: string;
    room?: string;
    path: string | null;
  }[];
  readonly adobe: readonly {
    user: string;
    password: string;
    salt: string;
    opaque: string;
    challenge: string;
    response: string;
  }[];
}

export const rtmpVectors: RtmpVectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/rtmp.json', import.meta.url), 'utf8'),
);

export const filler = (count: number, from: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, i) => (from + i) % 251));

export const piecesToBytes = (pieces: Pieces): Buffer =>
  Buffer.concat(
    pieces.map(([bytes]) =>
      typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : filler(bytes.count, bytes.from),
    ),
  );

export function amfValue(written: WrittenValue): AmfValue {
  if (typeof written !== 'object' || written === null) return written;
  if (Array.isArray(written)) return written.map(amfValue);
  if ('object' in written) return new Map(written.object.map(([name, value]) => [name, amfValue(value)]));
  if ('ecma' in written) return new EcmaArray(written.ecma.map(([name, value]) => [name, amfValue(value)]));
  return undefined;
}

/** The message of a vector, with its values and bytes as the codec has them. */
export function messageOf({ message }: RtmpVectors['messages'][number]): Message {
  const { values, body } = message;
  return {
    ...message,
    ...(values && { values: values.map(amfValue) }),
    ...(body !== undefined && { body: Buffer.from(body, 'hex') }),
  } as Message;
}
