/**
 * `tsp-peer play 10 11` or `play some words`: plays songs one after the other and ends with the last.
 *
 * A light client: it asks the tracker, fetches from hosts, and registers nowhere. What happens is told as at the prompt,
 * on stdout, or on stderr while stdout carries the sound.
 */
import type { SongRow } from '../../protocol/tsp/rows.js';
import type { PeerConfig } from '../config.js';
import { EXIT, exitCodeOfSignal, failureOf } from '../failures/failure.js';
import { Jukebox } from '../jukebox.js';
import { CacheReader } from '../listening/cache-reader.js';
import type { ForkedAudio } from '../playback/audio-process.js';
import { OutputError } from '../playback/outputs/output.js';
import { eventAsJson } from '../prompt/answers.js';
import { nothingMatches } from '../prompt/commands.js';
import { looksLikeNumber } from '../prompt/grammar.js';
import { renderNowPlaying } from '../prompt/now-playing.js';
import type { PeerEvent } from '../prompt/peer-view.js';
import { renderEvent } from '../prompt/render.js';
import { StatusLine } from '../prompt/status-line.js';
import { type Style, styleOf } from '../prompt/style.js';
import { safeJson } from '../prompt/terminal-text.js';
import { SongFetching } from '../song-fetching.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';
import { type OneShot, oneShot, requireId } from './one-shot.js';

/** A song that waits is as worth looking at as one that plays. */
const REDRAW_MS = 250;

/** Stops `audio` in the end. */
export function playSongs(
  config: PeerConfig,
  { words }: CommandArguments,
  world: World,
  audio: ForkedAudio,
): Promise<number> {
  return oneShot(config, world, async session => {
    const { client } = session;
    const cache = new CacheReader(config.cacheDir);
    const fetching = new SongFetching(config, world, { cache });
    const jukebox = new Jukebox(audio, world, {
      fetcher: fetching.fetcher,
      hostsOf: row => client.hostsOf(row),
      info: id => client.info(id),
    });
    try {
      const wanted = words.every(looksLikeNumber) ? words.map(requireId) : words.join(' ');
      void audio.start();
      const songs = await choose(session, wanted);
      await Promise.all(songs.map(({ hash }) => hash && cache.look(hash)));
      return await playOut(jukebox, songs, session);
    } finally {
      await jukebox.close();
      await fetching.stop();
    }
  });
}

/** Throws CommandError when one of them is not there. */
async function choose(
  session: OneShot,
  wanted: string | readonly SongRow['id'][],
): Promise<readonly SongRow[]> {
  if (typeof wanted === 'string') {
    const [best] = await session.ask(client => client.find(wanted));
    if (best === undefined) throw nothingMatches(wanted);
    return [best];
  }
  return await Promise.all(wanted.map(id => session.song(id)));
}

async function playOut(jukebox: Jukebox, songs: readonly SongRow[], session: OneShot): Promise<number> {
  const { config, world } = session;
  const out = config.output === 'stdout' ? 'stderr' : 'stdout';
  const style = (): Style => styleOf(out, world, config);
  const line = new StatusLine(world, config, out);
  let code: number = EXIT.ok;
  const tell = (event: PeerEvent): void => {
    // Nobody wants the rest (`| head -c 1000`): that is an end, not a failure.
    if (event.kind === 'ended' && readerHasGone(event.error)) return;
    if (event.kind === 'ended' && event.outcome === 'failed') code = failureOf(event.error).exitCode;
    const object = eventAsJson(event);
    const lines = !config.json ? renderEvent(event, style()) : object === undefined ? [] : [safeJson(object)];
    if (lines.length > 0) line.clear();
    for (const text of lines) world[out].write(`${text}\n`);
  };
  let cancel = (): void => {};
  const redraw = (): void => {
    line.show(renderNowPlaying(jukebox.nowPlaying(), line.style) ?? '');
    cancel = world.clock.after(REDRAW_MS, redraw);
  };
  if (!config.json) redraw();
  await new Promise<void>(resolve => {
    jukebox.onEvent(event => {
      tell(event);
      if (event.kind === 'idle') resolve();
    });
    // Ends the song, which is told, and so the queue.
    world.signal.addEventListener('abort', () => jukebox.stop(), { once: true });
    jukebox.play(songs);
    if (world.signal.aborted) jukebox.stop();
  });
  cancel();
  line.clear();
  return world.signal.aborted ? exitCodeOfSignal(world.signal.reason) : code;
}

const readerHasGone = (error: unknown): boolean => error instanceof OutputError && error.fault === 'closed';
