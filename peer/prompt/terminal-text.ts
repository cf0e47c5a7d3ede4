/**
 * Remote text made fit for a terminal: nothing in it can move the cursor, hide, reorder, or break a line, and its
 * width in columns is known.
 *
 * An allow-list: letters, marks, numbers, punctuation, symbols and spaces stay; everything else (C0, DEL, C1, bidi
 * controls, zero-width and other format characters, U+2028/9, surrogates, private use, unassigned) becomes U+FFFD.
 * A strip-list would miss what nobody thought of: C1 controls are escape sequences to many terminals.
 */

/** A base character with more marks than this stacks them over its neighbours' lines. */
const MAX_MARKS = 4;

const PLAIN_ASCII = /^[\x20-\x7e]*$/;
const NOT_PLAIN = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]|\p{Default_Ignorable_Code_Point}/gu;
const ELLIPSIS = '…';

/** `text` on one line, safe to print. */
export function safeText(text: string): string {
  if (PLAIN_ASCII.test(text)) return text;
  return (
    text
      // They only choose between pictures of what they stand between, as in Persian and in families of emoji.
      .replace(/\p{Join_Control}|[\ufe00-\ufe0f]/gu, '')
      .replace(/\p{Zs}/gu, ' ')
      .replace(NOT_PLAIN, '\ufffd')
      .replace(/^\p{M}+/u, '')
      .replace(new RegExp(`(\\p{M}{${MAX_MARKS}})\\p{M}+`, 'gu'), '$1')
  );
}

/**
 * `value` as JSON on one line: what `safeText` would replace is escaped, so that a terminal shows it harmlessly, and a
 * program reads what was said.
 */
export function safeJson(value: unknown): string {
  const json = JSON.stringify(value);
  return PLAIN_ASCII.test(json) ? json : json.replace(NOT_PLAIN, escaped);
}

const escaped = (character: string): string =>
  Array.from(
    { length: character.length },
    (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`,
  ).join('');

/** Columns that `text` takes: 2 for wide characters, 0 for marks that combine. `text` is safe, and carries no colour. */
export function widthOf(text: string): number {
  if (PLAIN_ASCII.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += columnsOf(character);
  return columns;
}

/** What readline takes for two columns: halves of flags, and marks of kana, Hanzi and notes. */
const WIDER_TO_READLINE =
  /[\u302a-\u302d\u3099\u309a\u{16fe4}\u{1d15e}-\u{1d164}\u{1d1bb}-\u{1d1c0}\u{1f1e6}-\u{1f1ff}]/gu;

/** Columns, at most, by which `text` is wider to readline than `widthOf` says. */
export const excessInReadline = (text: string): number => 2 * (text.match(WIDER_TO_READLINE)?.length ?? 0);

/** `text` cut to at most `columns`, with … where something is missing. */
export function cutToWidth(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  if (columns < 1) return '';
  let kept = '';
  let used = 0;
  for (const character of text) {
    const width = columnsOf(character);
    if (used + width > columns - 1) break;
    kept += character;
    used += width;
  }
  return kept + ELLIPSIS;
}

/** Cut and filled up to exactly `columns`. */
export function fitToWidth(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  return padToWidth(cutToWidth(text, columns), columns, align);
}

/** Filled up to `columns`, where it is not wider already. */
export function padToWidth(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const padding = ' '.repeat(Math.max(0, columns - widthOf(text)));
  return align === 'left' ? text + padding : padding + text;
}

/** Breaks at spaces, and a word that is longer than a line, as a hash or an address may be, at its end. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of safeText(text).split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (widthOf(longer) <= width) {
      line = longer;
    } else {
      if (line !== '') lines.push(line);
      const parts = splitAtWidth(word, width);
      line = parts.pop()!;
      lines.push(...parts);
    }
  }
  lines.push(line);
  return lines;
}

/** The whole of `text` in parts of at most `columns`, at least one; only a character that is wider than that is lost. */
function splitAtWidth(text: string, columns: number): string[] {
  const parts: string[] = [];
  let part = '';
  let used = 0;
  for (const character of text) {
    const width = columnsOf(character);
    if (used + width > columns && part !== '') {
      parts.push(part);
      part = '';
      used = 0;
    }
    part += width > columns ? ELLIPSIS : character;
    used += Math.min(width, columns);
  }
  return [...parts, part];
}

function columnsOf(character: string): number {
  const code = character.codePointAt(0)!;
  if (code < 0x300) return 1;
  if (/^[\p{Mn}\p{Me}]$/u.test(character)) return 0;
  return isWide(code) || isWideEmoji(character) ? 2 : 1;
}

/** Half of a flag is one column; every other emoji that is a picture by default is two. */
const isWideEmoji = (character: string): boolean =>
  /^\p{Emoji_Presentation}$/u.test(character) && !/^\p{Regional_Indicator}$/u.test(character);

/**
 * First and last code points whose East_Asian_Width is W or F (Unicode Annex 11), besides emoji. Unassigned points
 * within a block count as wide: too narrow a guess would break the line.
 */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f], // Hangul Jamo, leading consonants
  [0x2329, 0x232a],
  [0x2630, 0x2637],
  [0x268a, 0x268f],
  [0x2e80, 0x303e], // CJK radicals and punctuation
  [0x3041, 0x4dbf], // Kana to CJK extension A
  [0x4dc0, 0xa4cf], // hexagrams, CJK, Yi
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3], // Hangul syllables
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6b],
  [0xff01, 0xff60], // fullwidth forms
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18dff], // Tangut, Khitan, Nüshu
  [0x1aff0, 0x1b2ff],
  [0x1d300, 0x1d376],
  [0x1f200, 0x1f2ff],
  [0x1f300, 0x1faff], // pictographs: narrow ones among them are counted too wide
  [0x20000, 0x3fffd],
];

function isWide(code: number): boolean {
  let low = 0;
  let high = WIDE.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [first, last] = WIDE[middle]!;
    if (code < first) high = middle - 1;
    else if (code > last) low = middle + 1;
    else return true;
  }
  return false;
}
