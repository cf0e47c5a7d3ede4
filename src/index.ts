/**
 * What `import … from 'torero'` gives: the protocol as codec and sessions, a client, a tracker and a peer, with types.
 *
 *     codec, framing, rows, hash trees     protocol/tsp/README.md says what they mean
 *     openClient, openTracker, openPeer    rooms of the house, ready to start
 */
export { EXIT, type Failure, failureOf } from '../peer/failures/failure.js';
export type { FetchReport, SongStream } from '../peer/listening/song-stream.js';
export type { Peer } from '../peer/peer.js';
export type {
  EndedSong,
  NowPlaying,
  PeerEvent,
  PeerStatus,
  PlayerControls,
  QueueView,
  TrackerView,
} from '../peer/prompt/peer-view.js';
export { safeText } from '../peer/prompt/terminal-text.js';
export {
  ConfigError,
  type ErrorCode,
  LocalProtocolError,
  RemoteProtocolError,
  RequestError,
  TransportError,
} from '../protocol/errors.js';
export { foldNodes, MerkleTree } from '../protocol/merkle.js';
export type { Clock, Logger } from '../protocol/ports.js';
export { formatHostPort, type HostPort, parseHostPort } from '../protocol/tsp/addresses.js';
export { decode, encode } from '../protocol/tsp/codec.js';
export * as constants from '../protocol/tsp/constants.js';
export { describe } from '../protocol/tsp/describe.js';
export { type FrameEvent, Framer } from '../protocol/tsp/framing.js';
export type {
  Hello,
  Message,
  PlainMessage,
  Request,
  SongId,
  StreamHeader,
  Welcome,
  WholeMessage,
} from '../protocol/tsp/messages.js';
export {
  type ContentHash,
  encodeRow,
  type OfferRow,
  parseSongRow,
  RowReader,
  type SongFields,
  type SongRow,
} from '../protocol/tsp/rows.js';
export type { Tracker } from '../tracker/tracker.js';
export { Client, type ClientOptions, openClient, openPeer, openTracker, type PeerOptions } from './open.js';
export { version } from './version.js';
