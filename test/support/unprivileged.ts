/** For whom permissions mean something, also where root runs the tests: root without capabilities may do what anybody may. */
import { spawnSync } from 'node:child_process';

const isRoot = process.getuid?.() === 0;
const DROP = ['setpriv', '--bounding-set=-all', '--inh-caps=-all'];

/** Why a test can't have that, as tap's `skip` wants it; false when it can. */
export const noPermissions: string | false =
  isRoot && spawnSync(DROP[0]!, [...DROP.slice(1), 'true']).status !== 0
    ? 'root may read and write anywhere, and can’t put that off'
    : false;

/** The words that run `program` so. */
export const unprivileged = (...program: string[]): [file: string, ...args: string[]] =>
  (isRoot ? [...DROP, ...program] : program) as [string, ...string[]];
