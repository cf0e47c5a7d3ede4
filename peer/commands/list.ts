/**
 * `tsp-peer list [words]`, `info [id]`, `find <words>`: what the tracker knows, for people or, with `--json`, as rows
 * on the wire.
 */
import { NO_SONG } from '../../protocol/tsp/constants.js';
import type { PeerConfig } from '../config.js';
import { EXIT, usageError } from '../failures/failure.js';
import { SongMatcher } from '../prompt/match.js';
import { renderAnswer } from '../prompt/render.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';
import { oneShot, requireId } from './one-shot.js';

/** The whole list, or the songs in it that have all the words. */
export function runList(config: PeerConfig, { words }: CommandArguments, world: World): Promise<number> {
  return oneShot(config, world, async session => {
    const wanted = words.join(' ');
    const songs = new SongMatcher().matches(await session.ask(client => client.list()), wanted);
    await session.print(songs, () =>
      renderAnswer({ kind: 'songs', songs, words: wanted, stale: false }, session.style),
    );
    return EXIT.ok;
  });
}

/** Everything known of one song, or of all. Exit code 1 when there is no such song. */
export function runInfo(config: PeerConfig, { words }: CommandArguments, world: World): Promise<number> {
  return oneShot(config, world, async session => {
    const id = words.length === 0 ? NO_SONG : requireId(words[0]);
    const songs = id === NO_SONG ? await session.ask(client => client.info(id)) : [await session.song(id)];
    await session.print(songs, () => renderAnswer({ kind: 'info', songs }, session.style));
    return EXIT.ok;
  });
}

/** The tracker's search, best match first. That nothing matches is an answer, no failure. */
export function runFind(config: PeerConfig, { words }: CommandArguments, world: World): Promise<number> {
  return oneShot(config, world, async session => {
    const wanted = words.join(' ');
    if (wanted.trim() === '') throw usageError('find wants to know what: words of a title, artist or album.');
    const songs = await session.ask(client => client.find(wanted));
    await session.print(songs, () =>
      renderAnswer({ kind: 'songs', songs, words: wanted, stale: false }, session.style),
    );
    return EXIT.ok;
  });
}
