/**
 * Makes the project's own tunes: `npm run build && node build/tunes/make.js [folder]`. Needs `lame`.
 *
 *     compositions ──instruments, mix──▶ WAV ──lame──▶ tunes/songs/*.mp3, tagged
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TUNES, type Tune } from './compositions.js';
import { mix, wavOf } from './mix.js';

const KBITS_PER_SECOND = 96;
const ARTIST = 'Torero';
const ALBUM = 'Tres Piezas';
const YEAR = 2026;

function make(tune: Tune, track: number, folder: string): void {
  const work = mkdtempSync(join(tmpdir(), 'tunes-'));
  try {
    const wav = join(work, 'tune.wav');
    const mp3 = join(folder, tune.file);
    writeFileSync(wav, wavOf(mix(tune.voices, 60 / tune.beatsPerMinute, tune.beats)));
    const tags = [
      '--id3v2-only',
      '--tt',
      tune.title,
      '--ta',
      ARTIST,
      '--tl',
      ALBUM,
      '--tn',
      `${track}/${TUNES.length}`,
    ];
    const sound = ['-b', String(KBITS_PER_SECOND), '-m', 'j', '-q', '0'];
    execFileSync('lame', ['--quiet', ...sound, ...tags, '--ty', String(YEAR), wav, mp3]);
    process.stdout.write(`${mp3}  ${statSync(mp3).size} bytes\n`);
  } finally {
    rmSync(work, { recursive: true });
  }
}

const folder = process.argv[2] ?? fileURLToPath(new URL('../../tunes/songs/', import.meta.url));
for (const [index, tune] of TUNES.entries()) make(tune, index + 1, folder);
