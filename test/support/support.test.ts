/** The fixtures themselves: a clock or a screen that lies would make other tests pass for nothing. */
import t from 'tap';
import { RecordingLogger } from './recording-logger.js';
import { spawnProgram } from './spawn-command.js';
import { tempFolder } from './temp-folder.js';
import { TerminalScreen } from './terminal-screen.js';
import { until, within } from './until.js';
import { VirtualClock } from './virtual-clock.js';

t.test('timers fire in the order of their time, each at its own moment', async t => {
  const clock = new VirtualClock(100);
  const fired: string[] = [];
  const note = (name: string) => () => fired.push(`${name} at ${clock.now()}`);
  clock.after(20, note('b'));
  clock.after(10, note('a'));
  clock.after(20, note('c'));
  const cancel = clock.after(15, note('never'));
  clock.after(5, () => clock.after(5, note('set by another')));
  cancel();
  cancel();
  t.equal(clock.pending, 4);
  t.equal(clock.nextAt, 105);
  clock.advance(19);
  t.same(fired, ['a at 110', 'set by another at 110']);
  clock.advance(1);
  t.same(fired.slice(2), ['b at 120', 'c at 120']);
  t.equal(clock.now(), 120);
  t.equal(clock.nextAt, undefined);
});

t.test('promises go on between two timers when the clock advances slowly', async t => {
  const clock = new VirtualClock();
  const seen: number[] = [];
  const tick = (): void =>
    void clock.after(
      10,
      () =>
        void Promise.resolve()
          .then(() => seen.push(clock.now()))
          .then(tick),
    );
  tick();
  await clock.advanceSlowly(35);
  t.same(seen, [10, 20, 30]);
  t.equal(clock.now(), 35);
});

t.test('a timer that sets itself for now is found out', async t => {
  const clock = new VirtualClock();
  const again = (): void => void clock.after(0, again);
  again();
  t.throws(() => clock.advance(1), /timers fired/);
});

t.test('children log into the same record', async t => {
  const logger = new RecordingLogger();
  logger.child({ room: 'library' }).warn({ songs: 1 }, 'slow');
  logger.info({}, 'ready');
  t.same(logger.entries[0], { level: 'warn', fields: { room: 'library', songs: 1 }, message: 'slow' });
  t.same(logger.messages(), ['slow', 'ready']);
  t.same(logger.messages('info'), ['ready']);
});

t.test('the screen shows what a terminal would', async t => {
  const screen = new TerminalScreen(10, 3);
  screen.write('one\r\ntwo\x1b[31m!\x1b[0m');
  t.same(screen.lines, ['one', 'two!']);
  screen.write('\r\x1b[2Kthree\x1b[1A\x1b[Gx');
  t.same(screen.lines, ['xne', 'three']);
  t.equal(screen.currentLine, 'xne');
  screen.write('\x1b[B\x1b[3D\x1b[0K');
  t.same(screen.lines, ['xne', '']);
  screen.write('\x1b7\x1b[3;1Hend\x1b8abc\b\bX');
  t.same(screen.lines, ['xne', 'aXc', 'end']);
  screen.write('\x1b[3;1Hlonger than ten\r\n');
  t.same(screen.history, ['xne', 'aXc']);
  t.same(screen.lines, ['longer tha', 'n ten', '']);
  screen.write('\x1b');
  screen.write('[2J');
  t.same(screen.lines, ['', '', ''], 'a sequence may come in two parts');
  screen.write('\x1b]0;title\x07\x1b[?25l\x1b[1;1Hab\x1b[1Cd\x1b[1;2H\x1b[1K');
  t.same(screen.lines, ['   d', '', '']);
  screen.write('\x1b[2;1Hx\x1b[1;1H\x1b[J');
  t.same(screen.lines, ['']);
  t.same(screen.cursor, { row: 0, column: 0 });
});

t.test('waiting ends when it is so, or says what was waited for', async t => {
  let looks = 0;
  t.equal(await until('three looks', () => ++looks === 3 && looks), 3);
  await t.rejects(
    until('the impossible', () => false, 10),
    /not within 10 ms: the impossible/,
  );
  await t.rejects(within('nothing', new Promise(() => {}), 10), /not within 10 ms: nothing/);
});

t.test('a spawned program has a home of its own, and what it says can be awaited', async t => {
  const home = await tempFolder(t);
  const program = await spawnProgram(
    t,
    'sh',
    ['-c', 'read line; echo "got $line in $HOME"; echo no >&2; exit 3'],
    { home },
  );
  program.write('ü\n');
  t.equal((await program.says(/got (.*)\n/))[1], `ü in ${home}`);
  await program.complains(/no/);
  t.equal(await program.exitCode(), 3);
  t.same(program.lines, [`got ü in ${home}`]);
  await t.rejects(program.says(/never/), /ended without/);
  const killed = await spawnProgram(t, 'sleep', ['60']);
  killed.kill('SIGKILL');
  await t.rejects(killed.exitCode(), /SIGKILL/);
});
