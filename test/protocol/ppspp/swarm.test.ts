/** Whole channels between endpoints, through loss, reordering, doubles and spoilt bits: everybody ends bit-exact. */
import t from 'tap';
import { Chance } from '../../simulation/chance.js';
import { metadataOf, VirtualSwarm } from '../../support/virtual-swarm.js';

const contentOf = (size: number, seed = 1): Uint8Array => new Chance(seed).bytes(size);

t.test('two peers, whatever the pipe does', async t => {
  for (let seed = 1; seed <= 24; seed += 1) {
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
    if (chance.is(0.5)) reader.dial(source);
    else source.dial(reader);
    const done = net.run(600_000, () => reader.isComplete);
    t.ok(done, `seed ${seed}: ${content.length} bytes, loss ${loss.toFixed(2)}, ${Math.round(net.now)} ms`);
    t.ok(Buffer.compare(reader.content, content) === 0, `seed ${seed}: bit-exact`);
  }
});
