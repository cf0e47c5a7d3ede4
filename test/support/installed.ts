/** Whether programs are there that some tests need. */
import { spawnSync } from 'node:child_process';

/** Says why a test that needs the program is skipped, or false when it is there. */
export function missing(program: string): string | false {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined
    ? false
    : `${program} is not installed`;
}
