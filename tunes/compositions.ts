/**
 * The three tunes. Composed for this project and given to everybody (CC0).
 *
 * Each is a lead over chords, one chord a bar; the accompaniment is a pattern that is laid over every bar.
 */
import { bass, bell, clack, horn, type Instrument, pluck } from './instruments.js';
import type { Voice } from './mix.js';
import { type Chord, chords, hertzOf, melody, type Note, placed } from './score.js';

export interface Tune {
  readonly title: string;
  readonly file: string;
  readonly beatsPerMinute: number;
  readonly beats: number;
  readonly voices: readonly Voice[];
}

/** Lowest MIDI notes of the accompaniment: E2 for the bass, A3 for the chords. */
const BASS_FROM = 40;
const CHORDS_FROM = 57;

type Pattern = (chord: Chord, barStart: number) => Note[];

const note = (midi: number, beat: number, beats: number, loudness: number): Note => ({
  beat,
  beats,
  hertz: hertzOf(midi),
  loudness,
});

const overBars = (progression: string, beatsPerBar: number, pattern: Pattern): Note[] =>
  chords(progression).flatMap((chord, bar) => pattern(chord, bar * beatsPerBar));

const voice = (play: Instrument, pan: number, level: number, notes: readonly Note[]): Voice => ({
  play,
  pan,
  level,
  notes,
});

/** Long, short, middle, middle: the bass of every habanera. */
const habaneraBass: Pattern = ({ root, tones }, bar) => [
  note(placed(root, BASS_FROM), bar, 0.7, 0.9),
  note(placed(tones[2]!, BASS_FROM), bar + 0.75, 0.25, 0.6),
  note(placed(root, BASS_FROM) + 12, bar + 1, 0.45, 0.75),
  note(placed(tones[2]!, BASS_FROM), bar + 1.5, 0.45, 0.65),
];

/** The chord's tones a hair apart, as a thumb strokes them. */
const strum = (chord: Chord, beat: number, beats: number, loudness: number): Note[] =>
  chord.tones.map((tone, index) => note(placed(tone, CHORDS_FROM), beat + index * 0.02, beats, loudness));

const arpeggio: Pattern = (chord, bar) =>
  [0, 1, 2, 3, 2, 1].map((step, index) => {
    const tone = chord.tones[step % chord.tones.length]!;
    const octave = step >= chord.tones.length ? 12 : 0;
    return note(placed(tone, CHORDS_FROM) + octave, bar + index * 0.5, 0.9, index === 0 ? 0.5 : 0.38);
  });

const HABANERA = 'Dm Gm A7 Dm Bb F Gm A7 Dm Gm A7 Dm';
const habanera: Tune = {
  title: 'Habanera de la Plaza',
  file: 'habanera-de-la-plaza.mp3',
  beatsPerMinute: 84,
  beats: 24,
  voices: [
    voice(
      pluck,
      -0.25,
      1,
      melody(
        `A4 .75 Bb4 .25 A4 .5 F4 .5        G4 .75 A4 .25 Bb4 1
         C#5 1/3 D5 1/3 C#5 1/3 A4 .5 E4 .5   F4 1.5 - .5
         D5 .75 C5 .25 Bb4 .5 A4 .5        C5 .75 Bb4 .25 A4 1
         Bb4 1/3 C5 1/3 D5 1/3 G4 .5 Bb4 .5   A4 1 C#5 .5 E5 .5
         F5 .75 E5 .25 D5 .5 A4 .5         Bb4 .75 A4 .25 G4 .5 E5 .5
         D5 1/3 C#5 1/3 Bb4 1/3 A4 .5 C#5 .5  D5 2`,
        0.9,
      ),
    ),
    voice(
      pluck,
      0.45,
      0.42,
      overBars(HABANERA, 2, (chord, bar) => strum(chord, bar + 1, 0.8, 0.6)),
    ),
    voice(bass, 0, 0.5, overBars(HABANERA, 2, habaneraBass)),
    voice(
      clack,
      0.6,
      0.12,
      overBars(HABANERA, 2, (_, bar) => [0, 0.75, 1, 1.5].map(at => note(100, bar + at, 0.1, 0.7))),
    ),
  ],
};

const RAIN = 'Cmaj7 Am7 Dm9 G7 Em7 Am7 Dm7 Cmaj9';
const rain: Tune = {
  title: 'Lluvia en la Laguna',
  file: 'lluvia-en-la-laguna.mp3',
  beatsPerMinute: 98,
  beats: 24,
  voices: [
    voice(
      bell,
      0.2,
      0.62,
      melody(
        `E5 2 G5 1       C6 1.5 B5 .5 A5 1
         F5 2 A5 1       B5 1.5 A5 .5 G5 1
         G5 2 B5 1       C6 1 B5 1 A5 1
         A5 1 G5 .5 F5 .5 D5 1   E5 3`,
        0.8,
      ),
    ),
    voice(bell, -0.35, 0.5, overBars(RAIN, 3, arpeggio)),
    voice(
      bass,
      0,
      0.55,
      overBars(RAIN, 3, ({ root, tones }, bar) => [
        note(placed(root, BASS_FROM), bar, 1.8, 0.8),
        note(placed(tones[2]!, BASS_FROM), bar + 2, 0.9, 0.5),
      ]),
    ),
  ],
};

const PASO = 'E F E E Am G F E Am Dm G C F Dm E Am';
const paso: Tune = {
  title: 'Paso del Alba',
  file: 'paso-del-alba.mp3',
  beatsPerMinute: 116,
  beats: 32,
  voices: [
    voice(
      horn,
      -0.1,
      0.6,
      melody(
        `B4 .5 E5 1 F5 .25 E5 .25            F5 .5 A5 .5 G5 .25 F5 .25 E5 .25 F5 .25
         E5 1.5 D5 .25 C5 .25                B4 1 G#4 .5 B4 .5
         C5 .75 B4 .25 C5 .5 E5 .5           D5 .75 C5 .25 D5 .5 B4 .5
         C5 .25 D5 .25 C5 .25 B4 .25 A4 .5 C5 .5   B4 1.5 - .5
         E5 .75 D5 .25 E5 .5 A5 .5           F5 .75 E5 .25 F5 .5 A5 .5
         G5 .5 F5 .25 E5 .25 D5 .5 B4 .5     E5 1.5 - .5
         A5 .5 G5 .25 F5 .25 A5 .5 F5 .5     F5 .5 E5 .25 D5 .25 F5 .5 D5 .5
         E5 .25 F5 .25 E5 .25 D5 .25 C5 .25 B4 .25 G#4 .25 B4 .25   A4 2`,
        0.8,
      ),
    ),
    voice(
      pluck,
      0.4,
      0.5,
      overBars(PASO, 2, (chord, bar) => [
        ...strum(chord, bar + 0.5, 0.3, 0.6),
        ...strum(chord, bar + 1.5, 0.3, 0.7),
      ]),
    ),
    voice(
      bass,
      0,
      0.55,
      overBars(PASO, 2, ({ root, tones }, bar) => [
        note(placed(root, BASS_FROM), bar, 0.8, 0.9),
        note(placed(tones[2]!, BASS_FROM), bar + 1, 0.8, 0.7),
      ]),
    ),
    voice(
      clack,
      -0.6,
      0.14,
      overBars(PASO, 2, (_, bar) =>
        [0, 0.5, 0.75, 1, 1.5].map(at => note(98, bar + at, 0.1, at === 0 ? 0.9 : 0.6)),
      ),
    ),
  ],
};

export const TUNES: readonly Tune[] = [habanera, rain, paso];
