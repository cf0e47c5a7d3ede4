/** Proof of address (TSP §5.2): what is dialled, what counts as proven, and how much of it there may be. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { MAX_PROOF_DIALS } from '../../protocol/tsp/constants.js';
import { Framer } from '../../protocol/tsp/framing.js';
import type { Claim, Proved } from '../../protocol/tsp/tracker-effects.js';
import { TcpDialer } from '../../tracker/dialer.js';
import { type Attempt, type Dial, type Dialer, Prover } from '../../tracker/proof.js';
import { listenAt } from '../support/crowd.js';
import { listenTsp } from '../support/tsp-client.js';
import { until } from '../support/until.js';
import { VirtualClock } from '../support/virtual-clock.js';

const PING_42 = Buffer.from('060000002a', 'hex');

interface Dialled {
  readonly to: string;
  readonly value: number;
  closed: boolean;
}

/** A network in which every dial reaches what is not in `dead`, and never answers by itself. */
function network(dead: readonly string[] = [], names: Readonly<Record<string, readonly string[]>> = {}) {
  const dialled: Dialled[] = [];
  const dialer: Dialer = {
    async resolve(name) {
      const found = names[name];
      if (found === undefined) throw new Error('no such name');
      return found;
    },
    dial(host, port, bytes): Dial {
      const framer = new Framer();
      framer.push(bytes);
      const event = framer.next();
      const value = event?.kind === 'message' && event.message.type === 'PING' ? event.message.value : -1;
      const entry = { to: `${host} ${port}`, value, closed: false };
      dialled.push(entry);
      const never = new Promise<void>(() => undefined);
      const sent = dead.includes(host)
        ? Promise.reject(new Error('refused'))
        : host === '192.0.2.99'
          ? never
          : Promise.resolve();
      return {
        sent,
        close: () => {
          entry.closed = true;
        },
      };
    },
    async stop() {},
  };
  const clock = new VirtualClock();
  let random = 0;
  const prover = new Prover({
    dialer,
    clock,
    // The first value is 0, which no proof may use.
    randomBytes: () => Buffer.from([0, 0, random >> 8, random++ & 0xff]),
    maxDials: MAX_PROOF_DIALS,
  });
  const prove = (observed: string, claim: Claim): { attempt: Attempt; outcome: Proved | undefined } => {
    const proof: { attempt: Attempt; outcome: Proved | undefined } = {
      outcome: undefined,
      attempt: prover.prove(observed, claim, outcome => {
        proof.outcome = outcome;
      }),
    };
    return proof;
  };
  return { dialled, clock, prove };
}

const settle = async (): Promise<void> => {
  for (let n = 0; n < 20; n += 1) await Promise.resolve();
};

t.test('the observed address is dialled, and the echo of its value proves it', async t => {
  const { dialled, prove } = network();
  const proof = prove('::ffff:192.0.2.7', { port: 7461 });
  await settle();
  t.match(dialled, [{ to: '192.0.2.7 7461', closed: false }]);
  t.not(dialled[0]!.value, 0, 'a keepalive proves nothing');
  proof.attempt.echo(dialled[0]!.value + 1);
  await settle();
  t.equal(proof.outcome, undefined, 'another value is ignored');
  proof.attempt.echo(dialled[0]!.value);
  await settle();
  t.strictSame(proof.outcome, { addresses: ['192.0.2.7:7461'] });
  t.ok(dialled[0]!.closed);
});

t.test('what may be dialled, and how it is listed', async t => {
  const names = {
    'a.example': ['198.51.100.1', '2001:db8:1::1', '198.51.100.2'],
    'evil.example': ['127.0.0.1'],
  };
  for (const [observed, claim, targets, listed] of [
    ['127.0.0.1', { port: 7461 }, ['127.0.0.1 7461'], [':7461']],
    ['::1', { port: 7461 }, ['::1 7461'], [':7461']],
    ['127.0.0.1', { port: 7461, local: true }, ['127.0.0.1 7461'], ['127.0.0.1:7461']],
    ['::1', { port: 7461, local: true }, ['::1 7461'], ['[::1]:7461']],
    ['2001:db8::1%eth0', { port: 7461, local: true }, ['2001:db8::1 7461'], ['[2001:db8::1]:7461']],
    ['192.168.1.5', { port: 7461 }, ['192.168.1.5 7461'], ['192.168.1.5:7461']],
    ['8.8.8.8', { port: 80 }, [], []],
    ['8.8.8.8', { port: 1023 }, [], []],
    ['8.8.8.8', { port: 1024 }, ['8.8.8.8 1024'], ['8.8.8.8:1024']],
    [
      '8.8.8.8',
      { port: 7461, advertise: ['9.9.9.9:7000', '10.0.0.1:7000', '127.0.0.1:7000', '8.8.8.8'] },
      ['9.9.9.9 7000', '8.8.8.8 7461'],
      ['9.9.9.9:7000', '8.8.8.8:7461'],
    ],
    [
      '8.8.8.8',
      { port: 7461, advertise: ['224.0.0.1', '169.254.1.1', '[fe80::1]:7000', '[::1]:7000'] },
      [],
      [],
    ],
    [
      '192.168.1.5',
      { port: 7461, advertise: ['10.0.0.1', '127.0.0.1'] },
      ['10.0.0.1 7461'],
      ['10.0.0.1:7461'],
    ],
    [
      '8.8.8.8',
      { port: 7461, advertise: ['a.example:9000', 'evil.example', 'gone.example', ':7000', 'no address!'] },
      ['198.51.100.1 9000', '2001:db8:1::1 9000'],
      ['198.51.100.1:9000', '[2001:db8:1::1]:9000'],
    ],
    [
      '8.8.8.8',
      {
        port: 7461,
        advertise: ['9.9.9.9:1', '9.9.9.9:2000', '9.9.9.9:2000', '9.9.9.9:3000', '9.9.9.9:4000'],
      },
      ['9.9.9.9 2000', '9.9.9.9 3000'],
      ['9.9.9.9:2000', '9.9.9.9:3000'],
    ],
  ] as const) {
    const { dialled, prove } = network([], names);
    const proof = prove(observed, claim);
    await settle();
    t.strictSame(
      dialled.map(({ to }) => to),
      targets,
      `${observed} ${JSON.stringify(claim)}`,
    );
    for (const { value } of dialled) proof.attempt.echo(value);
    await settle();
    t.strictSame(proof.outcome, { addresses: listed });
  }
});

t.test('a dial may take 3 s, an echo 5 s, and what was proven counts', async t => {
  const { dialled, clock, prove } = network(['9.9.9.8']);
  const proof = prove('8.8.8.8', { port: 7461, advertise: ['192.0.2.99', '9.9.9.9', '9.9.9.8', '8.8.8.8'] });
  await settle();
  t.equal(dialled.length, 4);
  proof.attempt.echo(dialled[1]!.value);
  clock.advance(2_999);
  await settle();
  t.strictSame(
    dialled.map(({ closed }) => closed),
    [false, true, true, false],
  );
  clock.advance(1);
  await settle();
  t.ok(dialled[0]!.closed, 'no connection within 3 s');
  clock.advance(1_999);
  await settle();
  t.equal(proof.outcome, undefined);
  clock.advance(1);
  await settle();
  t.strictSame(proof.outcome, { addresses: ['9.9.9.9:7461'] });
  t.equal(clock.pending, 0, 'no timer is left');
});

t.test('the 64th wrong value ends the attempt', async t => {
  const { dialled, prove } = network();
  const proof = prove('8.8.8.8', { port: 7461 });
  await settle();
  for (let n = 0; n < 63; n += 1) proof.attempt.echo(0xffff_0000 + n);
  t.equal(proof.outcome, undefined);
  proof.attempt.echo(0xffff_ffff);
  t.strictSame(proof.outcome, { addresses: [] });
  await settle();
  t.ok(dialled[0]!.closed);
});

t.test('a cancelled attempt says nothing more', async t => {
  const { dialled, clock, prove } = network();
  const proof = prove('8.8.8.8', { port: 7461 });
  await settle();
  proof.attempt.cancel();
  await settle();
  clock.advance(10_000);
  t.match(
    { outcome: proof.outcome, closed: dialled[0]!.closed, pending: clock.pending },
    { closed: true, pending: 0 },
  );
  t.equal(proof.outcome, undefined);
});

t.test('one target is dialled four times a minute, whoever asks, and tried again when it may be', async t => {
  const { dialled, clock, prove } = network(['8.8.8.8']);
  for (let n = 0; n < 4; n += 1) {
    t.strictSame((await ended(prove('8.8.8.8', { port: 7461 }))).addresses, []);
    clock.advance(1_000);
  }
  t.strictSame(await ended(prove('8.8.8.8', { port: 7461 })), { addresses: [], retryInMs: 56_000 });
  await ended(prove('8.8.8.8', { port: 7462 }));
  t.equal(dialled.length, 5, 'another port is another target');
  clock.advance(56_000);
  await ended(prove('8.8.8.8', { port: 7461 }));
  t.equal(dialled.length, 6);
});

t.test('a host of somebody else is dialled 64 times a minute at most, at whatever ports', async t => {
  const { dialled, clock, prove } = network(['8.8.8.8', '9.9.9.9']);
  const advertise = (n: number): string[] => [0, 1, 2, 3].map(port => `8.8.8.8:${2_000 + 4 * n + port}`);
  for (let n = 0; n < 20; n += 1) prove('9.9.9.9', { port: 7461, advertise: advertise(n) });
  await settle();
  t.equal(dialled.length, 64);
  const more = { port: 7461, advertise: ['8.8.8.8'] };
  t.strictSame(await ended(prove('1.1.1.1', more)), { addresses: [], retryInMs: 60_000 }, 'whoever asks');
  for (let port = 3_000; port < 3_080; port += 1) prove('8.8.8.8', { port });
  await settle();
  t.equal(dialled.length, 64 + 80, 'and for itself as often as it asks');
  clock.advance(60_000);
  await ended(prove('9.9.9.9', more));
  t.equal(dialled.length, 64 + 80 + 1);
});

t.test('at most 256 dials at once; the next one waits for its turn', async t => {
  const { dialled, prove } = network();
  const proofs = Array.from({ length: 300 }, (_, n) => prove('8.8.8.8', { port: 2_000 + n }));
  await settle();
  t.equal(dialled.length, 256);
  for (const [n, { value }] of dialled.slice(0, 10).entries()) proofs[n]!.attempt.echo(value);
  await settle();
  t.equal(dialled.length, 266);
  for (const proof of proofs) proof.attempt.cancel();
  await settle();
  await settle();
  t.ok(dialled.every(({ closed }) => closed));
});

t.test('the real dialer says its PING, and fails where nobody listens', async t => {
  const dialer = new TcpDialer();
  const heard = new Promise<number>(resolve => {
    void listenTsp(t, async client => resolve((await client.receive('PING')).value)).then(({ port }) => {
      const dial = dialer.dial('127.0.0.1', port, PING_42);
      t.teardown(() => dial.close());
      return t.resolves(dial.sent);
    });
  });
  t.equal(await heard, 42);
  await t.rejects(dialer.dial('127.0.0.1', 1, PING_42).sent);
  t.ok((await dialer.resolve('localhost')).length > 0);
});

t.test('a dial has nothing of those before it, whoever closed them', async t => {
  const dialer = new TcpDialer();
  const heard: Socket[] = [];
  const server = createServer(socket => {
    socket.on('error', () => {});
    socket.on('data', bytes => {
      t.same(bytes, PING_42, 'one PING a dial');
      heard.push(socket);
    });
  });
  const port = await listenAt(server, 0, '127.0.0.1');
  t.teardown(() => server.close());
  let before: Dial | undefined;
  for (const closing of ['them', 'us', 'a reset', 'nobody listens', 'them', 'nobody'] as const) {
    const count = heard.length;
    const dial = dialer.dial('127.0.0.1', closing === 'nobody listens' ? 1 : port, PING_42);
    before?.close();
    before = dial;
    if (closing === 'nobody listens') {
      await t.rejects(dial.sent);
      continue;
    }
    await t.resolves(dial.sent, `ended by ${closing}`);
    const socket = await until('the PING has come', () => heard[count]);
    if (closing === 'nobody') break;
    const closed = once(socket, 'close');
    if (closing === 'us') dial.close();
    else if (closing === 'them') socket.end();
    else socket.resetAndDestroy();
    await closed;
  }
  before?.close();
});

async function ended(proof: { readonly outcome: Proved | undefined }): Promise<Proved> {
  await settle();
  if (proof.outcome === undefined) throw new Error('the proof goes on');
  return proof.outcome;
}
