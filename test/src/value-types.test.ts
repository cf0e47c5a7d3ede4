/**
 * Values of options from what is typed: sizes, ports, addresses, paths, names.
 */
import { join } from 'node:path';
import t from 'tap';
import * as type from '../../src/value-types.js';
import { homeFolder } from '../../src/xdg.js';

t.test('sizes, rates and counts are typed with k, M and G', async t => {
  for (const [text, value] of [
    ['0', 0],
    ['1500', 1500],
    ['200k', 200_000],
    ['200K', 200_000],
    ['1.5M', 1_500_000],
    ['2G', 2_000_000_000],
    [' 3 M ', 3_000_000],
  ] as const) {
    t.equal(type.parseQuantity(text), value, text);
  }
  for (const text of [
    '',
    'k',
    '-1',
    '1.5',
    '0.0004k',
    '1e3',
    '0x10',
    '1,5',
    '2T',
    '99999999999G',
    'Infinity',
    '1 000',
  ]) {
    t.equal(type.parseQuantity(text), undefined, text);
  }
  t.same([0, 64, 1500, 10_000, 200_000, 2e9, 2_500_000].map(type.briefQuantity), [
    '0',
    '64',
    '1.5k',
    '10k',
    '200k',
    '2G',
    '2.5M',
  ]);
});

t.test('0 is no limit where there is a limit, and nothing where there is a size', async t => {
  t.equal(type.rate.parse('0'), Number.POSITIVE_INFINITY);
  t.equal(type.countLimit.parse('0'), Number.POSITIVE_INFINITY);
  t.equal(type.countLimit.show(Number.POSITIVE_INFINITY), 0);
  t.equal(type.countLimit.brief?.(Number.POSITIVE_INFINITY), '0');
  t.equal(type.size.parse('0'), 0);
  t.equal(type.positiveCount.parse('0'), undefined);
});

t.test('a port is 0 to 65535', async t => {
  t.equal(type.port.parse('0'), 0);
  t.equal(type.port.parse('65535'), 65_535);
  for (const text of ['65536', '-1', '7460.0', '', 'http', '99999999', '+1'])
    t.equal(type.port.parse(text), undefined, text);
});

t.test('addresses are names or literals, with or without a port', async t => {
  const tracker = type.hostPort(7460);
  t.same(tracker.parse('music.example'), { host: 'music.example', port: 7460 });
  t.same(tracker.parse('10.0.0.4:99'), { host: '10.0.0.4', port: 99 });
  t.same(tracker.parse('[2001:db8::2]:99'), { host: '2001:db8::2', port: 99 });
  t.same(tracker.parse('::1'), { host: '::1', port: 7460 });
  for (const text of [
    '',
    ':7460',
    'host:',
    'host:0',
    'host:65536',
    'a b',
    'http://host',
    '[::1',
    'host:1:2',
    '7470',
  ])
    t.equal(tracker.parse(text), undefined, JSON.stringify(text));
  t.match(type.hostPort(6778).expected, 'music.example:6778', 'the usual port of what is named');
  t.equal(tracker.show({ host: '2001:db8::2', port: 99 }), '[2001:db8::2]:99');
  t.equal(type.listenHost.parse('[::1]'), '::1');
  t.equal(type.listenHost.parse('localhost'), 'localhost');
  for (const text of ['', '1234', 'a b', '10.0.0.4:80', '-']) t.equal(type.listenHost.parse(text), undefined);
});

t.test('paths are absolute, and ~ is the home folder', async t => {
  t.equal(type.folder.parse('~/Music'), join(homeFolder(), 'Music'));
  t.equal(type.folder.parse('~'), homeFolder());
  t.equal(type.folder.parse('songs'), join(process.cwd(), 'songs'));
  t.equal(type.folder.parse('/songs'), '/songs');
  t.equal(type.folder.parse(''), undefined);
  t.equal(type.folder.parse('a\0b'), undefined);
  t.equal(type.outputFile.parse('-'), '-');
  t.equal(type.outputFile.parse('a/'), join(process.cwd(), 'a/'), 'which is no file');
  t.equal(type.output(['null']).parse('file:a.wav'), `file:${join(process.cwd(), 'a.wav')}`);
  t.equal(type.output(['null']).parse('null'), 'null');
  t.equal(type.output(['null']).parse('loud'), undefined);
  t.equal(type.name.parse(' kitchen '), 'kitchen');
  t.equal(type.name.parse('x'.repeat(256)), undefined);
});
