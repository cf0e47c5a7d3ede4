/**
 * Whose songs will be asked for next: the hosts that have most of the songs a person has just been shown.
 *
 * A dialled connection saves the round trips of a handshake between Enter and the first sample. Pure.
 */

/** Songs looked at: what is beyond the first screens of a list is rarely what is played next. */
const MOST_ROWS = 100;
/** Half of the connections that are kept warm; the others are the ones that were useful already. */
export const MOST_HOSTS = 8;

/** The likeliest last, as SongFetcher.warm wants them. `hostsOf` gives addresses that can be dialled. */
export function likelyHosts<Row>(rows: readonly Row[], hostsOf: (row: Row) => readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const row of rows.slice(0, MOST_ROWS)) {
    for (const host of hostsOf(row)) counts.set(host, (counts.get(host) ?? 0) + 1);
  }
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .slice(0, MOST_HOSTS)
    .map(([host]) => host)
    .reverse();
}
