/**
 * Addresses as the wire writes them (TSP §3.1, §5.2): `192.0.2.7:7461`, `[2001:db8::2]:7461`, `:7461`.
 *
 * Literals only, IPv4-mapped IPv6 written as IPv4, RFC 5952 in brackets, no zone.
 */
import { canonicalIp, ipBytes } from '../ip.js';

export interface HostPort {
  /** A literal or a name; '' in `:7461`. IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where a server listens, as the system says. */
export interface ListeningAt {
  /** A literal; IPv6 without brackets. */
  readonly address: string;
  readonly port: number;
}

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*\.?$/i;

/** `host:port`, `[v6]:port`, `:port`; with `defaultPort` also `host`, `[v6]` and bare IPv6. Undefined if it is none. */
export function parseHostPort(input: string, defaultPort?: number): HostPort | undefined {
  if (defaultPort !== undefined && ipBytes(input)?.length === 16)
    return { host: canonicalIp(input), port: defaultPort };
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(input);
  if (match === null) return undefined;
  const [, bracketed, plain = '', digits] = match;
  if (bracketed !== undefined && ipBytes(bracketed)?.length !== 16) return undefined;
  const host = bracketed ?? plain;
  if (bracketed === undefined && host !== '' && !HOST_NAME.test(host)) return undefined;
  const port = digits === undefined ? defaultPort : Number(digits);
  if (port === undefined || port < 1 || port > 0xffff || (host === '' && digits === undefined))
    return undefined;
  return { host: canonicalIp(host), port };
}

/** What may stand in a row's `hosts`: a literal without a zone or nothing before the port, and a port that can be dialled. */
export function parseListedAddress(input: string): HostPort | undefined {
  const address = input.includes('%') ? undefined : parseHostPort(input);
  if (address === undefined) return undefined;
  return address.host === '' || ipBytes(address.host) !== undefined ? address : undefined;
}

export function formatHostPort(host: string, port: number): string {
  const ip = canonicalIp(host);
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}
