/** A fetcher that ends with its test, and what a test does with a stream. */
import { SongFetcher } from '../../../peer/listening/fetch.js';
import type { SongStream, SongToFetch } from '../../../peer/listening/song-stream.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { type Teardown, within } from '../../support/until.js';
import type { ScriptedHost, TestSong } from './scripted-host.js';

export function fetcher(
  test: Teardown,
  options: Partial<ConstructorParameters<typeof SongFetcher>[0]> = {},
): SongFetcher {
  const made = new SongFetcher({
    clock: patientClock,
    logger: new RecordingLogger(),
    // Always the same: hosts of equal standing keep their order.
    randomUnit: () => 0,
    ...options,
  });
  test.teardown(() => made.stop());
  return made;
}

export const toFetch = (
  song: TestSong,
  hosts: readonly ScriptedHost[],
  more: Partial<SongToFetch> = {},
): SongToFetch => ({
  hash: song.hash,
  id: song.id,
  hosts: hosts.map(host => host.address),
  ...more,
});

async function collect(stream: SongStream): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const collectWithin = (stream: SongStream): Promise<Buffer> =>
  within('the song is here', collect(stream));
