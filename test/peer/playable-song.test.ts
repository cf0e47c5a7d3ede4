/** What is said of a song while it plays. */
import t from 'tap';
import { playableSong, type SongSources } from '../../peer/playable-song.js';
import type { SongId } from '../../protocol/tsp/messages.js';
import type { OfferRow } from '../../protocol/tsp/rows.js';
import { feedId } from './live/feeding.js';

t.test(
  'whether a feed is relayed is what the host says that is heard, not the one that is listed first',
  async t => {
    let described!: (row: OfferRow) => void;
    const sources = {
      fetcher: { listen: (_feed: unknown, tell: typeof described) => (described = tell) },
      hostsOf: () => [],
      info: async () => [],
    } as unknown as SongSources;
    const feed = feedId('radio');
    const listed = { id: 12 as SongId, live: true, feed, relay: true, hosts: [], hostCount: 2 } as const;
    const playing = playableSong(listed, sources);
    playing.open(0);
    t.equal(playing.row.relay, true, 'as listed, as long as nobody is heard');
    described({ hash: feed, live: true, title: 'Fandango' });
    t.match(playing.row, { title: 'Fandango', relay: false });
    described({ hash: feed, live: true, relay: true });
    t.equal(playing.row.relay, true);
  },
);
