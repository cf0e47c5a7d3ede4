/**
 * A message as one readable line, for `--trace-wire`.
 *
 *     connect 1 app "live" flashVer "FMLE/3.0 (compatible; Lavf59.27.100)"
 *     publish 5 (not shown) · stream 1
 *     onStatus 0 status NetStream.Publish.Start · stream 1
 *     AUDIO at 26 ms, 418 bytes · stream 1
 *
 * A trace puts the other side before it: `ADDRESS > connect 1 …` when it said that, `ADDRESS < _result 1 …` when it was told.
 * Stream keys stand where names do, in any place of a URL, and Adobe's answers behind them: so of applications and stream
 * names only those are shown that are known to be public, and of a command's other arguments only those named here.
 */
import { quoted } from '../quoted.js';
import type { AmfValue } from './amf0.js';
import type { Command, Message, UserControl } from './messages.js';

const HIDDEN = '(not shown)';
/** Of onMetaData, what people look for. */
const SHOWN_METADATA = ['title', 'artist', 'audiocodecid', 'audiosamplerate', 'audiodatarate', 'encoder'];

/** `isPublic`: whether this application or stream name may be shown. */
export function describe(message: Message, stream: number, isPublic: (name: string) => boolean): string {
  return `${details(message, isPublic)}${stream === 0 ? '' : ` · stream ${stream}`}`;
}

function details(message: Message, isPublic: (name: string) => boolean): string {
  switch (message.kind) {
    case 'set-chunk-size':
      return `SET_CHUNK_SIZE ${message.bytes}`;
    case 'abort':
      return `ABORT of chunk stream ${message.chunkStream}`;
    case 'acknowledgement':
      return `ACKNOWLEDGEMENT ${message.received}`;
    case 'window-ack-size':
      return `WINDOW_ACK_SIZE ${message.bytes}`;
    case 'set-peer-bandwidth':
      return `SET_PEER_BANDWIDTH ${message.bytes} ${message.limit}`;
    case 'user-control':
      return describeEvent(message);
    case 'command':
      return [word(message.name), message.transaction, ...argumentsOf(message, isPublic)].join(' ');
    case 'data':
      return describeData(message.values);
    case 'audio':
      return `AUDIO at ${message.timestamp} ms, ${message.body.length} bytes`;
  }
}

function describeEvent(message: UserControl): string {
  switch (message.event) {
    case 'stream-begin':
    case 'stream-eof':
      return `${message.event} ${message.stream}`;
    case 'set-buffer-length':
      return `${message.event} ${message.stream} to ${message.ms} ms`;
    case 'ping-request':
    case 'ping-response':
      return `${message.event} ${message.value}`;
    case 'other':
      return `event ${message.code}`;
  }
}

function argumentsOf({ name, values }: Command, isPublic: (name: string) => boolean): (string | number)[] {
  const nameAt = (value: AmfValue): string =>
    typeof value === 'string' && isPublic(value) ? quoted(value) : HIDDEN;
  switch (name) {
    case 'connect': {
      const [about] = values;
      return about instanceof Map ? ['app', nameAt(about.get('app')), ...fieldsOf(about, ['flashVer'])] : [];
    }
    case 'releaseStream':
    case 'FCPublish':
    case 'FCUnpublish':
    case 'FCSubscribe':
    case 'getStreamLength':
    case 'publish':
      return [nameAt(values[1])];
    case 'play':
      return [nameAt(values[1]), ...values.slice(2).filter(value => typeof value === 'number')];
    case '_result':
    case '_error':
    case 'onStatus':
      return resultOf(values.at(-1));
    default:
      return values.filter(value => typeof value === 'number' || typeof value === 'boolean').map(String);
  }
}

/** The description is for whom it was written: of Adobe's authentication it has the challenge. */
function resultOf(value: AmfValue): (string | number)[] {
  if (typeof value === 'number') return [value];
  if (!(value instanceof Map)) return [];
  return ['level', 'code'].flatMap(key => {
    const text = value.get(key);
    return typeof text === 'string' ? [word(text)] : [];
  });
}

function describeData(values: readonly AmfValue[]): string {
  const names = values.slice(0, 2).flatMap(value => (typeof value === 'string' ? [word(value)] : []));
  const about = values.find(value => value instanceof Map);
  return ['DATA', ...names, ...(about instanceof Map ? fieldsOf(about, SHOWN_METADATA) : [])].join(' ');
}

const fieldsOf = (about: ReadonlyMap<string, AmfValue>, keys: readonly string[]): string[] =>
  keys.flatMap(key => {
    const value = about.get(key);
    return typeof value === 'string' || typeof value === 'number' ? [key, quoted(value)] : [];
  });

/** As it is, if it is one. */
const word = (text: string): string => (/^[\w.@|]{1,60}$/.test(text) ? text : quoted(text));
