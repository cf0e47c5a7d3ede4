/**
 * Where a server listens when nobody said: `::`, which takes IPv4 as well, or `0.0.0.0` on a machine without IPv6.
 */
import { networkInterfaces } from 'node:os';

export function anyHost(interfaces = networkInterfaces()): string {
  const addresses = Object.values(interfaces).flatMap(list => list ?? []);
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0';
}
