/** Dials for proofs in a thread of their own: when it is begun, who dials what, and what becomes of it when it dies. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { TcpDialer } from '../../tracker/dialer.js';
import type { Dial } from '../../tracker/proof.js';
import { FEW_DIALS, GATHER_MS, ThreadDialer } from '../../tracker/thread-dialer.js';
import { listenAt } from '../support/crowd.js';
import { RecordingLogger } from '../support/recording-logger.js';
import { type Teardown, until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';

const PING_42 = Buffer.from('060000002a', 'hex');
const A_MINUTE_MS = 60_000;
/** Scripts instead of the real one. */
const SAYS_THAT_ALL_FAIL = `
  import { parentPort } from 'node:worker_threads';
  parentPort.on('message', ({ dialled }) => parentPort.postMessage({ sent: [], failed: dialled.map(dial => dial.number) }));`;
const DIES_OF_THE_FIRST = `
  import { parentPort } from 'node:worker_threads';
  parentPort.on('message', () => { throw new Error('a fault'); });`;

const scriptOf = (text: string): URL => new URL(`data:text/javascript,${encodeURIComponent(text)}`);

function start(t: Teardown, script?: URL) {
  const clock = new VirtualClock();
  const logger = new RecordingLogger();
  const dialer = new ThreadDialer({ clock, logger, ...(script && { script }) });
  t.teardown(() => dialer.stop());
  return { clock, logger, dialer };
}

/** Keeps what comes, and whether it is still open. */
async function listening(t: Teardown) {
  const heard: Buffer[] = [];
  const open = new Set<Socket>();
  const server = createServer(socket => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('data', bytes => heard.push(bytes));
    socket.on('close', () => open.delete(socket));
  });
  const port = await listenAt(server, 0, '127.0.0.1');
  t.teardown(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { port, heard, open };
}

t.test('many at once are all said, by whomever, and closed', async t => {
  const { dialer, clock } = start(t);
  const { port, heard, open } = await listening(t);
  const dials = Array.from({ length: 5 * FEW_DIALS }, () => dialer.dial('127.0.0.1', port, PING_42));
  const inVain = dialer.dial('127.0.0.1', 1, PING_42);
  clock.advance(GATHER_MS);
  await Promise.all(dials.map(({ sent }) => sent));
  await t.rejects(inVain.sent, 'nobody listens there');
  await until('each has come', () => heard.length === dials.length);
  t.ok(heard.every(bytes => bytes.equals(PING_42)));
  for (const dial of [inVain, ...dials, ...dials]) dial.close();
  clock.advance(GATHER_MS);
  await until('each is closed', () => open.size === 0);
  clock.advance(A_MINUTE_MS);
  const after = dialer.dial('127.0.0.1', port, PING_42);
  await t.resolves(after.sent, 'and it goes on');
  after.close();
  t.ok((await dialer.resolve('localhost')).length > 0);
});

t.test('few are dialled here, and what comes with many under way is the thread’s', async t => {
  const { dialer, clock } = start(t, scriptOf(SAYS_THAT_ALL_FAIL));
  const { port } = await listening(t);
  const dial = (): Dial => {
    const dial = dialer.dial('127.0.0.1', port, PING_42);
    clock.advance(GATHER_MS);
    return dial;
  };
  const few = Array.from({ length: FEW_DIALS }, dial);
  await t.resolves(Promise.all(few.map(({ sent }) => sent)));
  const more = [dial(), dial()];
  for (const { sent } of more) await t.rejects(sent);
  for (const { close } of few) close();
  await t.rejects(dial().sent, 'as long as there is a thread, it dials');
  for (const { close } of more) close();
  clock.advance(A_MINUTE_MS);
  await t.rejects(dial().sent, 'one is not closed yet');
});

t.test('a thread that is not needed ends', async t => {
  const { dialer, clock } = start(t, scriptOf(SAYS_THAT_ALL_FAIL));
  const { port } = await listening(t);
  const dials = Array.from({ length: FEW_DIALS + 1 }, () => dialer.dial('127.0.0.1', port, PING_42));
  clock.advance(GATHER_MS);
  await t.rejects(dials.at(-1)!.sent);
  for (const { close } of dials) close();
  clock.advance(A_MINUTE_MS);
  const after = dialer.dial('127.0.0.1', port, PING_42);
  await t.resolves(after.sent, 'dialled here again');
  after.close();
});

t.test('what a thread was told to dial before it died is dialled without it', async t => {
  const { dialer, clock, logger } = start(t, scriptOf(DIES_OF_THE_FIRST));
  const { port, heard, open } = await listening(t);
  const dials = Array.from({ length: 3 * FEW_DIALS }, () => dialer.dial('127.0.0.1', port, PING_42));
  clock.advance(GATHER_MS);
  await t.resolves(Promise.all(dials.map(({ sent }) => sent)));
  await until('each has come', () => heard.length === dials.length);
  t.match(logger.entries, [{ level: 'warn', message: /died/ }]);
  const later = Array.from({ length: 2 * FEW_DIALS }, () => dialer.dial('127.0.0.1', port, PING_42));
  await t.resolves(Promise.all(later.map(({ sent }) => sent)), 'and no other is begun');
  t.equal(logger.entries.length, 1);
  for (const dial of [...dials, ...later]) dial.close();
  await until('each is closed', () => open.size === 0);
});

t.test('stopped with dials under way', async t => {
  const { dialer, clock } = start(t);
  const { port, open } = await listening(t);
  const dials = Array.from({ length: 2 * FEW_DIALS }, () => dialer.dial('127.0.0.1', port, PING_42));
  clock.advance(GATHER_MS);
  await Promise.all(dials.map(({ sent }) => sent));
  const [socket] = open;
  const closed = once(socket!, 'close');
  await dialer.stop();
  for (const dial of dials) dial.close();
  await closed;
  await until('nothing is left open', () => open.size === 0);
  t.equal(open.size, 0);
});

t.test('names that nobody answers for keep two threads of the process, and no more', async t => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const dialer = new TcpDialer(async name => {
    asked.push(name);
    if (name.startsWith('silent')) await new Promise<void>(resolve => answers.push(resolve));
    if (name === 'silent 1') throw new Error('nobody knows it');
    return [{ address: '192.0.2.1' }];
  });
  const silent = ['silent 1', 'silent 2'].map(name => dialer.resolve(name));
  const [third, fourth] = [dialer.resolve('third'), dialer.resolve('fourth')];
  t.same(asked, ['silent 1', 'silent 2'], 'the others wait');
  answers[0]!();
  await t.rejects(silent[0]!);
  t.same(await third, ['192.0.2.1'], 'one that fails makes room, too');
  t.same(await fourth, ['192.0.2.1']);
  const many = Array.from({ length: 2_000 }, (_, n) => dialer.resolve(`silent ${n + 3}`).catch(() => 'told'));
  t.equal(await Promise.race(many), 'told', 'nor do they wait without end');
  answers[1]!();
  t.same(await silent[1], ['192.0.2.1']);
});
