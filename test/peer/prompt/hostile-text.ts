/** Text as an enemy would choose it: escapes, line breaks, bidi, zero width, and letters of every width. */
import fc from 'fast-check';

const codePoint = fc.oneof(
  fc.integer({ min: 0, max: 0x10ffff }).map(code => String.fromCodePoint(code)),
  fc.constantFrom(
    '\x1b',
    '\r',
    '\n',
    '\b',
    '\x7f',
    '\x9b',
    '\x9d',
    '\u2028',
    '\u2029',
    '\u202e',
    '\u2066',
    '\u200b',
  ),
  fc.constantFrom(
    'a',
    ' ',
    'é',
    'e\u0301',
    '日',
    '한',
    '👨\u200d👩\u200d👧',
    '🇫🇷',
    '❤\ufe0f',
    '\u0300\u0300\u0300\u0300\u0300\u0300',
  ),
);
export const hostile = fc.array(codePoint, { maxLength: 40 }).map(parts => parts.join(''));
