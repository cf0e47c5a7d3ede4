/**
 * What came from the network, for one line that a person reads: as JSON with everything but printable ASCII escaped, cut to
 * a bound, so that a title cannot steer a terminal.
 */

const MAX_QUOTED_CHARS = 200;

export function quoted(value: unknown): string {
  const json = JSON.stringify(value).replace(
    /[^ -~]/g,
    char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return json.length > MAX_QUOTED_CHARS ? `${json.slice(0, MAX_QUOTED_CHARS)}…` : json;
}
