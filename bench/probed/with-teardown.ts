/** Fixtures of the tests, outside a test. */
import type { Teardown } from '../../test/support/until.js';

/** What `work` starts ends with it, the last first. */
export async function withTeardown<T>(work: (t: Teardown) => Promise<T>): Promise<T> {
  const ends: (() => unknown)[] = [];
  try {
    return await work({ teardown: end => ends.push(end) });
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
