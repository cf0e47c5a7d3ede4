/**
 * What to say where lmdb is missing, or its native part: that is a package of its own, one for each platform, which an
 * install without optional packages leaves out.
 */
import { CommandError, EXIT } from './failure.js';

export const MEND_STORE = 'npm install --include=optional installs it.';

/** As lmdb puts it while it is imported, or Node. */
export const isMissingStore = (error: unknown): boolean =>
  error instanceof Error && /^(No native build was found|Cannot find module 'lmdb')/.test(error.message);

/** For a tracker, which cannot do without. */
export const missingStore = (): CommandError =>
  new CommandError({
    code: 'configuration',
    exitCode: EXIT.configuration,
    message: 'lmdb or its native part, in which a tracker keeps song IDs, is not installed.',
    hint: MEND_STORE,
  });
