/**
 * Lets Node keep what it compiled for the next start, where it can (22.8 and later). Imported before anything else.
 *
 * Nothing depends on it: without a place to write, or with NODE_DISABLE_COMPILE_CACHE=1, Node goes on without.
 */
import module from 'node:module';

(module as { enableCompileCache?: () => unknown }).enableCompileCache?.();
