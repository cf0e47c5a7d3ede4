/**
 * What source clients and players say to an Icecast server, as far as it matters. Pure.
 *
 *     SOURCE /radio HTTP/1.0 ↵ Authorization: Basic c291cmNlOmtleQ== ↵ Content-Type: audio/mpeg ↵ ice-name: … ↵ ↵ MP3 …
 *     PUT    /radio HTTP/1.1 ↵ … Expect: 100-continue ↵ ↵ MP3, maybe in chunks
 *     GET    /admin/metadata?mode=updinfo&mount=/radio&song=Artist%20-%20Title
 *     GET    /radio                                                                   a player
 *
 * Node's own HTTP server takes SOURCE for a request without a body, so that the music would be the next request.
 */
import { oldText } from '../mpeg/old-text.js';
import type { LiveTitle } from './live-feed.js';
import type { IncomingFormat } from './publication.js';

export interface IcecastRequest {
  readonly method: string;
  /** Decoded, without the leading slash and without `.mp3` and the like. */
  readonly mount: string;
  readonly query: ReadonlyMap<string, string>;
  /** By lower-case name; one character a byte. */
  readonly headers: ReadonlyMap<string, string>;
}

/** The empty line behind a head; lines may end with a mere LF (RFC 9112 §2.2). */
export const END_OF_HEAD = /\r?\n\r?\n/;

/** `head`: everything up to the empty line, one character a byte. Undefined: that is no such request. */
export function parseRequest(head: string): IcecastRequest | undefined {
  const [line = '', ...rest] = head.split(/\r?\n/);
  // A proxy says the whole URL (RFC 9112 §3.2.2).
  const match = /^([A-Z]+) (?:http:\/\/[^/\s]+)?\/([^\s?]*)(?:\?(\S*))? (?:HTTP|ICE)\/1\.[01]$/.exec(line);
  if (match === null) return undefined;
  const [, method = '', path = '', search = ''] = match;
  const mount = decoded(path);
  if (mount === undefined) return undefined;
  const headers = new Map<string, string>();
  for (const field of rest) {
    const colon = field.indexOf(':');
    if (colon > 0) headers.set(field.slice(0, colon).trim().toLowerCase(), field.slice(colon + 1).trim());
  }
  return { method, mount: nameOfMount(mount), query: queryOf(search), headers };
}

/** `/radio.mp3` and `radio` are one mount. */
export const nameOfMount = (mount: string): string =>
  mount.replace(/^\/+/, '').replace(/\.(?:mp3|ogg|aac)$/i, '');

/** The password of Basic authentication; whose it is does not matter, since the mount says which feed. */
export function passwordOf({ headers }: IcecastRequest): string {
  const encoded = /^basic (\S+)$/i.exec(headers.get('authorization') ?? '')?.[1] ?? '';
  const text = Buffer.from(encoded, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}

/** Undefined: no sound that we know of. */
export function formatOf({ headers }: IcecastRequest): IncomingFormat | undefined {
  const type = (headers.get('content-type') ?? 'audio/mpeg').split(';', 1)[0]!.trim().toLowerCase();
  if (['audio/mpeg', 'audio/mp3', 'audio/x-mpeg'].includes(type)) return { kind: 'mpeg' };
  const head = new Uint8Array();
  if (['audio/aac', 'audio/aacp', 'audio/x-aac'].includes(type))
    return { kind: 'encoded', container: 'aac', codec: 'AAC', head };
  if (['application/ogg', 'audio/ogg', 'audio/opus', 'audio/vorbis'].includes(type))
    return { kind: 'encoded', container: 'ogg', codec: 'Ogg', head };
  return undefined;
}

/** What a source says of itself when it comes. */
export function titleOfSource({ headers }: IcecastRequest): LiveTitle {
  const name = headers.get('ice-name') ?? headers.get('icy-name');
  if (name === undefined || name === '' || /^no name$/i.test(name)) return {};
  return { title: oldText(Buffer.from(name, 'latin1')) };
}

/** What /admin/metadata says: title and artist, or both in one, with a dash between. */
export function titleOfUpdate({ query }: IcecastRequest): LiveTitle {
  const song = query.get('song');
  const dash = song?.indexOf(' - ') ?? -1;
  if (song === undefined) return { title: query.get('title'), artist: query.get('artist') };
  return dash === -1
    ? { title: song, artist: '' }
    : { artist: song.slice(0, dash), title: song.slice(dash + 3) };
}

/** Its `charset` says in what the rest of it is written, as for Icecast; butt and liquidsoap say so, older sources don't. */
function queryOf(search: string): ReadonlyMap<string, string> {
  const written = new Map<string, Buffer>();
  for (const field of search.split('&')) {
    const [name = '', ...value] = field.split('=');
    const characters = value
      .join('=')
      .replaceAll('+', ' ')
      .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    written.set(name, Buffer.from(characters, 'latin1'));
  }
  const decode = decoderOf(written.get('charset')?.toString());
  return new Map([...written].map(([name, bytes]) => [name, decode(bytes)]));
}

function decoderOf(charset: string | undefined): (bytes: Buffer) => string {
  if (charset === undefined) return oldText;
  try {
    const decoder = new TextDecoder(charset);
    return bytes => decoder.decode(bytes);
  } catch {
    return oldText;
  }
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
