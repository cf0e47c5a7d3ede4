/**
 * One connection to the Icecast door: a source client, an update of its title, or a player.
 *
 *     head ─┬▶ SOURCE, PUT ─▶ Publication, until the connection ends         a last chunk is a goodbye, a mere end is none
 *           ├▶ /admin/metadata ─▶ Publication.titled ─▶ closed
 *           └▶ GET ─▶ FeedPump with a burst of six seconds
 */
import type { Socket } from 'node:net';
import type { Clock, Logger } from '../../protocol/ports.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import { BUSY_RETRY_MS } from '../hosting/slots.js';
import { safeText } from '../prompt/terminal-text.js';
import { ChunkedBody } from './chunked-body.js';
import { LINE_IS_FULL } from './feed-places.js';
import { FeedPump, type FeedPumpOptions } from './feed-pump.js';
import {
  END_OF_HEAD,
  formatOf,
  type IcecastRequest,
  nameOfMount,
  parseRequest,
  passwordOf,
  titleOfSource,
  titleOfUpdate,
} from './icecast-request.js';
import { IcyStream, METADATA_INTERVAL, streamTitle } from './icy-stream.js';
import type { LiveFeed } from './live-feed.js';
import type { LiveFeeds } from './live-feeds.js';
import type { SharedRuns } from './live-runs.js';
import { type Publication, PublishRefused } from './publication.js';

const MAX_HEAD_BYTES = 8 * 1024;
const HEAD_MS = 5_000;
/** Players probe five seconds of sound before they begin. */
const BURST_MS = 6_000;
/** What was said last has so long to arrive. */
const LINGER_MS = 1_000;
/** The end of a feed longer: a player may read no faster than it plays. */
const LAST_SOUND_MS = 30_000;

export interface IcecastWorld {
  readonly feeds: LiveFeeds;
  readonly uploads: FeedPumpOptions['uploads'];
  /** What all players are sent alike. */
  readonly runs: SharedRuns<undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const REALM = 'WWW-Authenticate: Basic realm="Torero"';

export class IcecastConnection {
  readonly #socket: Socket;
  readonly #world: IcecastWorld;
  readonly #greeted: () => void;
  readonly #remote: string;
  #head: Buffer = Buffer.alloc(0);
  #publication: Publication | undefined;
  #chunks: ChunkedBody | undefined;
  /** Of a body whose length was told. */
  #bodyLeft = Number.POSITIVE_INFINITY;
  /** After the head: whatever still comes means nothing. */
  #isDone = false;
  #cancelDeadline: (() => void) | undefined;

  /** `greeted` is called when the request is whole. The socket has an error listener already. */
  constructor(socket: Socket, world: IcecastWorld, greeted: () => void) {
    this.#socket = socket;
    this.#world = world;
    this.#greeted = greeted;
    this.#remote = formatHostPort(socket.remoteAddress ?? '', socket.remotePort ?? 0);
  }

  start(): void {
    const socket = this.#socket;
    this.#cancelDeadline = this.#world.clock.after(HEAD_MS, () => socket.destroy());
    socket
      .on('data', chunk => this.#take(chunk))
      .once('end', () => {
        if (this.#publication !== undefined) socket.end();
        this.#publication?.lost();
      })
      .once('close', () => {
        this.#cancelDeadline?.();
        this.#publication?.lost();
      });
  }

  /** The peer stops, and HTTP has no words for that. */
  finish(): void {
    this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#publication !== undefined) this.#sound(chunk);
    else if (!this.#isDone) this.#readHead(chunk);
  }

  #readHead(chunk: Buffer): void {
    this.#head = Buffer.concat([this.#head, chunk]);
    // One character a byte, so that what is found is where it was.
    const text = this.#head.toString('latin1', 0, MAX_HEAD_BYTES);
    const end = END_OF_HEAD.exec(text);
    if (end === null) {
      if (this.#head.length > MAX_HEAD_BYTES) this.#answer('400 Bad Request');
      return;
    }
    this.#cancelDeadline?.();
    this.#isDone = true;
    this.#greeted();
    const request = parseRequest(text.slice(0, end.index));
    const body = this.#head.subarray(end.index + end[0].length);
    this.#head = Buffer.alloc(0);
    if (request === undefined) this.#answer('400 Bad Request');
    else this.#serve(request, body);
  }

  #serve(request: IcecastRequest, body: Buffer): void {
    const { method, mount } = request;
    if (method === 'SOURCE' || method === 'PUT') this.#publish(request, body);
    else if (method !== 'GET' && method !== 'HEAD') this.#answer('405 Method Not Allowed');
    else if (mount === 'admin/metadata') this.#retitle(request);
    else this.#play(request);
  }

  #publish(request: IcecastRequest, body: Buffer): void {
    const { feeds } = this.#world;
    const format = formatOf(request);
    if (format === undefined) {
      this.#answer('415 Unsupported Media Type', 'MP3, AAC or Ogg is what can be broadcast here.');
      return;
    }
    let publication: Publication | undefined;
    try {
      publication = feeds.publish({
        key: passwordOf(request),
        name: request.mount,
        via: 'Icecast',
        remote: this.#remote,
        dismissed: () => this.#socket.destroy(),
      });
      publication.format(format);
    } catch (error) {
      publication?.lost();
      this.#refuse(error);
      return;
    }
    this.#publication = publication;
    publication.titled(titleOfSource(request));
    this.#begin(request);
    if (body.length > 0) this.#sound(body);
  }

  #refuse(error: unknown): void {
    if (!(error instanceof PublishRefused)) throw error;
    if (error.reason === 'wrong-key') this.#answer('401 Unauthorized', error.message, REALM);
    else
      this.#answer(
        error.reason === 'unsupported' ? '415 Unsupported Media Type' : '403 Forbidden',
        error.message,
      );
  }

  #begin({ method, headers }: IcecastRequest): void {
    const expects = /^100-continue$/i.test(headers.get('expect') ?? '');
    if (/chunked/i.test(headers.get('transfer-encoding') ?? '')) this.#chunks = new ChunkedBody();
    const length = this.#chunks === undefined ? Number(headers.get('content-length')) : 0;
    if (Number.isSafeInteger(length) && length > 0) this.#bodyLeft = length;
    this.#socket.write(
      expects ? 'HTTP/1.1 100 Continue\r\n\r\n' : `HTTP/1.${method === 'PUT' ? 1 : 0} 200 OK\r\n\r\n`,
    );
  }

  #sound(bytes: Uint8Array): void {
    const publication = this.#publication!;
    try {
      for (const piece of this.#chunks?.push(bytes) ?? [bytes]) publication.send(piece);
    } catch (error) {
      this.#world.logger.info({ remote: this.#remote }, (error as Error).message);
      this.#socket.destroy();
      return;
    }
    this.#bodyLeft -= bytes.length;
    if (this.#bodyLeft > 0 && this.#chunks?.isOver !== true) return;
    publication.end();
    this.#isDone = true;
    this.#publication = undefined;
    this.#answer('200 OK');
  }

  #retitle(request: IcecastRequest): void {
    const { feeds } = this.#world;
    const name = nameOfMount(request.query.get('mount') ?? '');
    const isTitled = feeds.retitle({ key: passwordOf(request), name }, titleOfUpdate(request));
    if (!isTitled) this.#answer('401 Unauthorized', 'This key opens no feed that is on the air here.', REALM);
    else
      this.#answer(
        '200 OK',
        '<?xml version="1.0"?>\n<iceresponse><message>Metadata update successful</message><return>1</return></iceresponse>',
        'Content-Type: text/xml',
      );
  }

  #play({ method, mount, headers }: IcecastRequest): void {
    const { feeds, uploads, runs, clock } = this.#world;
    const feed = feeds.feed(mount);
    if (feed === undefined) {
      this.#answer('404 Not Found', 'Nothing is on the air under this name.');
      return;
    }
    if (method === 'GET' && !feed.places.takeForPlay()) {
      this.#answer('503 Service Unavailable', `${LINE_IS_FULL}.`, `Retry-After: ${BUSY_RETRY_MS / 1_000}`);
      return;
    }
    const icy = headers.get('icy-metadata') === '1' ? new IcyStream() : undefined;
    const fields = [
      'HTTP/1.0 200 OK',
      ...describe(feed),
      ...(icy ? [`icy-metaint: ${METADATA_INTERVAL}`] : []),
    ];
    this.#socket.write(`${fields.join('\r\n')}\r\n\r\n`);
    if (method === 'HEAD') {
      this.#end(LINGER_MS);
      return;
    }
    const tellTitle = (): void => icy?.setTitle(streamTitle(feed.title, stationOf(feed)));
    tellTitle();
    new FeedPump({
      feed,
      socket: this.#socket,
      uploads,
      clock,
      burstMs: BURST_MS,
      encode: run => {
        const music = [runs.bytes(feed, run, undefined)];
        return icy?.weave(music) ?? music;
      },
      titled: () => {
        tellTitle();
        return [];
      },
      over: how => {
        if (how === 'ended') this.#end(LAST_SOUND_MS);
      },
    });
  }

  #answer(status: string, text = '', ...fields: string[]): void {
    this.#isDone = true;
    const body = text === '' ? '' : `${text}\n`;
    const lines = [`HTTP/1.0 ${status}`, ...fields, `Content-Length: ${Buffer.byteLength(body)}`, '', body];
    this.#socket.write(lines.join('\r\n'));
    this.#end(LINGER_MS);
  }

  /** Whoever does not close its side, too, does not keep the connection. */
  #end(lingerMs: number): void {
    this.#socket.end();
    const cancel = this.#world.clock.after(lingerMs, () => this.#socket.destroy());
    this.#socket.once('close', cancel);
  }
}

/** A relayed feed goes by the name that it has at its source. */
const stationOf = ({ name, title: { station = name } }: LiveFeed): string => station;

function describe(feed: LiveFeed): string[] {
  const { format } = feed;
  const kbits = format === undefined ? [] : [`icy-br: ${Math.round(format.bitrate / 1_000)}`];
  const fields = ['Content-Type: audio/mpeg', `icy-name: ${safeText(stationOf(feed))}`, ...kbits];
  return [...fields, 'Cache-Control: no-cache', 'Access-Control-Allow-Origin: *', 'Connection: close'];
}
