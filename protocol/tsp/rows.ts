/**
 * Rows: one JSON object a line (NDJSON), in lists, infos, broadcasts, updates and ID answers (TSP §3.1, §3.2, §5.1).
 *
 *     bytes ──▶ RowReader ──▶ unknown ──▶ parseListRow / parseInfoRow / parseOffer / … ──▶ typed row
 *
 * A row is judged leniently where that is safe: unknown keys are ignored, a field of the wrong type counts as absent,
 * text is cleaned (bad UTF-8 and NUL to U+FFFD, NFC, at most 255 bytes). What identifies a row (`id`, `hash`) must be
 * right, or the sender gets `bad-message`.
 */
import { ByteCollector, utf8 } from '../bytes.js';
import { type ErrorCode, RemoteProtocolError } from '../errors.js';
import { parseListedAddress } from './addresses.js';
import { MAX_HOSTS_PER_ROW, MAX_ROW_BYTES } from './constants.js';
import {
  boolean,
  count,
  errorCode,
  type FieldReader,
  type JsonObject,
  parseJsonObject,
  quantity,
  readFields,
  text,
} from './json.js';
import type { SongId } from './messages.js';
import { isSongId } from './song-id.js';

export { cleanText } from './json.js';

declare const contentHash: unique symbol;
/** 64 lower-case hex digits: the SHA-256 Merkle root of the file (TSP §4). */
export type ContentHash = string & { readonly [contentHash]: true };

/** What is known of a song besides who has it (TSP §3.1, §3.2). Absent means unknown. */
export interface SongFields {
  readonly title?: string;
  readonly artist?: string;
  /** Seconds. */
  readonly duration?: number;
  readonly vbr?: boolean;
  readonly size?: number;
  readonly album?: string;
  readonly albumArtist?: string;
  readonly track?: number;
  readonly disc?: number;
  readonly year?: number;
  readonly genre?: string;
  /** bit/s */
  readonly bitrate?: number;
  /** Hz */
  readonly sampleRate?: number;
  readonly channels?: number;
  /** Offset in bytes of the first MPEG frame. */
  readonly audioStart?: number;
  /** Of a live feed: this host has it from another one (TSP §5.5). */
  readonly relay?: boolean;
}

/** A song (or, with `live`, a feed) in somebody's list. LIST_INFO carries the first four of SongFields, SONG_INFO all. */
export interface SongRow extends SongFields {
  readonly id: SongId;
  /** Absent in a live feed. */
  readonly hash?: ContentHash;
  readonly live?: true;
  /** 64 hex digits; live feeds only (TSP §5.5). */
  readonly feed?: string;
  /** A sample of at most ten: `192.0.2.7:7461`, `[2001:db8::2]:7461`, `:7461` (on the tracker's own machine). */
  readonly hosts: readonly string[];
  readonly hostCount: number;
}

/** What a host says of a song that it has: no `id`, no `hosts`. */
export interface OfferRow extends SongFields {
  /** Of a live feed: the feed's ID, which stands for a hash wherever songs are told apart. */
  readonly hash: ContentHash;
  readonly live?: true;
}

/** What a host says to its listeners: an offer, its ID where that is known, and how its swarm is found. */
export interface HostRow extends OfferRow {
  readonly id?: SongId;
  /** Of a live feed: the ID of its live swarm, in hex (TSP §5.6). */
  readonly swarm?: string;
  /** Where in that swarm's stream the next run begins, in bytes. */
  readonly at?: number;
}

/** One row of UPDATE. */
export type OfferChange = OfferRow | { readonly hash: ContentHash; readonly gone: true };

/** One row of SONG_IDS. */
export type SongIdRow =
  | { readonly hash: ContentHash; readonly id: SongId }
  | { readonly hash: ContentHash; readonly error: ErrorCode };

/** One row of BROADCAST_LIST. In `song` rows a key that did not change is absent; `hosts: []` says that it left. */
export type BroadcastRow =
  | { readonly kind: 'whole' }
  | { readonly kind: 'since'; readonly revision: number }
  | { readonly kind: 'host-gone'; readonly host: string }
  | { readonly kind: 'song'; readonly id: SongId; readonly change: Partial<Omit<SongRow, 'id'>> };

/** Splits a byte stream into rows. Holds at most one row of 64 KiB. */
export class RowReader {
  readonly #partial = new ByteCollector(MAX_ROW_BYTES);
  #rows = 0;

  /** The rows that `bytes` completes. Throws RemoteProtocolError `bad-message` (no JSON object) or `too-large`. */
  push(bytes: Uint8Array): JsonObject[] {
    const rows: JsonObject[] = [];
    // So that a row that is too long is noticed, in however few pieces it comes.
    for (let start = 0; start < bytes.length; start += MAX_ROW_BYTES)
      this.#push(bytes.subarray(start, start + MAX_ROW_BYTES), rows);
    return rows;
  }

  /** The last row, which may do without its newline. */
  end(): JsonObject[] {
    const rows: JsonObject[] = [];
    this.#read(this.#partial.take(), rows);
    return rows;
  }

  #push(bytes: Uint8Array, rows: JsonObject[]): void {
    let start = 0;
    if (this.#partial.length > 0) {
      const newline = bytes.indexOf(NEWLINE);
      this.#hold(newline === -1 ? bytes : bytes.subarray(0, newline));
      if (newline === -1) return;
      this.#read(this.#partial.take(), rows);
      start = newline + 1;
    }
    const end = Math.max(start, bytes.lastIndexOf(NEWLINE) + 1);
    this.#read(bytes.subarray(start, end), rows);
    if (end < bytes.length) this.#hold(bytes.subarray(end));
  }

  /** Whole rows. Those that lie together become text together: for each by itself that takes as long as to read it. */
  #read(bytes: Uint8Array, rows: JsonObject[]): void {
    const text = utf8(bytes);
    for (let start = 0; start < text.length; ) {
      const newline = text.indexOf('\n', start);
      const end = newline === -1 ? text.length : newline;
      const line = text.slice(start, end);
      start = end + 1;
      if (BLANK.test(line)) continue;
      this.#rows += 1;
      rows.push(parseJsonObject(line, `row ${this.#rows}`));
    }
  }

  #hold(bytes: Uint8Array): void {
    if (!this.#partial.add(bytes)) {
      throw new RemoteProtocolError('too-large', `row ${this.#rows + 1} is past ${MAX_ROW_BYTES} bytes`);
    }
  }
}

export const encodeRow = (row: object): Buffer => Buffer.from(`${JSON.stringify(row)}\n`);

/** What a row says of who it is about: the content hash, or the ID of a live feed. */
export const identityOf = ({
  hash,
  live,
}: {
  readonly hash: ContentHash;
  readonly live?: true | undefined;
}): { hash: ContentHash } | { live: true; feed: string } => (live === true ? { live, feed: hash } : { hash });

/** As a host tells it to its tracker. */
export function encodeOfferChange(change: OfferChange): Buffer {
  if ('gone' in change) return encodeRow(change);
  const { hash, live, ...fields } = change;
  return encodeRow({ ...identityOf({ hash, live }), ...fields });
}

/** 64 lower-case hex digits, or undefined. */
export const asContentHash = (value: unknown): ContentHash | undefined =>
  typeof value === 'string' && HASH_PATTERN.test(value) ? (value as ContentHash) : undefined;

/** A row of LIST_INFO or SONG_INFO. An absent `hosts` is an empty one: a host's own list has none. */
export function parseSongRow(json: JsonObject): SongRow & { readonly id: SongId } {
  const row = readFields<Partial<Omit<SongRow, 'id'>>>(json, SONG_ROW_FIELDS);
  const key = row.live === true ? row.feed : row.hash;
  if (key === undefined)
    throw new RemoteProtocolError('bad-message', 'a row with neither a hash nor a live feed');
  const hosts = row.hosts ?? [];
  return { id: requireSongId(json), ...row, hosts, hostCount: row.hostCount ?? hosts.length };
}

/** A row of a host's own list or info, whose `id` may not be known yet (TSP §3.2). */
export function parseHostRow(json: JsonObject): HostRow {
  const row: HostRow = { ...(isSongId(json.id) && { id: json.id }), ...parseOffer(json) };
  if (row.live === true) readFields<Pick<HostRow, 'swarm' | 'at'>>(json, SWARM_FIELDS, row);
  return row;
}

/** What a peer hosts, as it tells the tracker. */
export function parseOffer(json: JsonObject): OfferRow {
  if (isOffer(json)) return json;
  const offer: OfferRow =
    json.live === true ? { hash: requireFeed(json), live: true } : { hash: requireHash(json) };
  readFields<SongFields>(json, SONG_FIELDS, offer);
  return offer;
}

/** Nothing but what an offer of a file has, all of it as it should be: the usual case, in which nothing is copied. */
function isOffer(json: JsonObject): json is JsonObject & OfferRow {
  for (const key in json) {
    const said = json[key];
    if (READER_OF_OFFER.get(key)?.(said) !== said) return false;
  }
  return json.hash !== undefined;
}

export function parseOfferChange(json: JsonObject): OfferChange {
  return json.gone === true ? { hash: requireHash(json), gone: true } : parseOffer(json);
}

export function parseSongIdRow(json: JsonObject): SongIdRow {
  const hash = requireHash(json);
  if (isSongId(json.id)) return { hash, id: json.id };
  const error = errorCode(json.error);
  if (error === undefined)
    throw new RemoteProtocolError('bad-message', 'a row with neither an ID nor an error');
  return { hash, error };
}

export function parseBroadcastRow(json: JsonObject): BroadcastRow {
  if (json.whole === true) return { kind: 'whole' };
  const since = json.id === undefined ? count(json.since) : undefined;
  if (since !== undefined) return { kind: 'since', revision: since };
  const host = json.gone === true ? text(json.host) : undefined;
  if (host !== undefined) return { kind: 'host-gone', host };
  if (json.hash !== undefined) requireHash(json);
  return {
    kind: 'song',
    id: requireSongId(json),
    change: readFields<Omit<SongRow, 'id'>>(json, SONG_ROW_FIELDS),
  };
}

export function encodeBroadcastRow(row: BroadcastRow): Buffer {
  if (row.kind === 'whole') return encodeRow({ whole: true });
  if (row.kind === 'since') return encodeRow({ since: row.revision });
  if (row.kind === 'host-gone') return encodeRow({ host: row.host, gone: true });
  return encodeRow({ id: row.id, ...row.change });
}

const NEWLINE = 0x0a;
const HEX_PATTERN = /^(?:[0-9a-f]{2})+$/;
const HASH_PATTERN = /^[0-9a-f]{64}$/;
/** What JSON counts as white space, so a lone CR or an empty line is no row. */
const BLANK = /^[ \t\r]*$/;

function requireSongId(json: JsonObject): SongId {
  if (!isSongId(json.id)) throw new RemoteProtocolError('bad-message', 'a row without a song ID');
  return json.id;
}

function requireHash(json: JsonObject): ContentHash {
  const hash = asContentHash(json.hash);
  if (hash === undefined) throw new RemoteProtocolError('bad-message', 'a row without a content hash');
  return hash;
}

function requireFeed(json: JsonObject): ContentHash {
  const feed = asContentHash(json.feed);
  if (feed === undefined) throw new RemoteProtocolError('bad-message', 'a live row without a feed');
  return feed;
}

const hostList: FieldReader<readonly string[]> = value =>
  Array.isArray(value) ? value.filter(isAddress).slice(0, MAX_HOSTS_PER_ROW) : undefined;
const isAddress = (value: unknown): value is string =>
  typeof value === 'string' && parseListedAddress(value) !== undefined;

const SONG_FIELDS: { readonly [K in keyof SongFields]-?: FieldReader<NonNullable<SongFields[K]>> } = {
  title: text,
  artist: text,
  duration: quantity,
  size: count,
  album: text,
  albumArtist: text,
  track: count,
  disc: count,
  year: count,
  genre: text,
  bitrate: quantity,
  vbr: boolean,
  sampleRate: count,
  channels: count,
  audioStart: count,
  relay: boolean,
};

const READER_OF_OFFER = new Map<string, FieldReader<unknown>>(
  Object.entries({ hash: asContentHash, ...SONG_FIELDS }),
);
/** At most a key of RSA with 4,096 bits. */
const MAX_SWARM_ID_DIGITS = 2 * 520;
const SWARM_FIELDS: { readonly [K in 'swarm' | 'at']: FieldReader<NonNullable<HostRow[K]>> } = {
  swarm: value =>
    typeof value === 'string' && value.length <= MAX_SWARM_ID_DIGITS && HEX_PATTERN.test(value)
      ? value
      : undefined,
  at: count,
};

const SONG_ROW_FIELDS: { readonly [K in keyof Omit<SongRow, 'id'>]-?: FieldReader<NonNullable<SongRow[K]>> } =
  {
    hash: asContentHash,
    live: value => (value === true ? true : undefined),
    feed: asContentHash as FieldReader<string>,
    hosts: hostList,
    hostCount: count,
    ...SONG_FIELDS,
  };
