/**
 * What can be said in RFC 7574 (§3, §8): one variant a message, named as in the RFC.
 *
 * Chunks are numbers and ranges of them, whichever addressing a swarm writes them in; `chunk-spec.ts` is the only place
 * that knows the five. A range is two numbers and never a list, so one of 2^32 chunks costs what one of a single chunk does.
 */
import type { HashName } from '../merkle.js';
import type { Addressing, IntegrityMethod, SignatureAlgorithm } from './constants.js';

/** Chunks `start` to `end`, both included. */
export interface ChunkRange {
  readonly start: number;
  readonly end: number;
}

/** RFC 7574 §7. Absent: not sent. */
export interface Options {
  readonly version?: number;
  readonly minimumVersion?: number;
  readonly swarmId?: Uint8Array;
  readonly integrity?: IntegrityMethod;
  readonly hash?: HashName;
  readonly signature?: SignatureAlgorithm;
  readonly addressing?: Addressing;
  /** In chunks (bytes with `byte64`); Infinity: everything is kept. */
  readonly discardWindow?: number;
  /** The bitmap as it is on the wire: bit x from the left stands for message type x. */
  readonly supportedMessages?: Uint8Array;
  readonly chunkBytes?: number;
  /** Of PyPPSPP. */
  readonly peerUuid?: Uint8Array;
}

export type Message =
  /** `channel` is the sender's own; 0 closes. */
  | { readonly type: 'HANDSHAKE'; readonly channel: number; readonly options: Options }
  /** `timestampUs`: the sender's clock, microseconds since 1970. */
  | {
      readonly type: 'DATA';
      readonly chunk: number;
      readonly timestampUs: number;
      readonly bytes: Uint8Array;
    }
  /** `delayUs`: the receiver's clock less the timestamp; negative when the clocks differ so. */
  | { readonly type: 'ACK'; readonly range: ChunkRange; readonly delayUs: number }
  | { readonly type: 'HAVE' | 'REQUEST' | 'CANCEL'; readonly range: ChunkRange }
  /** `range`: all leaves of the node, also those past the content. */
  | { readonly type: 'INTEGRITY'; readonly range: ChunkRange; readonly hash: Uint8Array }
  /** `timestamp`: NTP, 32.32 bits since 1900. */
  | {
      readonly type: 'SIGNED_INTEGRITY';
      readonly range: ChunkRange;
      readonly timestamp: bigint;
      readonly signature: Uint8Array;
    }
  | { readonly type: 'PEX_REQ' | 'CHOKE' | 'UNCHOKE' }
  /** `address`: 4 or 16 bytes. */
  | { readonly type: 'PEX_RESv4' | 'PEX_RESv6'; readonly address: Uint8Array; readonly port: number }
  /** X.509v3, DER. */
  | { readonly type: 'PEX_REScert'; readonly certificate: Uint8Array };

/** What a peer says of hashes, and has yet to prove. */
export type Claim = Extract<Message, { type: 'INTEGRITY' | 'SIGNED_INTEGRITY' }>;

/** What the swarm's metadata say of the wire: no field carries its own length. */
export interface WireFormat {
  readonly addressing: Addressing;
  /** VARIABLE_CHUNK_BYTES: any. */
  readonly chunkBytes: number;
  /** Length of a node's hash (option 4). */
  readonly hashBytes: number;
  /** Length of a signature (option 5 and the swarm's key); 0 where nothing is signed. */
  readonly signatureBytes: number;
  /** Option 10 is read, as PyPPSPP sends it. */
  readonly peerUuids?: boolean;
}
