/**
 * Song IDs (TSP §2.3): small, sequential numbers that a tracker gives, so that a person can type them.
 *
 * 1 … 0xfffffffe name a song. 0 is no ID: as an argument it means «all» or «none».
 */
import { LocalProtocolError } from '../errors.js';
import { FIRST_SONG_ID, LAST_SONG_ID } from './constants.js';
import type { SongId } from './messages.js';

/** Checks a number that our own code believes to be a song ID. */
export function asSongId(value: number): SongId {
  if (!isSongId(value)) throw new LocalProtocolError(`${value} is no song ID`);
  return value;
}

export const isSongId = (value: unknown): value is SongId =>
  Number.isInteger(value) && (value as number) >= FIRST_SONG_ID && (value as number) <= LAST_SONG_ID;
