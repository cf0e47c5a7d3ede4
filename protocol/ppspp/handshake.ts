/**
 * What a HANDSHAKE says in each dialect, and whether what the other side said fits the swarm (RFC 7574 §3.1, §7).
 *
 *     rfc7574   version minimum swarm integrity hash [signature] addressing [window] chunk-size
 *     draft10   the same without chunk-size, which libswift takes for an error: its chunk size is agreed elsewhere
 *     pyppspp   version minimum swarm integrity=none addressing window chunk-size, and nothing of it is proven
 *
 * What doesn't fit is not answered at all (RFC 7574 §3.1.1): an answer would go to whoever was named as the sender.
 */
import { HASH_LENGTH, type HashName } from '../merkle.js';
import {
  type Addressing,
  type IntegrityMethod,
  MESSAGE_TYPE,
  type MessageName,
  PROTOCOL_VERSION,
  type SignatureAlgorithm,
} from './constants.js';
import type { Options, WireFormat } from './messages.js';

export type Dialect = 'rfc7574' | 'draft10' | 'pyppspp';

/** A swarm's metadata, from a trusted source. */
export interface SwarmMetadata {
  readonly swarmId: Uint8Array;
  readonly integrity: IntegrityMethod;
  readonly hash: HashName;
  readonly addressing: Addressing;
  readonly chunkBytes: number;
  /** Of a live swarm. */
  readonly live?: {
    readonly signature: SignatureAlgorithm;
    readonly signatureBytes: number;
    /** In chunks; Infinity: everything is kept. */
    readonly discardWindow: number;
  };
}

/** Our own options. Only an initiator names the swarm, but PyPPSPP wants it in the answer too. */
export function ownOptions(swarm: SwarmMetadata, dialect: Dialect, role: 'initiator' | 'responder'): Options {
  const { swarmId, integrity, hash, addressing, chunkBytes, live } = swarm;
  const proven = dialect !== 'pyppspp';
  const names = role === 'initiator' || !proven;
  const hashes = integrity === 'merkle' || (integrity === 'unified-merkle' && dialect === 'rfc7574');
  return {
    version: PROTOCOL_VERSION,
    minimumVersion: PROTOCOL_VERSION,
    ...(names ? { swarmId } : {}),
    integrity: proven ? integrity : 'none',
    ...(proven && hashes ? { hash } : {}),
    ...(proven && live !== undefined ? { signature: live.signature } : {}),
    addressing,
    ...(live === undefined
      ? {}
      : { discardWindow: live.discardWindow * (addressing === 'byte64' ? chunkBytes : 1) }),
    ...(dialect === 'draft10' ? {} : { chunkBytes }),
  };
}

/** Which dialect a HANDSHAKE is in. PyPPSPP names itself (option 10) and proves nothing; so do we in its place, without a name. */
export function dialectOf({ peerUuid, integrity, chunkBytes }: Options, swarm: SwarmMetadata): Dialect {
  if (peerUuid !== undefined || (integrity === 'none' && swarm.integrity !== 'none')) return 'pyppspp';
  return chunkBytes === undefined ? 'draft10' : 'rfc7574';
}

/**
 * Why a HANDSHAKE doesn't fit the swarm, for the log; undefined when it does. `allowed`: the dialects that the user lets
 * in; without `pyppspp` nothing unproven is taken.
 */
export function handshakeMismatch(
  options: Options,
  swarm: SwarmMetadata,
  role: 'initiator' | 'responder',
  allowed: readonly Dialect[],
): string | undefined {
  const dialect = dialectOf(options, swarm);
  if (!allowed.includes(dialect)) return `dialect ${dialect}`;
  const { version, minimumVersion = version } = options;
  if (version === undefined || version < PROTOCOL_VERSION || minimumVersion! > PROTOCOL_VERSION)
    return `version ${version}`;
  if (role === 'initiator' && (options.swarmId === undefined || options.minimumVersion === undefined))
    return 'an initiator without swarm or minimum version';
  if (options.swarmId !== undefined && Buffer.compare(options.swarmId, swarm.swarmId) !== 0)
    return 'another swarm';
  const expected = ownOptions(swarm, dialect, role);
  for (const field of ['integrity', 'hash', 'signature', 'addressing', 'chunkBytes'] as const) {
    // libswift is silent of the hash of a live swarm; anybody may say more than is needed, if it is true.
    const said = options[field];
    const wanted = expected[field] ?? (said === undefined ? undefined : swarm[field as keyof SwarmMetadata]);
    if (said !== wanted) return `${field} ${said}`;
  }
  if (dialect !== 'pyppspp' && (swarm.live !== undefined) !== (options.discardWindow !== undefined))
    return 'live against static';
  return undefined;
}

/** What a HANDSHAKE says of its sender alone. */
export interface Abilities {
  /** Option 8, if it was there; a copy. */
  readonly supportedMessages?: Uint8Array;
  /** How many chunks it keeps; Infinity: all. */
  readonly keeps: number;
}

export function abilitiesOf(options: Options, { addressing, chunkBytes, live }: SwarmMetadata): Abilities {
  const { supportedMessages, discardWindow = Number.POSITIVE_INFINITY } = options;
  const window = addressing === 'byte64' ? Math.floor(discardWindow / chunkBytes) : discardWindow;
  return {
    // PyPPSPP names a window in swarms that are not live, and keeps everything.
    keeps: live === undefined ? Number.POSITIVE_INFINITY : window,
    ...(supportedMessages && { supportedMessages: new Uint8Array(supportedMessages) }),
  };
}

/** What PyPPSPP reads without losing its way in the datagram. */
const PYPPSPP_READS: readonly MessageName[] = ['HANDSHAKE', 'DATA', 'ACK', 'HAVE', 'REQUEST'];

/**
 * Whether the other side can read a message: by its bitmap (RFC 7574 §7.10), or by what its dialect is known to read, whose
 * own bitmap is wrong.
 */
export function speaks(
  dialect: Dialect,
  supportedMessages: Uint8Array | undefined,
): (name: MessageName) => boolean {
  if (dialect === 'pyppspp') return name => PYPPSPP_READS.includes(name);
  if (supportedMessages === undefined) return () => true;
  return name => {
    const type = MESSAGE_TYPE[name];
    return (((supportedMessages[type >> 3] ?? 0) << (type & 7)) & 0x80) !== 0;
  };
}

/** How a swarm's messages are laid out. */
export const wireFormatOf = (swarm: SwarmMetadata, dialects: readonly Dialect[]): WireFormat => ({
  addressing: swarm.addressing,
  chunkBytes: swarm.chunkBytes,
  hashBytes: HASH_LENGTH[swarm.hash],
  signatureBytes: swarm.live?.signatureBytes ?? 0,
  peerUuids: dialects.includes('pyppspp'),
});
