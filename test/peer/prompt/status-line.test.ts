/** The line of a one-shot command: written over where it stands, also after the window has changed. */
import { PassThrough } from 'node:stream';
import t from 'tap';
import { nameStateAndBar, StatusLine } from '../../../peer/prompt/status-line.js';
import { TerminalScreen } from '../../support/terminal-screen.js';

class Window extends PassThrough {
  columns = 40;
  taken = (): string => String(this.read() ?? '');
}

/** The line on standard error, in a world that has nothing else. */
const lineOn = (stderr: Window, isTerminal = true, env = {}): StatusLine =>
  new StatusLine(
    { stderr, stdout: stderr, env, isTerminal: { stdin: true, stdout: false, stderr: isTerminal } },
    { color: false },
  );

t.test('a line is written over, and gone when another is to stay', async t => {
  const window = new Window();
  const line = lineOn(window);
  line.show('10 %');
  line.show('10 %');
  line.show('20 %');
  t.equal(window.taken(), '\r\x1b[K10 %\r\x1b[K20 %');
  line.clear();
  line.clear();
  t.equal(window.taken(), '\r\x1b[K');
  lineOn(window, false).show('30 %');
  lineOn(window, true, { TERM: 'dumb' }).show('30 %');
  t.equal(window.taken(), '', 'nothing where there is no terminal, or one that can’t erase');
});

t.test('the echo of Ctrl-C behind the widest line leaves nothing of it', async t => {
  const window = new Window();
  const screen = new TerminalScreen(window.columns, 5);
  window.on('data', bytes => screen.write(String(bytes)));
  const line = lineOn(window);
  line.show('='.repeat(line.style.width));
  window.write('^C');
  line.clear();
  window.write('Ended.');
  t.same(screen.lines, ['Ended.']);
});

t.test('in a window that became narrower all rows of it go', async t => {
  const window = new Window();
  const line = lineOn(window);
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
