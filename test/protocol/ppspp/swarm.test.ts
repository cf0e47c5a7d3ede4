/** Whole channels between endpoints, through loss, reordering, doubles and spoilt bits: everybody ends bit-exact. */
import fc from 'fast-check';
import t from 'tap';
import { ChunkSet } from '../../../protocol/ppspp/chunk-set.js';
import { decodeDatagram, encodeDatagram } from '../../../protocol/ppspp/codec.js';
import { Fetching } from '../../../protocol/ppspp/fetching.js';
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

t.test(
  'a whole frame brings what proves the node above it alone; a part of one proves each chunk',
  async t => {
    const content = contentOf(200_000);
    const metadata = metadataOf(content);
    const net = new VirtualSwarm(4);
    const source = net.peer({ metadata, content, isReliable: true });
    const reader = net.peer({ metadata, size: content.length, isReliable: true, isIdle: true });
    const format = wireFormatOf(metadata, ['rfc7574']);
    const frames: { chunks: number[]; inner: number }[] = [];
    net.onSent = (from, { datagram }) => {
      if (from !== source.address) return;
      const { messages } = decodeDatagram(datagram, format);
      const chunks = messages.flatMap(message => (message.type === 'DATA' ? [message.chunk] : []));
      const inner = messages.filter(
        message => message.type === 'INTEGRITY' && message.range.end - message.range.start < 31,
      );
      if (chunks.length > 0) frames.push({ chunks, inner: inner.length });
    };
    const channel = reader.dial(source);
    net.run(200);
    channel.request({ start: 32, end: 95 });
    channel.request({ start: 128, end: 150 });
    net.run(1_000);
    t.same(
      frames.map(({ chunks }) => [chunks[0], chunks.length]),
      [
        [32, 32],
        [64, 32],
        [128, 23],
      ],
    );
    // The content has 196 chunks: of its peaks that of four is narrower than a frame.
    t.same([frames[0]!.inner, frames[1]!.inner], [1, 0]);
    t.ok(frames[2]!.inner > 15, 'chunk by chunk');
    t.same(reader.swarm.have.ranges, [
      { start: 32, end: 95 },
      { start: 128, end: 150 },
    ]);
    channel.request({ start: 160, end: 195 });
    source.endpoint.receive(
      encodeDatagram(
        source.channels[0]!.channel,
        [{ type: 'REQUEST', range: { start: 0, end: 31 } }],
        format,
      ),
      source.endpoint.addressOf(source.channels[0]!)!,
      net.now,
    );
    for (const { datagram } of source.endpoint.transmit(net.now, 20_000)) {
      const types = decodeDatagram(datagram, format).messages.map(({ type }) => type);
      t.ok(types.filter(type => type === 'INTEGRITY').length > 15, 'no room for all of it: chunk by chunk');
    }
    net.run(2_000);
    t.ok(reader.swarm.have.covers({ start: 160, end: 195 }), 'up to the last, shorter one');
  },
);

t.test('of a frame that is here in part the rest is taken, and of a false one nothing', async t => {
  const content = contentOf(200_000);
  const metadata = metadataOf(content);
  const { swarm: source } = new VirtualSwarm(1).peer({ metadata, content });
  const proof = source.integrity.proofOfRun!(32, 5, { knows: () => false, knowsAny: false });
  const messages = Array.from({ length: 32 }, (_, i) => ({
    type: 'DATA' as const,
    chunk: 32 + i,
    timestampUs: 0,
    bytes: content.subarray((32 + i) * 1_024, (33 + i) * 1_024),
  }));
  const fetchingOf = (had: number[]) => {
    const have = new ChunkSet();
    for (const chunk of had) have.add({ start: chunk, end: chunk });
    const { swarm } = new VirtualSwarm(2).peer({ metadata, size: content.length, have });
    const fetching = new Fetching({ swarm, dialect: 'rfc7574', isReliable: true });
    for (const claim of proof) t.ok(fetching.hear(claim, 0));
    return { fetching, have };
  };
  const some = fetchingOf([32, 40, 41]);
  const events = some.fetching.run(messages, 0);
  t.same(
    events.map(event => event.kind === 'chunks' && [event.first, event.chunks.length]),
    [
      [33, 7],
      [42, 22],
    ],
  );
  t.same(some.have.ranges, [{ start: 32, end: 63 }]);
  t.same(some.fetching.run(messages, 0), [], 'and what is here is not news');
  const none = fetchingOf([]);
  const spoilt = messages.map(message =>
    message.chunk === 50 ? { ...message, bytes: new Uint8Array(1_024) } : message,
  );
  t.same(none.fetching.run(spoilt, 0), [{ kind: 'wrong', chunk: 32 }]);
  t.ok(none.have.isEmpty);
  t.ok(none.fetching.hasLied, 'who sent it lied, whichever chunk it is');
});
