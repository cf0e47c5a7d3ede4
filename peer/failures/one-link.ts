/** Addresses that mean something on one link only. Which link is lost here, for no wire of ours has zones (TSP §3.1). */
import { addressScope } from '../../protocol/ip.js';
import { usageError } from './failure.js';

/** Throws CommandError (usage) for one that cannot be dialled. */
export function checkDialled(host: string): void {
  if (host.includes(':') && addressScope(host) === 'link-local')
    throw usageError(
      `${host} is an address of one link only: nobody is dialled there.`,
      'Another address of that machine, or its name, can be.',
    );
}
