/**
 * Bugs that the simulator must find: each changes one method of the house as a tired hand might, and takes it back.
 *
 *     const mend = bug.plant();   … a seed breaks a rule …   mend();
 */
import { ListenerSocket } from '../../peer/hosting/listener-socket.js';
import type { FetchEffect } from '../../peer/listening/fetch-effects.js';
import { FetchLogic } from '../../peer/listening/fetch-logic.js';
import { PieceHashes } from '../../peer/listening/pieces.js';
import { SongList } from '../../peer/tracker-client/song-list.js';
import { nextRevision } from '../../protocol/tsp/revision.js';
import { Journal } from '../../tracker/journal.js';
import { Registrar } from '../../tracker/registrar.js';
import { MemoryRegistry } from '../../tracker/registry/memory.js';
import { CrashingRegistry } from './crashing-registry.js';
import { type PlantedBug, replace } from './replace-method.js';

/** Changes what a fetch wants done with every `nth` piece. */
function spoilDeliveries(nth: number, spoil: (effect: FetchEffect) => readonly FetchEffect[]): () => void {
  let delivered = 0;
  return replace(FetchLogic.prototype, 'receive', (receive, ...args) => {
    const effects: readonly FetchEffect[] = receive(...args);
    return effects.flatMap(effect => {
      if (effect.do !== 'deliver') return [effect];
      delivered += 1;
      return delivered % nth === 0 ? spoil(effect) : [effect];
    });
  });
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'an ID is said before it is durable',
    from: 60,
    shows: /ID \d+ means|has the IDs/,
    plant: () =>
      replace(CrashingRegistry.prototype, 'flushed', flushed => {
        void flushed().catch(() => undefined);
        return Promise.resolve();
      }),
  },
  {
    name: 'a song that left and comes back gets another ID',
    shows: /has the IDs/,
    plant: () =>
      replace(MemoryRegistry.prototype, 'removeHost', function (removeHost, key) {
        const left = new Set([...this.rows(key)].map(([, { hash }]) => hash));
        removeHost(key);
        const idOf = this.idOf;
        this.idOf = (asked: string) => (left.has(asked) ? undefined : idOf.call(this, asked));
      }),
  },
  {
    name: 'a run goes on with the revisions that are on disk, whatever was told',
    from: 11,
    shows: /another list of revision/,
    plant: () =>
      replace(MemoryRegistry.prototype, 'told', function (told) {
        const { runs, blocks } = told();
        this.revision = nextRevision(runs.at(-1)?.last ?? 0);
        return { runs, blocks };
      }),
  },
  {
    name: 'what was told and never written counts as known',
    from: 11,
    shows: /another list of revision/,
    plant: () => replace(Journal.prototype, 'knows', () => true),
  },
  {
    name: 'who comes back is not told what changed last',
    shows: /another list of revision|a list is wrong/,
    plant: () => replace(Journal.prototype, 'changes', changes => changes().slice(1)),
  },
  {
    name: 'it is not written down that a song left',
    from: 21,
    shows: /another list of revision|a list is wrong/,
    plant: () =>
      replace(Journal.prototype, 'note', (note, id, row) => {
        if (row !== undefined) note(id, row);
      }),
  },
  {
    name: 'a row of a batch is lost',
    shows: /another list of revision|a list is wrong/,
    plant: () => {
      let calls = 0;
      return replace(SongList.prototype, 'rows', (rows, batch) => {
        calls += 1;
        rows(calls % 10 === 0 ? batch.slice(0, -1) : batch);
      });
    },
  },
  {
    name: 'a host that is gone stays listed',
    from: 2,
    shows: /which ended \d+ ms ago/,
    plant: () => replace(Registrar.prototype, 'leave', () => undefined),
  },
  {
    name: 'pieces are believed unproven',
    from: 6,
    shows: /are not its own/,
    plant: () => replace(PieceHashes.prototype, 'proves', () => true),
  },
  {
    name: 'a connection that ends is a song that ended',
    shows: /counts as played and ends at/,
    plant: () => replace(FetchLogic.prototype, 'lost', () => [{ do: 'finish' }]),
  },
  {
    name: 'a piece is delivered twice',
    shows: /are not its own|counts as played and ends at|never hear all songs/,
    plant: () => spoilDeliveries(20, effect => [effect, effect]),
  },
  {
    name: 'a piece is skipped',
    shows: /are not its own|counts as played and ends at|never hear all songs/,
    plant: () => spoilDeliveries(20, () => []),
  },
  {
    name: 'going on begins one byte too far',
    shows: /are not its own|counts as played and ends at|never hear all songs/,
    plant: () =>
      spoilDeliveries(20, effect => [
        effect.do === 'deliver' ? { ...effect, skip: effect.skip + 1 } : effect,
      ]),
  },
  {
    name: 'a host does not wait for who takes nothing',
    from: 11,
    shows: /holds \d+ bytes for/,
    plant: () =>
      replace(ListenerSocket.prototype, 'write', (write, chunks) => {
        void write(chunks)?.catch(() => undefined);
      }),
  },
];
