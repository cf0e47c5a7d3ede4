/**
 * A message as one readable line, for `--trace-wire`.
 *
 *     PLAY 10
 *     RANGE 10 offset 65536 count 0 hash 8becd36f…
 *     SONG_DATA 10 · 4194304 bytes
 *     ERROR busy to PLAY · retry in 2000 ms · "all 8 slots are taken"
 *
 * A trace puts the other side before it. It is loaded only where it is wanted, hence whoever traces imports its type alone.
 * What came from the network is quoted, so that a title cannot steer a terminal (protocol/quoted.ts). The instance of a
 * HELLO is a secret and is not shown.
 */
import { quoted } from '../quoted.js';
import { MESSAGE_TYPE, type MessageName } from './constants.js';
import type { FrameEvent } from './framing.js';
import type { ErrorBody, Hello, Message } from './messages.js';

const SHOWN_HASH_CHARS = 8;

export function describe(message: Message): string {
  return [message.type, ...details(message)].filter(part => part !== '').join(' ');
}

/** What came in: a message, or the head of a long one. Undefined for the pieces that follow a head. */
export function describeEvent(event: FrameEvent): string | undefined {
  if (event.kind === 'message') return describe(event.message);
  if (event.kind === 'stream') return describe(event.header);
  return event.kind === 'unknown' ? nameOf(event.type) : undefined;
}

export class WireTrace {
  constructor(readonly line: (line: string) => void) {}

  /** `ADDRESS > PLAY 10`: the other side said that. */
  said(remote: string, event: FrameEvent): void {
    const line = describeEvent(event);
    if (line !== undefined) this.line(`${remote} > ${line}`);
  }

  /** `ADDRESS < PLAY 10`: it was told. */
  told(remote: string, message: Message): void {
    this.line(`${remote} < ${describe(message)}`);
  }
}

function details(message: Message): readonly (string | number)[] {
  switch (message.type) {
    case 'INIT':
      return [`port ${message.port}`];
    case 'LIST':
    case 'QUIT':
      return [];
    case 'INFO':
    case 'PLAY':
    case 'STOP':
      return [message.song];
    case 'PING':
    case 'PONG':
      return [message.value];
    case 'HELLO':
      return [`port ${message.port}`, quoted(withoutSecret(message.hello))];
    case 'RANGE':
      return [message.song, `offset ${message.offset} count ${message.count}`, hashOf(message)];
    case 'HASHES':
      return [message.song, `level ${message.level}`, hashOf(message)];
    case 'FIND':
      return [quoted(message.words)];
    case 'UPDATE':
      return [`${message.changes.length} rows`];
    case 'WELCOME':
      return [`revision ${message.revision}`, quoted(message.welcome)];
    case 'LIST_INFO':
    case 'BROADCAST_LIST':
      return [`revision ${message.revision} · ${message.length} bytes`];
    case 'SONG_INFO':
    case 'SONG_DATA':
    case 'HASH_LIST':
      return [`${message.song} · ${message.length} bytes`];
    case 'SONG_IDS':
      return [`${message.length} bytes`];
    case 'ERROR':
      return [describeError(message.error)];
  }
}

function describeError(error: ErrorBody): string {
  const to = error.type === undefined ? '' : ` to ${nameOf(error.type)}`;
  const retry = error.retryAfterMs === undefined ? '' : ` · retry in ${error.retryAfterMs} ms`;
  const why = error.message === undefined ? '' : ` · ${quoted(error.message)}`;
  return `${error.code}${to}${retry}${why}`;
}

/** `PLAY`, or `0x2a` for a type that TSP/1 does not know. */
export function nameOf(type: number): string {
  const name = (Object.keys(MESSAGE_TYPE) as MessageName[]).find(key => MESSAGE_TYPE[key] === type);
  return name ?? `0x${type.toString(16).padStart(2, '0')}`;
}

const hashOf = (message: { readonly hash?: string }): string =>
  message.hash === undefined ? '' : `hash ${message.hash.slice(0, SHOWN_HASH_CHARS)}…`;

function withoutSecret(hello: Hello): object {
  const { instance, ...shown } = hello;
  return instance === undefined ? shown : { ...shown, instance: '(secret)' };
}
