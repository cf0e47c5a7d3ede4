/**
 * The numbers of RFC 7574: message types (§8.2), protocol options (§7), and the registries behind them.
 *
 *     datagram = channel ID (u32) · message …        message = type (u8) · payload, without a length
 *
 * Nothing on this wire says how long it is, so whoever does not know a type or an option cannot read past it.
 */

/** The usual port of a tracker of swarms. */
export const SWARM_TRACKER_PORT = 6_777;

/** RFC 7574 §8.2. */
export const MESSAGE_TYPE = {
  HANDSHAKE: 0x00,
  DATA: 0x01,
  ACK: 0x02,
  HAVE: 0x03,
  INTEGRITY: 0x04,
  PEX_RESv4: 0x05,
  PEX_REQ: 0x06,
  SIGNED_INTEGRITY: 0x07,
  REQUEST: 0x08,
  CANCEL: 0x09,
  CHOKE: 0x0a,
  UNCHOKE: 0x0b,
  PEX_RESv6: 0x0c,
  PEX_REScert: 0x0d,
} as const;
export type MessageName = keyof typeof MESSAGE_TYPE;

/** RFC 7574 §7. `peerUuid` is no option of the RFC: PyPPSPP sends it. */
export const OPTION_CODE = {
  version: 0,
  minimumVersion: 1,
  swarmId: 2,
  integrity: 3,
  hash: 4,
  signature: 5,
  addressing: 6,
  discardWindow: 7,
  supportedMessages: 8,
  chunkBytes: 9,
  peerUuid: 10,
} as const;
export const END_OF_OPTIONS = 255;

export const PROTOCOL_VERSION = 1;
export const CHANNEL_BYTES = 4;
/** The channel to which the first HANDSHAKE goes, and the one that a closing HANDSHAKE names as its own. */
export const NO_CHANNEL = 0;

/** RFC 7574 §7.5; the place in the list is the code. */
export const INTEGRITY_METHODS = ['none', 'merkle', 'sign-all', 'unified-merkle'] as const;
export type IntegrityMethod = (typeof INTEGRITY_METHODS)[number];

/** RFC 7574 §7.6; the place in the list is the code. */
export const HASH_FUNCTIONS = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const;

/** RFC 7574 §7.8; the place in the list is the code. */
export const ADDRESSING_METHODS = ['bin32', 'byte64', 'chunk32', 'bin64', 'chunk64'] as const;
export type Addressing = (typeof ADDRESSING_METHODS)[number];
export const SPEC_BYTES: Readonly<Record<Addressing, number>> = {
  bin32: 4,
  byte64: 16,
  chunk32: 8,
  bin64: 8,
  chunk64: 16,
};

/** RFC 7574 §7.7: algorithm numbers of DNSSEC. */
export const SIGNATURE_ALGORITHMS = [5, 8, 13, 14] as const;
/** The one that our own sources sign with. */
export const ECDSA_P256 = 13;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

export const DEFAULT_CHUNK_BYTES = 1_024;
/** Option 9: chunks of any size, one DATA a datagram. */
export const VARIABLE_CHUNK_BYTES = 0xffff_ffff;
/** Option 7: everything is kept. As a number it is past all others. */
export const KEEPS_EVERYTHING = Number.POSITIVE_INFINITY;
/** The last chunk that 64-bit numbers can name here: no content is that long. */
export const LAST_CHUNK = Number.MAX_SAFE_INTEGER;
/** UDP carries no more. */
export const MAX_DATAGRAM_BYTES = 65_507;
export const UUID_BYTES = 16;
