/**
 * The log: its form, what is too long or not safe to print, who is silenced, and levels.
 */
import { PassThrough } from 'node:stream';
import t from 'tap';
import { TransportError } from '../../protocol/errors.js';
import { LINES_A_WINDOW, LogBudget, STRANGERS_LINES_A_WINDOW, WINDOW_MS } from '../../src/log-budget.js';
import type { LogLevel } from '../../src/log-levels.js';
import { bounded, consoleToLog, openLogger } from '../../src/logger.js';
import { range } from '../support/crowd.js';
import { VirtualClock } from '../support/virtual-clock.js';

t.test('a source gets ten lines a second, then silence and a count', async t => {
  const budget = new LogBudget();
  for (let line = 0; line < LINES_A_WINDOW; line += 1) t.equal(budget.spend('a', 0), 0);
  for (let line = 0; line < 7; line += 1) t.equal(budget.spend('a', WINDOW_MS - 1), undefined);
  t.equal(budget.spend('b', 0), 0, 'another source has its own');
  t.equal(budget.spend('a', WINDOW_MS), 7, 'what was left out is said with the next line');
  t.equal(budget.spend('a', 2 * WINDOW_MS), 0);
});

t.test('a flood of sources does not grow without end', async t => {
  const budget = new LogBudget();
  for (let line = 0; line < LINES_A_WINDOW; line += 1) budget.spend('first', 0);
  t.equal(budget.spend('first', 0), undefined);
  for (let source = 0; source < 1_000; source += 1) budget.spend(`source ${source}`, 0);
  t.equal(budget.spend('first', 0), 0, 'the oldest is forgotten');
});

/** A logger, and what it has written. */
function logTo(level: LogLevel, terminal = false) {
  const destination = Object.assign(new PassThrough(), { isTTY: terminal });
  const clock = new VirtualClock();
  const logger = openLogger({ level, clock, destination });
  const text = (): string => destination.read()?.toString() ?? '';
  return {
    logger,
    clock,
    text,
    rows: () =>
      text()
        .trimEnd()
        .split('\n')
        .filter(Boolean)
        .map(line => JSON.parse(line)),
  };
}

t.test('the log is JSON with short, safe fields', async t => {
  const { logger, rows } = logTo('info');
  const child = logger.child({ remote: '192.0.2.7:50123' });
  child.info(
    { title: `\x1b[31m${'ü'.repeat(500)}`, size: 5n, list: Array(50).fill('x') },
    'a \u202e message',
  );
  child.debug({}, 'not at this level');
  child.warn({ err: new TransportError('gone', { cause: new Error('ECONNRESET') }) }, 'lost');
  const full = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', syscall: 'write' });
  child.warn({ err: full }, 'not kept');
  child.warn({ err: Object.assign(new Error('No space left on device'), { code: 28 }) }, 'lmdb says so');
  child.error({ err: new TypeError('undefined is no song') }, 'a bug');
  child.error({ deep: { deeper: { deepest: { here: 1 } } } }, 'wrong');
  const [first, second, refused, byNumber, bug, third] = rows();
  t.match(first, { remote: '192.0.2.7:50123', msg: 'a \ufffd message', size: '5' });
  t.ok(Buffer.byteLength(first.title) <= 200);
  t.match(first.title, /^\ufffd\[31mü+…$/);
  t.equal(first.list.length, 20);
  t.match(second, { err: { type: 'TransportError', message: 'gone', cause: { message: 'ECONNRESET' } } });
  t.notOk(second.err.stack, 'where it happened is of no use: nobody here is to blame');
  t.strictSame(refused.err, { type: 'Error', message: 'ENOSPC: no space left', code: 'ENOSPC' });
  t.strictSame(byNumber.err, { type: 'Error', message: 'No space left on device', code: 28 });
  t.type(bug.err.stack[0], 'string');
  t.match(third, { deep: { deeper: { deepest: '{…}' } } });
});

t.test('what packages say on the console is logged, without a stack', async t => {
  const { logger, rows } = logTo('debug');
  const told: string[] = [];
  const fake = { error: (text: string) => told.push(text), warn: (text: string) => told.push(text) };
  consoleToLog(fake as unknown as Console, logger);
  fake.error(new Error('No space left') as unknown as string);
  fake.warn('deprecated');
  t.match(rows(), [
    { level: 20, said: ['Error: No space left'] },
    { level: 20, said: ['deprecated'] },
  ]);
  t.same(told, []);
});

t.test('one noisy address is silenced whatever its ports, others are not', async t => {
  const { logger, clock, rows } = logTo('debug');
  for (let port = 1; port <= 50; port += 1) logger.info({ remote: `192.0.2.7:${port}` }, 'knocks');
  logger.info({ remote: '192.0.2.8:1' }, 'knocks');
  logger.info({}, 'the house speaks');
  t.equal(rows().length, LINES_A_WINDOW + 2);
  clock.advance(WINDOW_MS);
  logger.info({ remote: '192.0.2.7:51' }, 'knocks again');
  t.match(rows(), [{ source: '192.0.2.7', msg: 'suppressed 40' }, { msg: 'knocks again' }]);
});

t.test('thousands of addresses with a line each are silenced together, the house is not', async t => {
  const { logger, clock, rows } = logTo('debug');
  for (const n of range(3_000)) logger.info({ remote: `192.0.${n >> 8}.${n & 255}:1` }, 'knocks');
  logger.info({}, 'the house speaks');
  t.equal(rows().length, STRANGERS_LINES_A_WINDOW + 1);
  clock.advance(WINDOW_MS);
  logger.info({ remote: '192.0.2.8:1' }, 'knocks again');
  t.match(rows(), [
    { source: 'every address', msg: `suppressed ${3_000 - STRANGERS_LINES_A_WINDOW}` },
    { msg: 'knocks again' },
  ]);
});

t.test('on a terminal the log is made for reading', async t => {
  const { logger, text } = logTo('info', true);
  logger.warn({ song: 'Habanera' }, 'skipped');
  t.match(text(), /WARN.*skipped[\s\S]*song.*Habanera/);
});

t.test('what is below the level is left out, and silence is whole', async t => {
  const { logger, rows } = logTo('warn');
  logger.info({}, 'low');
  logger.warn({}, 'high enough');
  logger.error({}, 'higher');
  t.match(rows(), [{ msg: 'high enough' }, { msg: 'higher' }]);
  const silent = logTo('silent');
  silent.logger.error({}, 'lost');
  t.equal(silent.text(), '');
});

t.test('values of any kind can be logged', async t => {
  t.equal(bounded(5), 5);
  t.equal(bounded(null), null);
  t.equal(bounded(undefined), undefined);
  t.match(bounded(Object.assign(new Error('no'), { code: 'ENOENT' })), { message: 'no', code: 'ENOENT' });
  t.equal(bounded(new Error('deep'), 9), 'deep');
  t.same(bounded([[[[1]]]]), [[['[1]']]]);
});
