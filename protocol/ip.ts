/**
 * IP addresses as text and as bytes, and what kind of place they are: for every protocol here that speaks of addresses.
 *
 * Literals only, IPv4-mapped IPv6 taken for IPv4, RFC 5952, no zone. An address is read into its bytes (4 or 16), and
 * everything else (scope, key for limits, canonical text) is said of those bytes.
 */

export type AddressScope =
  | 'unspecified'
  | 'loopback'
  | 'link-local'
  | 'multicast'
  | 'private'
  | 'reserved'
  | 'public';

type Bytes = readonly number[];

/** RFC 5952, IPv4-mapped as IPv4, zone dropped; anything that is no IP address comes back as it was. */
export function canonicalIp(input: string): string {
  const bytes = ipBytes(input);
  if (bytes === undefined) return input;
  return bytes.length === 4 ? bytes.join('.') : formatIpv6(bytes);
}

/** 4 or 16 bytes as text, as `canonicalIp` writes it. */
export const ipText = (bytes: Bytes): string =>
  canonicalIp(bytes.length === 4 ? bytes.join('.') : formatIpv6(bytes));

export const isIp = (input: string): boolean => ipBytes(input) !== undefined;

/** What kind of place an IP address is; a name or nonsense is `reserved`, which nobody dials. */
export function addressScope(input: string): AddressScope {
  const bytes = ipBytes(input);
  if (bytes === undefined) return 'reserved';
  return bytes.length === 4 ? ipv4Scope(bytes) : ipv6Scope(bytes);
}

/** Who counts as one in limits per address: an IPv4 address, or the /64 of an IPv6 address. */
export function addressKey(input: string): string {
  const bytes = ipBytes(input);
  if (bytes?.length !== 16) return bytes?.join('.') ?? input;
  return `${formatIpv6([...bytes.slice(0, 8), 0, 0, 0, 0, 0, 0, 0, 0])}/64`;
}

const LONGEST_IPV4 = '255.255.255.255'.length;
const ZERO = 0x30;
const DOT = 0x2e - ZERO;
const MAPPED = '::ffff:';
const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const NAT64_PREFIX = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

/** 4 bytes of IPv4 (also of IPv4-mapped IPv6), 16 of other IPv6, undefined for anything else. */
export function ipBytes(input: string): Bytes | undefined {
  if (!input.includes(':')) return ipv4Bytes(input);
  // So the system writes every IPv4 address to who listens on `::`.
  const mapped = input.startsWith(MAPPED) ? ipv4Bytes(input.slice(MAPPED.length)) : undefined;
  if (mapped !== undefined) return mapped;
  const bytes = ipv6Bytes(input.replace(/%.*$/, ''));
  return bytes !== undefined && startsWith(bytes, MAPPED_PREFIX) ? bytes.slice(12) : bytes;
}

/** Four numbers of one to three digits. Read by hand: each connection asks a few times, and a pattern takes ten times as long. */
function ipv4Bytes(input: string): Bytes | undefined {
  if (input.length > LONGEST_IPV4) return undefined;
  const bytes: number[] = [];
  let byte = 0;
  let digits = 0;
  for (let at = 0; at <= input.length; at += 1) {
    const digit = input.charCodeAt(at) - ZERO;
    if (digit >= 0 && digit <= 9) {
      byte = 10 * byte + digit;
      digits += 1;
      continue;
    }
    const isEnd = at === input.length;
    if ((!isEnd && digit !== DOT) || digits === 0 || digits > 3 || byte > 0xff) return undefined;
    bytes.push(byte);
    byte = 0;
    digits = 0;
  }
  return bytes.length === 4 ? bytes : undefined;
}

function ipv6Bytes(input: string): Bytes | undefined {
  const sides = input.split('::');
  if (sides.length > 2) return undefined;
  const [left, right] = sides.map(side => groups(side));
  if (left === undefined || (sides.length === 2 && right === undefined)) return undefined;
  if (right === undefined) return left.length === 16 ? left : undefined;
  const gap = 16 - left.length - right.length;
  return gap >= 2 ? [...left, ...new Array<number>(gap).fill(0), ...right] : undefined;
}

/** The bytes of `2001:db8:…`, whose last group may be a dotted IPv4 address. */
function groups(side: string): number[] | undefined {
  if (side === '') return [];
  const bytes: number[] = [];
  const parts = side.split(':');
  for (const [index, part] of parts.entries()) {
    const tail = index === parts.length - 1 ? ipv4Bytes(part) : undefined;
    if (tail !== undefined) bytes.push(...tail);
    else if (/^[0-9a-f]{1,4}$/i.test(part))
      bytes.push(Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 0xff);
    else return undefined;
  }
  return bytes;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function formatIpv6(bytes: Bytes): string {
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (words[start + length] === '0') length += 1;
    if (length > best.length) best = { start, length };
  }
  if (best.start === -1) return words.join(':');
  return `${words.slice(0, best.start).join(':')}::${words.slice(best.start + best.length).join(':')}`;
}

function ipv4Scope([a = 0, b = 0]: Bytes): AddressScope {
  if (a === 0) return 'unspecified';
  if (a === 127) return 'loopback';
  if (a === 169 && b === 254) return 'link-local';
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return 'private';
  if (a === 100 && b >= 64 && b < 128) return 'private'; // shared address space of carriers, RFC 6598
  if (a >= 224 && a < 240) return 'multicast';
  return a >= 240 ? 'reserved' : 'public';
}

function ipv6Scope(bytes: Bytes): AddressScope {
  const [a = 0, b = 0] = bytes;
  if (bytes.slice(0, 15).every(byte => byte === 0)) {
    return bytes[15] === 0 ? 'unspecified' : bytes[15] === 1 ? 'loopback' : 'reserved';
  }
  // Both carry an IPv4 address to which a gateway would send on, so what they say of it counts.
  if (startsWith(bytes, NAT64_PREFIX)) return ipv4Scope(bytes.slice(12));
  if (a === 0x20 && b === 0x02) return ipv4Scope(bytes.slice(2, 6));
  if (a === 0xfe && (b & 0xc0) === 0x80) return 'link-local';
  if (a === 0xff) return 'multicast';
  return (a & 0xfe) === 0xfc ? 'private' : 'public';
}

const startsWith = (bytes: Bytes, prefix: Bytes): boolean =>
  prefix.every((byte, index) => bytes[index] === byte);
