/** Addresses that mean something on one link only. Which link is lost here, for no wire of ours has zones (TSP §3.1). */
import { addressScope } from '../../protocol/ip.js';
import { usageError } from './failure.js';

const isOfOneLink = (host: string): boolean => host.includes(':') && addressScope(host) === 'link-local';

/** Throws CommandError (usage) for one that cannot be dialled. */
export function checkDialled(host: string): void {
  if (isOfOneLink(host))
    throw usageError(
      `${host} is an address of one link only: nobody is dialled there.`,
      'Another address of that machine, or its name, can be.',
    );
}

/** Throws CommandError (usage) for one at which nobody could be answered. */
export function checkListened(host: string): void {
  if (isOfOneLink(host))
    throw usageError(
      `${host} is an address of one link only: nobody is served there.`,
      'The port alone listens on all addresses of this machine.',
    );
}
