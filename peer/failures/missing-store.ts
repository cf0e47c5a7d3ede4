/**
 * What to say where lmdb's native part is missing: it is a package of its own, one for each platform, which an install
 * without optional packages leaves out.
 */
import { CommandError, EXIT } from './failure.js';

export const MEND_STORE = 'npm install --include=optional installs it.';

/** As lmdb puts it while it is imported. */
export const isMissingStore = (error: unknown): boolean =>
  error instanceof Error && error.message.startsWith('No native build was found');

/** For a tracker, which cannot do without. */
export const missingStore = (): CommandError =>
  new CommandError({
    code: 'configuration',
    exitCode: EXIT.configuration,
    message: 'The native part of lmdb, in which a tracker keeps song IDs, is not installed.',
    hint: MEND_STORE,
  });
