/**
 * What PyPPSPP's tracker and its clients say: JSON objects over TCP, each with its length (u32) before it.
 *
 *     ─▶ {"type":"register","swarm_id":"771b…","endpoint":["192.0.2.7",6778]}       others: {"swarm_id":…,"type":"new_node","endpoint":…}
 *     ─▶ {"type":"get_peers","swarm_id":"771b…"}              ◀─ {"swarm_id":…,"type":"other_peers","details":[["192.0.2.9",6778],…]}
 *     ─▶ {"type":"unregister","swarm_id":"771b…","endpoint":…}                      others: {"swarm_id":…,"type":"remove_node","endpoint":…}
 *
 * Frames are cut by `DatagramFramer`. Addresses are IP addresses as `canonicalIp` writes them, never names.
 */
import { fromHex, toHex, utf8 } from '../bytes.js';
import { RemoteProtocolError } from '../errors.js';
import { canonicalIp, isIp } from '../ip.js';
import type { PeerAddress } from './gate.js';
import { frameHeader } from './stream-framing.js';

/** A request is some 200 bytes; the answer to one has this many peers at most. */
export const MAX_TRACKER_MESSAGE_BYTES = 16 * 1_024;
export const MAX_PEERS_LISTED = 200;
/** Live IDs of RSA keys are the longest. */
const MAX_SWARM_ID_BYTES = 600;

type Endpoint = readonly [address: string, port: number];

/** `swarm_id`: in hex. */
export type TrackerRequest =
  | { readonly type: 'register' | 'unregister'; readonly swarm_id: string; readonly endpoint: Endpoint }
  | { readonly type: 'get_peers'; readonly swarm_id: string };

export type TrackerNews =
  | { readonly swarm_id: string; readonly type: 'new_node'; readonly endpoint: Endpoint }
  | { readonly swarm_id: string; readonly type: 'remove_node'; readonly endpoint: Endpoint }
  | { readonly swarm_id: string; readonly type: 'other_peers'; readonly details: readonly Endpoint[] };

/** With its length before it. */
export function encodeTrackerMessage(message: TrackerRequest | TrackerNews): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  return Buffer.concat([frameHeader(text), text]);
}

/** Undefined for a type that nobody knows, which is passed over; RemoteProtocolError `bad-message` for what is no message. */
export function parseTrackerRequest(frame: Uint8Array): TrackerRequest | undefined {
  const { type, swarm_id, endpoint } = fieldsOf(frame);
  if (type !== 'register' && type !== 'unregister' && type !== 'get_peers') return undefined;
  const swarm = swarmIdOf(swarm_id);
  return type === 'get_peers'
    ? { type, swarm_id: swarm }
    : { type, swarm_id: swarm, endpoint: endpointOf(endpoint) };
}

/** As `parseTrackerRequest`. */
export function parseTrackerNews(frame: Uint8Array): TrackerNews | undefined {
  const { type, swarm_id, endpoint, details } = fieldsOf(frame);
  if (type === 'other_peers') {
    if (!Array.isArray(details)) throw bad('its details');
    // PyPPSPP's own lists whatever it was told.
    const listed = details.slice(0, MAX_PEERS_LISTED).flatMap(entry => {
      const known = asEndpoint(entry);
      return known === undefined ? [] : [known];
    });
    return { type, swarm_id: swarmIdOf(swarm_id), details: listed };
  }
  if (type !== 'new_node' && type !== 'remove_node') return undefined;
  return { type, swarm_id: swarmIdOf(swarm_id), endpoint: endpointOf(endpoint) };
}

export const peerOf = ([address, port]: Endpoint): PeerAddress => ({ address, port });

function fieldsOf(frame: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(utf8(frame));
  } catch {
    throw bad('JSON in it');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('an object');
  return value as Record<string, unknown>;
}

/** In lower case. */
function swarmIdOf(value: unknown): string {
  const id = typeof value === 'string' ? fromHex(value.toLowerCase()) : undefined;
  if (id === undefined || id.length === 0 || id.length > MAX_SWARM_ID_BYTES) throw bad('a swarm ID');
  return toHex(id);
}

function endpointOf(value: unknown): Endpoint {
  const endpoint = asEndpoint(value);
  if (endpoint === undefined) throw bad('an endpoint');
  return endpoint;
}

function asEndpoint(value: unknown): Endpoint | undefined {
  const [address, port] = Array.isArray(value) ? value : [];
  const isPort = typeof port === 'number' && Number.isInteger(port) && port > 0 && port <= 0xffff;
  return isPort && typeof address === 'string' && isIp(address) ? [canonicalIp(address), port] : undefined;
}

const bad = (what: string): RemoteProtocolError =>
  new RemoteProtocolError('bad-message', `a swarm tracker message without ${what}`);
