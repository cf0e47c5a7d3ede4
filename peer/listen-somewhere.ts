/**
 * Where a server of the peer listens: where it was told to, or wherever it can.
 *
 *     no host ─▶ `::`, IPv4 too; no IPv6 on this machine ─▶ 0.0.0.0        no port ─▶ the usual one; taken ─▶ a free one
 */
import { once } from 'node:events';
import type { Server } from 'node:net';
import { TransportError } from '../protocol/errors.js';
import { formatHostPort } from '../protocol/tsp/addresses.js';
import { LISTEN_BACKLOG } from '../protocol/tsp/doorkeeper.js';

/** Absent: wherever it can. */
export interface WhereToListen {
  readonly host?: string | undefined;
  /** 0: any. */
  readonly port?: number | undefined;
}

/** Resolves when the server listens. Rejects with TransportError, whose cause is Node's error. */
export async function listenSomewhere(
  server: Server,
  wanted: WhereToListen,
  usualPort: number,
): Promise<void> {
  let host = wanted.host ?? '::';
  let port = wanted.port ?? usualPort;
  for (;;) {
    try {
      server.listen({ host, port, backlog: LISTEN_BACKLOG });
      await once(server, 'listening');
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE' && wanted.port === undefined && port !== 0) port = 0;
      else if (NO_IPV6.has(code) && wanted.host === undefined && host === '::') host = '0.0.0.0';
      else throw new TransportError(`cannot listen on ${formatHostPort(host, port)}`, { cause: error });
    }
  }
}

/** What listening on `::` says where IPv6 is switched off. */
const NO_IPV6: ReadonlySet<string | undefined> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);
