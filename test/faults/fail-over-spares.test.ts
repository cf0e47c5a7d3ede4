/**
 * A few runs of the campaign (`npm run faults` makes hundreds): hosts are killed, stopped, lie, end, fall silent and drip, at
 * 10, 50 and 99.9 % of a song and after its last byte, and each song arrives byte for byte, with no more than a piece of it
 * fetched twice.
 */
import t from 'tap';
import { openNetwork } from '../support/network.js';
import { FAULTS, type Fault, runBatch, SEEDS_A_BATCH } from './fail-over-campaign.js';
import { MAX_TWICE_BYTES } from './failing-hosts.js';

/** What takes its time, or a process for each run, is done once. */
const BATCHES: Partial<Record<Fault, number>> = { lies: 3, ends: 3 };

// A campaign mostly waits.
t.jobs = 3;
const world = await openNetwork(t, ['--max-per-address', '0']);

const campaigns = FAULTS.map((fault, nth) =>
  t.test(`of two hosts, the one that is asked first: ${fault}`, { buffered: true }, async t => {
    const network = world.during(t);
    const switches: number[] = [];
    for (let batch = 0; batch < (BATCHES[fault] ?? 1); batch += 1) {
      for (const run of await runBatch(t, network, fault, 1 + SEEDS_A_BATCH * (10 * nth + batch))) {
        const { place, failure, twiceBytes = 0, switchedInMs } = run;
        t.equal(failure, undefined, `byte for byte, at ${place * 100} %`);
        t.ok(twiceBytes <= MAX_TWICE_BYTES, `${twiceBytes} bytes were fetched twice`);
        if (switchedInMs !== undefined) switches.push(Math.round(switchedInMs));
      }
    }
    t.comment(`another host after ${switches.join(', ')} ms`);
  }),
);
await Promise.all(campaigns);
