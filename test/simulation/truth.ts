/**
 * What every list must come to when all is mended: who has what, and nothing else.
 */
import type { Catalogue } from '../../peer/library/catalogue.js';
import type { TrackerLink } from '../../peer/tracker-client/tracker-link.js';
import { BrokenRule } from './invariants.js';

/** By address, what a host has. */
export type Offers = ReadonlyMap<string, Catalogue>;

export function expectTruth(readers: readonly TrackerLink[], offers: Offers): void {
  const expected = whoHasWhat(offers);
  for (const { list, ...link } of readers.map(reader => ({ list: reader.list, ...reader.status() }))) {
    const listed = list.songs.map(({ hash, hosts }) => `${hash} ${[...hosts].sort()}`).sort();
    if (link.state === 'registered' && !list.stale && listed.join() === expected.join()) continue;
    const how = `${link.state}, ${list.stale ? 'stale' : 'fresh'}`;
    throw new BrokenRule(
      `all is mended, and a list is wrong (${how}):\n${listed.join('\n')}\n  instead of\n${expected.join('\n')}`,
    );
  }
}

function whoHasWhat(offers: Offers): string[] {
  const hosts = new Map<string, string[]>();
  for (const [address, catalogue] of offers)
    for (const { hash } of catalogue.songs()) hosts.set(hash, [...(hosts.get(hash) ?? []), address]);
  return [...hosts].map(([hash, addresses]) => `${hash} ${addresses.sort()}`).sort();
}
