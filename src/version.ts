/** Which Torero this is, as package.json says. Imports nothing of ours, so that `--version` is as quick as Node is. */
import { readFileSync } from 'node:fs';

const MANIFEST = new URL('../../package.json', import.meta.url);

export const version = (): string => JSON.parse(readFileSync(MANIFEST, 'utf8')).version;

/** As said in HELLO and WELCOME (TSP §3.3). */
export const agent = (): string => `torero/${version()}`;
