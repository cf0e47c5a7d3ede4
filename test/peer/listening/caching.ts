/** A disk cache and a fetcher that uses it, and what a test does with them. */
import type { CatalogueChange } from '../../../peer/library/catalogue.js';
import { DiskCache } from '../../../peer/listening/disk-cache.js';
import { SongFetcher } from '../../../peer/listening/fetch.js';
import type { LocalSongs } from '../../../peer/listening/local-song.js';
import type { SongToFetch } from '../../../peer/listening/song-stream.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { type Teardown, until } from '../../support/until.js';
import type { ScriptedHost, TestSong } from './scripted-host.js';

export const MIB = 1024 * 1024;

export interface CachedFixture {
  readonly cache: DiskCache;
  readonly fetcher: SongFetcher;
  readonly logger: RecordingLogger;
  readonly full: string[];
  readonly changes: CatalogueChange[];
}

/** Of a peer that has this folder. */
export async function openCached(
  t: Teardown,
  folder: string,
  options: { maxBytes?: number; library?: LocalSongs & { recheck?(): void } } = {},
): Promise<CachedFixture> {
  const logger = new RecordingLogger();
  const full: string[] = [];
  const changes: CatalogueChange[] = [];
  const { maxBytes = 100 * MIB, library } = options;
  const cache = new DiskCache({ folder, maxBytes, logger, onFull: why => full.push(why) });
  cache.onChange(change => changes.push(change));
  await cache.start();
  const fetcher = new SongFetcher({ clock: patientClock, logger, randomUnit: () => 0, cache, library });
  t.teardown(async () => {
    await fetcher.stop();
    await cache.stop();
  });
  return { cache, fetcher, logger, full, changes };
}

export const toFetch = (song: TestSong, host?: ScriptedHost): SongToFetch => ({
  hash: song.hash,
  id: song.id,
  hosts: host === undefined ? [] : [host.address],
  fields: { title: `title ${song.id}`, artist: 'somebody' },
});

export const cached = ({ cache }: CachedFixture, song: TestSong): Promise<unknown> =>
  until('it is cached', () => cache.get(song.hash));
