/** Whole channels between endpoints, through loss, reordering, doubles and spoilt bits: everybody ends bit-exact. */

import fc from 'fast-check';
import t from 'tap';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { decodeDatagram } from '../../../protocol/ppspp/codec.js';
import { wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import { RequestQueue } from '../../../protocol/ppspp/request-queue.js';
import { Chance } from '../../simulation/chance.js';
import { metadataOf, VirtualSwarm } from '../../support/virtual-swarm.js';

const contentOf = (size: number, seed = 1): Uint8Array => new Chance(seed).bytes(size);

t.test('two peers, whatever the pipe does', async t => {
  for (let seed = 1; seed <= 16; seed += 1) {
    const chance = new Chance(seed);
    const content = contentOf(chance.int(1, 150_000), seed);
    const loss = 0.3 * chance.unit();
    const net = new VirtualSwarm(seed, { loss, doubles: 0.1, reorderMs: 60 });
    const metadata = metadataOf(content, {
      addressing: chance.pick(['bin32', 'byte64', 'chunk32', 'bin64', 'chunk64']),
      hash: chance.pick(['sha1', 'sha256', 'sha512']),
    });
    const source = net.peer({ metadata, content });
    const reader = net.peer({ metadata });
    const format = wireFormatOf(metadata, ['rfc7574']);
    let longest = 0;
    let isDataLast = true;
    net.onSent = (_, { datagram }) => {
      longest = Math.max(longest, datagram.length);
      const data = decodeDatagram(datagram, format).messages.findIndex(({ type }) => type === 'DATA');
      isDataLast &&= data === -1 || data === decodeDatagram(datagram, format).messages.length - 1;
    };
    if (chance.is(0.5)) reader.dial(source);
    else source.dial(reader);
    const done = net.run(600_000, () => reader.isComplete);
    t.ok(done, `seed ${seed}: ${content.length} bytes, loss ${loss.toFixed(2)}, ${Math.round(net.now)} ms`);
    t.ok(Buffer.compare(reader.content, content) === 0, `seed ${seed}: bit-exact`);
    t.ok(isDataLast && longest <= 1_400, `seed ${seed}: datagrams of ${longest} bytes at most`);
  }
});

t.test('a crowd with a liar, through spoilt and cut datagrams', async t => {
  for (let seed = 1; seed <= 3; seed += 1) {
    const content = contentOf(60_000, seed);
    const net = new VirtualSwarm(seed, { loss: 0.1, doubles: 0.05, spoils: 0.01, cuts: 0.01, reorderMs: 30 });
    const metadata = metadataOf(content);
    const spoil = (chunk: number, bytes: Uint8Array): Uint8Array =>
      chunk % 3 === 0 ? bytes : Uint8Array.from(bytes, byte => byte ^ 1);
    const liar = net.peer({ metadata, content, spoil });
    const source = net.peer({ metadata, content });
    const readers = Array.from({ length: 4 }, () => net.peer({ metadata }));
    for (const [i, reader] of readers.entries()) {
      reader.dial(liar);
      reader.dial(readers[(i + 1) % 4]!);
      if (i % 2 === 0) reader.dial(source);
    }
    t.ok(
      net.run(1_200_000, () => readers.every(({ isComplete }) => isComplete)),
      `seed ${seed}: complete after ${Math.round(net.now)} ms`,
    );
    for (const reader of readers) t.ok(Buffer.compare(reader.content, content) === 0, 'bit-exact');
    t.ok(
      readers.some(({ banned }) => banned.has(liar.address.address)),
      'the liar was found out',
    );
    t.ok(
      readers.every(({ banned }) => !banned.has(source.address.address)),
      'and nobody else',
    );
  }
});

t.test('nothing is amplified before the third datagram, whoever asks however', async t => {
  const content = contentOf(20_000);
  const metadata = metadataOf(content);
  const chance = new Chance(5);
  const net = new VirtualSwarm(5);
  const source = net.peer({ metadata, content });
  const reader = net.peer({ metadata });
  const seen: Uint8Array[] = [];
  net.onSent = (_, { datagram }) => seen.push(Uint8Array.from(datagram));
  reader.dial(source);
  t.ok(net.run(60_000, () => reader.isComplete));
  const channels = source.endpoint.channels;
  const received = new Map<string, number>();
  const sent = new Map<string, number>();
  for (let i = 0; i < 3_000; i += 1) {
    const datagram = Uint8Array.from(chance.is(0.3) ? seen[0]! : chance.pick(seen));
    for (let flips = chance.int(0, 3); flips > 0; flips -= 1)
      datagram[chance.int(0, datagram.length - 1)] = chance.int(0, 255);
    const cut = datagram.subarray(0, chance.is(0.3) ? chance.int(0, datagram.length) : datagram.length);
    const from = { address: `198.51.100.${chance.int(1, 20)}`, port: chance.int(1, 3) };
    received.set(from.address, (received.get(from.address) ?? 0) + cut.length);
    source.endpoint.receive(cut, from, net.now);
    for (const { to, datagram } of source.endpoint.transmit(net.now))
      sent.set(to.address, (sent.get(to.address) ?? 0) + datagram.length);
  }
  t.ok(sent.size > 10, 'some were answered');
  for (const [address, bytes] of sent) t.ok(bytes <= (received.get(address) ?? 0), address);
  t.equal(source.endpoint.channels, channels, 'and none was let in');
});

t.test('a queue gives what was asked in that order, each once, whatever is taken back', async () => {
  const range = fc.tuple(fc.nat(40), fc.nat(12)).map(([start, more]) => ({ start, end: start + more }));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.constantFrom('add', 'delete', 'take', 'first'), range), { maxLength: 40 }),
      fc.array(range),
      (steps, had) => {
        const have = new ChunkSet();
        for (const each of had) have.add(each);
        const queue = new RequestQueue();
        let plain: number[] = [];
        for (const [step, { start, end }] of steps) {
          const chunks = Array.from({ length: end - start + 1 }, (_, i) => start + i);
          if (step === 'add') {
            queue.add({ start, end });
            plain.push(...chunks.filter(chunk => !plain.includes(chunk)));
          } else if (step === 'delete') {
            queue.delete({ start, end });
            plain = plain.filter(chunk => chunk < start || chunk > end);
          } else if (step === 'first') {
            queue.addFirst(start);
            if (!plain.includes(start)) plain.unshift(start);
          } else {
            const taken = queue.take(have);
            const place = plain.findIndex(chunk => have.has(chunk));
            if (taken !== plain[place]) return false;
            plain = place === -1 ? [] : plain.slice(place + 1);
          }
        }
        return queue.isEmpty === (plain.length === 0);
      },
    ),
    { numRuns: 500 },
  );
});

t.test(
  'over a stream frames are judged as whole subtrees, and a false chunk among true ones is found',
  async t => {
    for (const size of [1, 65_536, 300_001]) {
      const content = contentOf(size, size);
      const metadata = metadataOf(content);
      const net = new VirtualSwarm(size);
      const source = net.peer({ metadata, content, isReliable: true });
      const reader = net.peer({ metadata, isReliable: true });
      reader.dial(source);
      t.ok(
        net.run(60_000, () => reader.isComplete),
        `${size} bytes`,
      );
      t.ok(Buffer.compare(reader.content, content) === 0, 'bit-exact');
    }
    const content = contentOf(200_000);
    const metadata = metadataOf(content);
    const net = new VirtualSwarm(9);
    const spoil = (chunk: number, bytes: Uint8Array): Uint8Array =>
      chunk % 7 === 5 ? Uint8Array.from(bytes, byte => byte ^ 1) : bytes;
    const liar = net.peer({ metadata, content, spoil, isReliable: true });
    const reader = net.peer({ metadata, isReliable: true });
    reader.dial(liar);
    net.run(60_000, () => reader.banned.size > 0);
    t.ok(reader.banned.has(liar.address.address), 'the liar is found out');
    for (const [chunk, bytes] of reader.chunks)
      if (Buffer.compare(bytes, content.subarray(chunk * 1_024, (chunk + 1) * 1_024)) !== 0)
        t.fail(`chunk ${chunk}`);
    t.notOk(
      [...reader.chunks.keys()].some(chunk => chunk % 7 === 5),
      'nothing false is taken',
    );
  },
);
