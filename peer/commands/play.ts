/**
 * `tsp-peer play …`: first of all the audio process, for that takes as long to start as all the rest to load.
 *
 *     launch ─▶ load play-songs.ts, find the song, fetch its beginning ─▶ sound
 *          └─▶ load the decoder ────────────────────────────────────────────▲
 */
import type { PeerConfig } from '../config.js';
import { openAudio } from '../playback/open-audio.js';
import type { World } from '../world.js';
import type { CommandArguments } from './arguments.js';

export async function runPlay(config: PeerConfig, words: CommandArguments, world: World): Promise<number> {
  const audio = openAudio(config, world);
  audio.launch();
  const { playSongs } = await import('./play-songs.js');
  return await playSongs(config, words, world, audio);
}
