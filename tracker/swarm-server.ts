/**
 * The tracker of PPSPP swarms that PyPPSPP's clients know, on a port of its own: `tsp-tracker --swarm-port 6777`.
 *
 *     socket ─▶ DatagramFramer ─▶ parseTrackerRequest ─▶ SwarmTable ─▶ news to whom it concerns
 *
 * There is no word for an error in it: what is no message ends the connection, a type that nobody knows is passed over. Who
 * says nothing, too much, or takes nothing does not stay.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { RemoteProtocolError } from '../protocol/errors.js';
import { addressKey, canonicalIp } from '../protocol/ip.js';
import { DatagramFramer } from '../protocol/ppspp/stream-framing.js';
import {
  encodeTrackerMessage,
  MAX_TRACKER_MESSAGE_BYTES,
  parseTrackerRequest,
} from '../protocol/ppspp/tracker-messages.js';
import { BucketTable, TokenBucket } from '../protocol/token-bucket.js';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import { Doorkeeper, LISTEN_BACKLOG } from '../protocol/tsp/doorkeeper.js';
import type { TrackerConfig, TrackerWorld } from './config.js';
import { SwarmTable, type ToTell } from './swarm-table.js';

/** Until the first message is whole. */
const FIRST_MESSAGE_MS = 5_000;
/** Machines that are gone without a word are found by the system. */
const PROBE_AFTER_MS = 60_000;
/** A client registers and asks once a swarm, and asks again each minute. */
const REQUESTS = { burst: 200, perSecond: 10 };
/** What one address does is told to so many others at once, and then so many a second: fifty of the largest swarms. */
const NEWS = { burst: 50_000, perSecond: 5_000 };
/** News that wait for somebody who does not read. */
const MAX_UNREAD_BYTES = 256 * 1_024;

export interface SwarmServerOptions
  extends Pick<TrackerConfig, 'host' | 'port' | 'maxPerAddress' | 'maxConnections'>,
    Pick<TrackerWorld, 'clock' | 'logger'> {}

interface Member {
  readonly socket: Socket;
  readonly observed: string;
  /** Who it counts as in limits per address. */
  readonly key: string;
  readonly framer: DatagramFramer;
  readonly requests: TokenBucket;
  isGreeted: boolean;
}

export class SwarmServer {
  readonly #options: SwarmServerOptions;
  readonly #table = new SwarmTable<Member>();
  readonly #doorkeeper: Doorkeeper<Member>;
  readonly #members = new Set<Member>();
  /** Absent: no limit. */
  readonly #news: BucketTable | undefined;
  readonly #server: Server;

  constructor(options: SwarmServerOptions) {
    this.#options = options;
    this.#doorkeeper = new Doorkeeper(options);
    this.#news = Number.isFinite(options.maxPerAddress) ? new BucketTable(NEWS) : undefined;
    this.#server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS });
    this.#server.on('connection', socket => this.#accept(socket));
  }

  /** Rejects with Node's error when it can't listen there. */
  async start(): Promise<ListeningAt> {
    const { host, port, logger } = this.#options;
    this.#server.listen({ host, port, backlog: LISTEN_BACKLOG });
    await once(this.#server, 'listening');
    this.#server.on('error', err => logger.error({ err }, 'the socket of the swarm tracker failed'));
    return this.#server.address() as AddressInfo;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { socket } of this.#members) socket.destroy();
    await closed;
  }

  #accept(socket: Socket): void {
    // What went wrong shows in 'close'.
    socket.on('error', () => {});
    const { clock, logger } = this.#options;
    const observed = canonicalIp(socket.remoteAddress ?? '');
    const key = addressKey(observed);
    const refusal = observed === '' ? undefined : this.#doorkeeper.refusal(key, clock.now());
    if (observed === '' || refusal !== undefined) {
      logger.debug({ remote: observed, why: refusal?.message }, 'turned away by the swarm tracker');
      socket.destroy();
      return;
    }
    const member: Member = {
      socket,
      observed,
      key,
      framer: new DatagramFramer({ maxDatagramBytes: MAX_TRACKER_MESSAGE_BYTES }),
      requests: new TokenBucket(REQUESTS, clock.now()),
      isGreeted: false,
    };
    this.#members.add(member);
    this.#doorkeeper.entered(key, member)?.socket.destroy();
    const disarm = clock.after(FIRST_MESSAGE_MS, () => {
      if (!member.isGreeted) socket.destroy();
    });
    socket.on('data', (bytes: Buffer) => this.#heard(member, bytes));
    socket.on('close', () => {
      disarm();
      this.#members.delete(member);
      this.#doorkeeper.left(key, member);
      this.#tell(key, this.#table.left(member));
    });
  }

  #heard(member: Member, bytes: Uint8Array): void {
    const { clock, logger } = this.#options;
    const { socket, framer, requests, observed, key } = member;
    try {
      framer.push(bytes);
      for (let frame = framer.next(); frame !== undefined && !socket.destroyed; frame = framer.next()) {
        const request = parseTrackerRequest(frame);
        const now = clock.now();
        const isTooMuch = !requests.take(1, now) || (this.#news?.of(key, now).waitFor(1, now) ?? 0) > 0;
        if (isTooMuch) throw new RemoteProtocolError('too-many', 'too many requests');
        if (!member.isGreeted) this.#doorkeeper.greeted(member);
        member.isGreeted = true;
        if (request !== undefined) this.#tell(key, this.#table.heard(member, observed, request));
      }
    } catch (error) {
      if (!(error instanceof RemoteProtocolError)) throw error;
      logger.info({ remote: observed, why: error.message }, 'a client of the swarm tracker is let go');
      socket.destroy();
    }
  }

  /** The same news is written once. `key`: whose doing it is. */
  #tell(key: string, toTell: readonly ToTell<Member>[]): void {
    const now = this.#options.clock.now();
    this.#news?.of(key, now).takeAnyway(toTell.length, now);
    let last: { readonly news: object; readonly bytes: Buffer } | undefined;
    for (const { to, news } of toTell) {
      if (last?.news !== news) last = { news, bytes: encodeTrackerMessage(news) };
      if (to.socket.writableLength > MAX_UNREAD_BYTES) to.socket.destroy();
      else if (!to.socket.destroyed) to.socket.write(last.bytes);
    }
  }
}
