/**
 * A small notation for tunes: notes by name, lengths in beats, chords by symbol.
 *
 *     'A4 .75 Bb4 .25 - .5'  ──melody──▶  [{ beat: 0, beats: .75, hertz: 440 }, …]      - is a rest
 *     'Dm Gm A7'             ──chords──▶  [['D', 'F', 'A'], …] as semitones above C
 */

export interface Note {
  /** When it begins, in beats from the start of the tune. */
  readonly beat: number;
  readonly beats: number;
  readonly hertz: number;
  /** 0 … 1. */
  readonly loudness: number;
}

const SEMITONE: Readonly<Record<string, number>> = { C: 0, D: 2, E: 4, F: 5, G: 7, A: 9, B: 11 };
const SHAPES: Readonly<Record<string, readonly number[]>> = {
  '': [0, 4, 7],
  m: [0, 3, 7],
  7: [0, 4, 7, 10],
  m7: [0, 3, 7, 10],
  maj7: [0, 4, 7, 11],
  m9: [0, 3, 10, 14],
  maj9: [0, 4, 11, 14],
};

/** A4 is MIDI note 69 and 440 Hz. */
export const hertzOf = (midi: number): number => 440 * 2 ** ((midi - 69) / 12);

/** `Bb4` as a MIDI number. */
function midiOf(name: string): number {
  const match = /^([A-G])([#b]?)(\d)$/.exec(name);
  if (match === null) throw new Error(`${name} is no note`);
  const [, letter, accidental, octave] = match;
  return SEMITONE[letter!]! + shift(accidental!) + 12 * (Number(octave) + 1);
}

/** Names and lengths in turn; the first note begins at `beat`. A note on a whole beat is played a little louder. */
export function melody(text: string, loudness: number, beat = 0): Note[] {
  const words = text.trim().split(/\s+/);
  const notes: Note[] = [];
  let at = beat;
  for (let index = 0; index < words.length; index += 2) {
    const beats = lengthOf(words[index + 1]!);
    if (words[index] !== '-') {
      const accent = Number.isInteger(at) ? 1 : 0.85;
      notes.push({ beat: at, beats, hertz: hertzOf(midiOf(words[index]!)), loudness: loudness * accent });
    }
    at += beats;
  }
  return notes;
}

export interface Chord {
  /** Semitones above C. */
  readonly root: number;
  readonly tones: readonly number[];
}

export const chords = (text: string): Chord[] => text.trim().split(/\s+/).map(chord);

function chord(symbol: string): Chord {
  const match = /^([A-G])([#b]?)(.*)$/.exec(symbol);
  const shape = match === null ? undefined : SHAPES[match[3]!];
  if (match === null || shape === undefined) throw new Error(`${symbol} is no chord`);
  const root = SEMITONE[match[1]!]! + shift(match[2]!);
  return { root, tones: shape.map(tone => root + tone) };
}

/** Puts semitones above C into the octave that begins at the MIDI note `lowest`. */
export const placed = (tone: number, lowest: number): number => lowest + ((((tone - lowest) % 12) + 12) % 12);

const shift = (accidental: string): number => (accidental === '#' ? 1 : accidental === 'b' ? -1 : 0);

/** `.5`, `2`, `1/3`. */
function lengthOf(text: string): number {
  const [above, below] = text.split('/');
  return Number(above) / Number(below ?? 1);
}
