/**
 * A player with a real audio process and songs from memory, and what it told, to be asked in tests.
 */
import type { SongStream } from '../../../peer/listening/song-stream.js';
import { ForkedAudio } from '../../../peer/playback/audio-process.js';
import type { DecoderName } from '../../../peer/playback/decoders/decoder.js';
import { parseOutput } from '../../../peer/playback/output-choice.js';
import { Player } from '../../../peer/playback/player.js';
import type { PlayableSong, PlayerEvent, SongSummary } from '../../../peer/playback/player-events.js';
import type { SongId } from '../../../protocol/tsp/messages.js';
import type { SongFields, SongRow } from '../../../protocol/tsp/rows.js';
import { systemClock } from '../../../src/clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { type Teardown, until } from '../../support/until.js';

/** A song of these bytes, in pieces as a host would give them. */
export function songOf(bytes: Uint8Array, fields: SongFields = {}, breaks?: Error): PlayableSong {
  const row: SongRow = { id: 1 as SongId, title: 'a song', hosts: [], hostCount: 1, ...fields };
  return { row, open: fromByte => streamOf(bytes, fromByte, breaks) };
}

export function streamOf(bytes: Uint8Array, fromByte: number, breaks?: Error): SongStream {
  let given = 0;
  let cancelled = false;
  return {
    size: Promise.resolve(bytes.length),
    async *[Symbol.asyncIterator]() {
      for (let at = fromByte; at < bytes.length && !cancelled; at += 65_536) {
        const chunk = bytes.subarray(at, at + 65_536);
        given += chunk.length;
        yield chunk;
      }
      if (breaks !== undefined) throw breaks;
    },
    cancel: () => {
      cancelled = true;
    },
    report: () => ({ sources: [{ host: 'memory', bytes: given }], failed: [], verified: true }),
  };
}

export interface Jukebox {
  readonly audio: ForkedAudio;
  readonly player: Player;
  readonly events: PlayerEvent[];
  readonly logger: RecordingLogger;
  /** Plays these and resolves, when the queue is played out, with what became of each. */
  playOut(...songs: PlayableSong[]): Promise<SongSummary[]>;
  /** The next event that `fits`, from now on. */
  heard(what: string, fits: (event: PlayerEvent) => boolean): Promise<PlayerEvent>;
}

export async function jukebox(
  t: Teardown,
  output: string,
  options: { readonly decoder?: DecoderName; readonly raw?: boolean; readonly orSilence?: boolean } = {},
): Promise<Jukebox> {
  const logger = new RecordingLogger();
  const outputs = parseOutput(output, options)!;
  const audio = new ForkedAudio({ outputs, decoder: options.decoder ?? 'auto', clock: systemClock, logger });
  const player = new Player({ audio, clock: systemClock, logger });
  const events: PlayerEvent[] = [];
  player.onEvent(event => events.push(event));
  t.teardown(() => audio.stop());
  await audio.start();
  const heard: Jukebox['heard'] = (what, fits) => {
    const from = events.length;
    return until(what, () => events.slice(from).find(fits));
  };
  const playOut: Jukebox['playOut'] = async (...songs) => {
    const from = events.length;
    const idle = heard('the queue is played out', event => event.kind === 'idle');
    player.play(songs);
    await idle;
    return events.slice(from).flatMap(event => (event.kind === 'ended' ? [event.summary] : []));
  };
  return { audio, player, events, logger, playOut, heard };
}
