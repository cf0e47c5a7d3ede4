/**
 * What a server's session wants done, as data. Four of them are questions: until the shell has answered one, the session
 * reads nothing more.
 */
import type { Milliseconds } from '../ports.js';
import type { AmfObject } from './amf0.js';
import type { StreamPath } from './stream-path.js';

export type RtmpEffect =
  /** One write, in pieces. */
  | { readonly do: 'send'; readonly pieces: Uint8Array[] }
  /** Answer `admit` or `reject`. `app` may carry a query. */
  | { readonly do: 'connect'; readonly app: string }
  /** Answer `publishing` or `refuse`. `path` undefined: what was named can't be a name. */
  | { readonly do: 'publish'; readonly path: StreamPath | undefined }
  /** Answer `playing` or `refuse`. `lengthMs` undefined: to the end. */
  | {
      readonly do: 'play';
      readonly path: StreamPath | undefined;
      readonly startMs: number;
      readonly lengthMs: number | undefined;
    }
  /** Go there, send no more audio of before, answer `sought`. */
  | { readonly do: 'seek'; readonly ms: number }
  | { readonly do: 'pause'; readonly paused: boolean }
  /** How far ahead of its clock the player wants to be sent. */
  | { readonly do: 'buffer-length'; readonly ms: number }
  | { readonly do: 'metadata'; readonly values: AmfObject }
  /** The body of an FLV audio tag. */
  | { readonly do: 'audio'; readonly timestamp: number; readonly body: Uint8Array }
  /** The publisher, or the player, said that it is done. */
  | { readonly do: 'done' }
  /** After so long, when what was sent has left. */
  | { readonly do: 'close'; readonly afterMs: Milliseconds; readonly why: string };
