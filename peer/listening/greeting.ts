/**
 * HELLO to a host, over a connection of its own, so that nothing a host makes of it delays a song (TSP §3.3).
 *
 *     lease ─▶ HELLO ─ WELCOME ─▶ a card in the book          an ERROR, silence, the end of the connection ─▶ an empty one
 */
import type { Clock } from '../../protocol/ports.js';
import type { Hello, Welcome } from '../../protocol/tsp/messages.js';
import { swarmPortOf } from '../../protocol/tsp/swarm-feature.js';
import type { HostBook, HostCard } from './choose-host.js';
import type { HostConnections } from './connections.js';

/** Who has not answered by then is asked for songs in the plain way. */
const ANSWER_MS = 2_000;

/** Calls `done` once, never at once. Returns what breaks it off. */
export function greet(
  host: string,
  world: {
    readonly book: HostBook;
    readonly connections: HostConnections;
    readonly clock: Clock;
    readonly hello: Hello;
  },
  done: () => void,
): () => void {
  const { book, connections, clock, hello } = world;
  const question = { type: 'HELLO', port: 0, hello } as const;
  const connection = connections.lease(host, {
    event: event => {
      // What an earlier holder of the connection asked may still be coming.
      if (event.kind !== 'answered' && event.kind !== 'refused') return;
      if (event.question !== question) return;
      end(() => connections.giveBack(connection));
      book.greeted(host, event.kind === 'answered' ? cardIn(event.welcome) : {}, clock.now());
      done();
    },
    lost: () => {
      end(() => {});
      book.failed(host, clock.now());
      done();
    },
  });
  connection.ask([{ question, least: 0 }]);
  let isOver = false;
  const end = (leave: () => void): void => {
    isOver = true;
    cancelTimer();
    leave();
  };
  const cancelTimer = clock.after(ANSWER_MS, () => {
    end(() => connections.discard(connection));
    book.greeted(host, {}, clock.now());
    done();
  });
  return () => {
    if (!isOver) end(() => connections.discard(connection));
  };
}

function cardIn(welcome: Welcome | undefined): HostCard {
  const { name } = welcome ?? {};
  const swarmPort = welcome && swarmPortOf(welcome);
  return { ...(name === undefined ? {} : { name }), ...(swarmPort === undefined ? {} : { swarmPort }) };
}
