/**
 * What a client's application and stream name mean, however it cut its URL in two.
 *
 *     live · song         live · mp3:song       live/song · ''          live/a · song         ─▶ room and name
 *     live · song.mp3     live · song?user=bob  live · a%2Fsong         '' · live/song
 *
 * ffmpeg, librtmp and OBS cut `rtmp://host/live/a/song.mp3` in different places; put together and cut at the first slash
 * it is the same again.
 */
import { MAX_NAME_BYTES } from './constants.js';

export interface StreamPath {
  /** `live`, `songs`. */
  readonly room: string;
  /** Without what a client put around it; may be empty, may have slashes. */
  readonly name: string;
}

/** Undefined for what names nothing: too long, control characters, `..`, a broken escape. */
export function streamPath(app: string, name: string): StreamPath | undefined {
  const whole = decoded(`${withoutQuery(app)}/${bareName(withoutQuery(name))}`);
  if (whole === undefined || Buffer.byteLength(whole) > MAX_NAME_BYTES) return undefined;
  if (/[\0-\x1f\x7f]/.test(whole)) return undefined;
  const parts = whole.split('/').filter(part => part !== '');
  if (parts.includes('..')) return undefined;
  const [room = '', ...rest] = parts;
  return { room, name: rest.join('/') };
}

/** The part after `?`, as it stands: Adobe's answers are not escaped. */
export function queryOf(app: string): string {
  const at = app.indexOf('?');
  return at < 0 ? '' : app.slice(at + 1);
}

const withoutQuery = (text: string): string => text.split('?', 1)[0]!;

/** librtmp turns `song.mp3` into `mp3:song`, ffmpeg `song.mp4` into `mp4:song.mp4`. */
function bareName(name: string): string {
  const [, prefix, rest] = /^(mp3:|mp4:|flv:)?(.*)$/s.exec(name)!;
  return rest!.replace(prefix === 'mp4:' ? /\.mp4$/ : /\.(?:mp3|flv)$/, '');
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
