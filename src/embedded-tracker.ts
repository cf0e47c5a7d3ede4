/**
 * The tracker that a peer runs inside itself when this machine has none: the newcomer's whole network in one process.
 *
 *     peer A ──opens──▶ 127.0.0.1:7460, data D         peer B ──finds A's
 *     A goes ──▶ B is refused ──▶ B opens 127.0.0.1:7460 on D: the same song IDs
 *
 * Several may try at once. The lock of D decides, then the port; whoever loses uses the winner's.
 */
import type { EmbeddedTracker, OpenEmbeddedTracker } from '../peer/world.js';
import { DEFAULT_TRACKER_CONFIG, type TrackerWorld } from '../tracker/config.js';
import { loadTracker, lockTrackerFolder } from './tracker-folder.js';

export interface EmbeddedTrackerOptions {
  readonly folder: string;
  readonly maxConnections: number;
  readonly world: TrackerWorld;
}

export const embeddedTrackerOpener =
  ({ folder, maxConnections, world }: EmbeddedTrackerOptions): OpenEmbeddedTracker =>
  async ({ host, port, logger }): Promise<EmbeddedTracker | undefined> => {
    const { Tracker } = await loadTracker();
    const lock = await lockTrackerFolder(folder);
    if ('heldBy' in lock) return undefined;
    const tracker = new Tracker({
      ...DEFAULT_TRACKER_CONFIG,
      host,
      port,
      dataDir: folder,
      maxConnections,
      ...world,
      logger,
    });
    try {
      const at = await tracker.start();
      return {
        ...at,
        stop: () => tracker.stop().finally(() => lock.release()),
      };
    } catch (error) {
      await lock.release();
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
      throw error;
    }
  };
