/** The vectors of TSP/1 (`test/vectors/tsp.json`), typed: what a program in any language may read. */
import { readFileSync } from 'node:fs';
import type { Message, PlainMessage, StreamHeader, WholeMessage } from '../../protocol/tsp/messages.js';

type Pieces = readonly (readonly [hex: string, meaning: string])[];
export type RowKind = 'host' | 'song' | 'offer' | 'offer-change' | 'song-id' | 'broadcast';

export interface Vectors {
  readonly messages: readonly {
    name: string;
    type: string;
    bytes: Pieces;
    message: PlainMessage | WholeMessage;
    decodeOnly?: boolean;
  }[];
  readonly streams: readonly {
    name: string;
    type: string;
    bytes: Pieces;
    message: StreamHeader;
    payload: Pieces | null;
    rowKind?: RowKind;
    rows?: readonly object[];
  }[];
  readonly rejects: readonly {
    name: string;
    bytes: Pieces;
    error: string;
    unknown?: number[];
    maxPayloadBytes?: number;
  }[];
  readonly accepted: readonly {
    name: string;
    bytes: Pieces;
    unknown: number[];
    messages: Message[];
    zerosThatFollow?: number;
  }[];
  readonly rows: readonly {
    name: string;
    kind: RowKind;
    line?: string;
    hex?: string;
    row?: object;
    error?: string;
  }[];
  readonly merkle: {
    readonly roots: readonly { size: number; sha1: string; sha256: string }[];
    readonly nodes: readonly { size: number; level: number; root: string; nodes: string[] }[];
    readonly proofs: readonly { size: number; chunk: number; root: string; node: string; uncles: string[] }[];
  };
  readonly addresses: {
    readonly parse: readonly {
      text: string;
      defaultPort?: number;
      host?: string;
      port?: number;
      error?: string;
    }[];
    readonly format: readonly { host: string; port: number; text: string }[];
    readonly scope: readonly { host: string; scope: string }[];
  };
}

export const vectors: Vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/tsp.json', import.meta.url), 'utf8'),
);

export const bytesOf = (pieces: Pieces): Buffer => Buffer.from(pieces.map(([hex]) => hex).join(''), 'hex');
