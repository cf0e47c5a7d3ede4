/** The line of a one-shot command: written over where it stands, also after the window has changed. */
import { PassThrough } from 'node:stream';
import t from 'tap';
import { nameStateAndBar, StatusLine } from '../../../peer/prompt/status-line.js';

class Window extends PassThrough {
  columns = 40;
  taken = (): string => String(this.read() ?? '');
}

t.test('a line is written over, and gone when another is to stay', async t => {
  const window = new Window();
  const line = new StatusLine(window, true);
  line.show('10 %');
  line.show('10 %');
  line.show('20 %');
  t.equal(window.taken(), '\r\x1b[K10 %\r\x1b[K20 %');
  line.clear();
  line.clear();
  t.equal(window.taken(), '\r\x1b[K');
  new StatusLine(window, false).show('30 %');
  t.equal(window.taken(), '', 'nothing where there is no terminal');
});

t.test('in a window that became narrower all rows of it go', async t => {
  const window = new Window();
  const line = new StatusLine(window, true);
  line.show(`\x1b[2m${'='.repeat(39)}\x1b[0m`);
  window.taken();
  window.columns = 13;
  line.show('20 %');
  t.equal(window.taken(), '\r\x1b[2A\x1b[J20 %', 'three, as the colour takes no room');
  line.show('='.repeat(13));
  window.columns = 12;
  window.taken();
  line.clear();
  t.equal(window.taken(), '\r\x1b[1A\x1b[J');
  window.columns = 0;
  line.show('30 %');
  line.clear();
  t.equal(window.taken(), '\r\x1b[K30 %\r\x1b[K', 'a terminal that does not know how wide it is');
});

t.test('what is told goes before a picture of it', async t => {
  const line = (width: number): string =>
    nameStateAndBar('film.mkv', '9.8 MB of 30 MB', 0.3, { width, color: false });
  t.equal(line(60), `film.mkv  9.8 MB of 30 MB  ${'━'.repeat(6)}${' '.repeat(14)}`);
  t.equal(line(47), `film.mkv  9.8 MB of 30 MB  ${'━'.repeat(6)}${' '.repeat(14)}`);
  t.equal(line(40), `9.8 MB of 30 MB  ${'━'.repeat(6)}${' '.repeat(14)}`);
  t.equal(line(30), 'film.mkv  9.8 MB of 30 MB');
  t.equal(line(20), '9.8 MB of 30 MB');
  t.equal(line(10), '9.8 MB of…');
});
