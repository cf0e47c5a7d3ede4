/**
 * Where a song came from, as a person reads it: `62 % 10.0.0.4 · 38 % kitchen`, or one host alone: `10.0.0.4:7461`.
 */
import { parseHostPort } from '../../protocol/tsp/addresses.js';
import type { FetchReport, SongShare } from '../listening/song-stream.js';
import { safeText } from './terminal-text.js';

/** Shares, the largest first; names are strangers' words and are made safe. Empty when nothing came. */
export function renderSources(sources: readonly SongShare[]): string {
  const [first] = sources;
  if (first === undefined) return '';
  if (sources.length === 1) return safeText(first.host);
  const total = sources.reduce((sum, { bytes }) => sum + bytes, 0);
  return sources
    .toSorted((a, b) => b.bytes - a.bytes)
    .map(source => `${percent(source.bytes, total)} % ${safeText(shortName(source, sources))}`)
    .join(' · ');
}

/** What is said of a song whose every byte agreed with its hash. */
const wordOfProof = (sources: readonly SongShare[]): string =>
  sources.length > 1 ? 'all verified' : 'verified';

/** How far what was heard can be trusted, in a word or two; undefined: there is nothing to be said. */
export function wordOfTrust({ sources, verified, verifiedBytes, relayed }: FetchReport): string | undefined {
  if (verified) return wordOfProof(sources);
  if (relayed) return 'relayed, unverified';
  if (verifiedBytes === undefined) return undefined;
  return `${percent(
    verifiedBytes,
    sources.reduce((sum, { bytes }) => sum + bytes, 0),
  )} % verified`;
}

const percent = (bytes: number, total: number): number =>
  total === 0 ? 0 : Math.round((100 * bytes) / total);

/** Its name, or else its address, if that tells it from the others. */
function shortName(source: SongShare, sources: readonly SongShare[]): string {
  const others = sources.filter(other => other !== source);
  const { name } = source;
  if (name !== undefined && others.every(other => other.name !== name)) return name;
  const address = addressOf(source.host);
  return others.every(({ host }) => addressOf(host) !== address) ? address : source.host;
}

const addressOf = (host: string): string => parseHostPort(host)?.host ?? host;
