/**
 * The line above the prompt: what plays, how far it is, how much is buffered.
 *
 *     ▶ Title — Artist  1:02 ━━━━━━━━──────         3:07  buffer 12 s
 *                            played  buffered
 *     … Title — Artist  1:02 ━━━━━━━━               3:07  waiting for 10.0.0.4:7461
 */
import type { NowPlaying } from './peer-view.js';
import { lengthOf, nameOf } from './render-song.js';
import { painted, type Style } from './style.js';
import { cutToWidth, safeText, widthOf } from './terminal-text.js';

const SIGNS = { stopped: '■', buffering: '…', playing: '▶', paused: '‖' } as const;
const NARROWEST_BAR = 8;
const WIDEST_BAR = 40;
const NARROWEST_NAME = 12;

/** Undefined while nothing plays: then there is no such line. */
export function renderNowPlaying(now: NowPlaying, style: Style): string | undefined {
  const { state, song, positionSeconds, bufferedSeconds, waiting, volume, muted } = now;
  if (song === undefined || state === 'stopped') return undefined;
  const sign = SIGNS[state];
  const duration = song.duration ?? 0;
  const at = lengthOf(positionSeconds);
  const whole = duration > 0 ? lengthOf(duration) : '';
  const sound = muted ? '  muted' : volume === 100 ? '' : `  volume ${volume} %`;
  const supply = waiting === undefined ? `buffer ${Math.floor(bufferedSeconds)} s` : safeText(waiting);
  const trust = song.relay === true ? '  relayed, unverified' : '';
  const tail = `  ${supply}${trust}${sound}`;
  const barWidth = Math.min(WIDEST_BAR, Math.floor(Math.min(style.width, 160) / 4));
  const room = style.width - 2 - widthOf(`  ${at}  ${whole}${tail}`) - barWidth;
  if (duration > 0 && barWidth >= NARROWEST_BAR && room >= NARROWEST_NAME) {
    const name = cutToWidth(nameOf(song), room);
    const bar = renderBar(
      positionSeconds / duration,
      (positionSeconds + bufferedSeconds) / duration,
      barWidth,
      style,
    );
    return `${painted(sign, 'green', style)} ${name}  ${at} ${bar} ${whole}${painted(tail, 'dim', style)}`;
  }
  const times = `${sign} ${whole === '' ? at : `${at}/${whole}`}`;
  // The name goes before the volume, which somebody has just set, but not before what is waited for.
  const lines = [`${times}${tail}`, `${times}  ${supply}`];
  const short = lines.find(line => style.width - widthOf(line) - 2 >= NARROWEST_NAME);
  if (short === undefined) return cutToWidth(lines[0]!, style.width);
  return `${short}  ${cutToWidth(nameOf(song), style.width - widthOf(short) - 2)}`;
}

/** Shares from 0 to 1 of the whole. */
export function renderBar(played: number, buffered: number, columns: number, style: Style): string {
  const cells = (share: number): number => Math.round(Math.min(1, Math.max(0, share)) * columns);
  const heavy = cells(played);
  const light = Math.max(0, cells(buffered) - heavy);
  const rest = columns - heavy - light;
  return (
    painted('━'.repeat(heavy), 'cyan', style) + painted('─'.repeat(light), 'dim', style) + ' '.repeat(rest)
  );
}

/** The line of a running scan: `Reading the library  ━━━━──── 120 of 4,000 files`. */
export function renderScan(done: number, total: number, style: Style): string {
  const count = `${done} of ${total} files`;
  const bar = renderBar(total === 0 ? 0 : done / total, 0, NARROWEST_BAR * 2, style);
  const heading = 'Reading the library  ';
  if (style.width < heading.length + NARROWEST_BAR * 2 + 1 + count.length)
    return cutToWidth(count, style.width);
  return `${heading}${bar} ${count}`;
}
