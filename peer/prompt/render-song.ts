/**
 * A song, its length, its size, as a person reads them. Whatever comes from a row is made safe here.
 */
import type { SongRow } from '../../protocol/tsp/rows.js';
import { safeText } from './terminal-text.js';

export const titleOf = (song: SongRow): string => safeText(song.title ?? '').trim() || `song ${song.id}`;
export const artistOf = (song: SongRow): string => safeText(song.artist ?? '').trim();

/** `Title — Artist`. */
export function nameOf(song: SongRow): string {
  const artist = artistOf(song);
  return artist === '' ? titleOf(song) : `${titleOf(song)} — ${artist}`;
}

/** 187.4 → `3:07`, 3725 → `1:02:05`. */
export function lengthOf(seconds: number): string {
  const whole = Number.isFinite(seconds) ? Math.max(0, Math.floor(seconds)) : 0;
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3_600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const SIZE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** 4_215_004 → `4.2 MB`. */
export function sizeOf(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < SIZE_UNITS.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${SIZE_UNITS[unit]}`;
}

export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;
