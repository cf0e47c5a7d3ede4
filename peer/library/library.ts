/**
 * The library: the songs in the operator's folders, as they are now.
 *
 *     roots ─▶ scanner ─▶ known files ─┬─ same, renamed ──────────▶ catalogue ─▶ hosting, tracker link
 *       ▲         ▲                    └─ new ─▶ hashing ─▶ store ──▶   ▲
 *       │         └─ quiet paths ◀─ watcher                             │
 *       └─ poll                            WAV, AIFF ─▶ encoded songs ──┘   (--encode)
 *
 * Looking is cheap and is done again whenever in doubt; reading is dear and is done once a content. A look at a path puts
 * right whatever was believed of it and of everything below it, so an event needs no interpretation: it only says where.
 */
import { realpath } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ConfigError } from '../../protocol/errors.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { makeFolder } from '../make-folder.js';
import { Catalogue } from './catalogue.js';
import { LameEncoder } from './encode.js';
import { EncodedSongs } from './encoded-songs.js';
import type { FileReading, Found } from './file-facts.js';
import { Hashing } from './hashing.js';
import { Holdings } from './holdings.js';
import { KnownFiles } from './known-files.js';
import type { LibraryOptions } from './library-options.js';
import { Notice } from './notice.js';
import { isInside, isInsideAny } from './paths.js';
import { Readings } from './readings.js';
import { type LibraryReport, type ScanProgress, sayRoots, saySkipped } from './report.js';
import { identityOf, isEmptyFolder, openRoots, type Root } from './roots.js';
import { Scanner } from './scanner.js';
import { SecondTries } from './second-tries.js';
import { type LibraryStore, MemoryLibraryStore, openLibraryStore } from './store.js';

const MAX_THREADS = 4;
const RESCAN_MS = 5 * 60_000;
/** A vanished folder is noticed, and noticed again, within this. */
const ROOT_POLL_MS = 1_000;
/** Changes are told in batches: a tracker broadcasts ten times a second at most. */
const PUBLISH_MS = 100;
/** Known files are loaded so many at a time, some 10 ms, so that a start does not stop a peer that is playing. */
const LOAD_SLICE = 1_000;

/** Files and folders of one root, to be looked at. */
interface Place {
  readonly root: Root;
  readonly starts: readonly string[];
}

export class Library {
  readonly catalogue = new Catalogue();
  readonly #options: LibraryOptions;
  readonly #known = new KnownFiles();
  readonly #scanner: Scanner;
  readonly #hashing: Hashing;
  readonly #readings: Readings;
  readonly #notice: Notice;
  readonly #secondTries: SecondTries;
  readonly #progressListeners = new Set<(progress: ScanProgress) => void>();
  /** Until `start` opens the real one, there is nothing in it. */
  #store: LibraryStore = new MemoryLibraryStore();
  #encoded: EncodedSongs | undefined;
  #holdings: Holdings;
  #roots: Root[] = [];
  /** Looks are made one after the other; this is the end of the line. */
  #looks: Promise<void> = Promise.resolve();
  #looking = 0;
  /** What cancels each. */
  readonly #timers = new Map<'publish' | 'poll' | 'rescan', () => void>();
  #stopped = false;

  constructor(options: LibraryOptions) {
    if (options.encode === true && options.dataDir === undefined) {
      throw new ConfigError('encode', true, 'possible without a data folder');
    }
    this.#options = options;
    const { clock, logger, workers = Math.min(availableParallelism(), MAX_THREADS) } = options;
    this.#scanner = new Scanner({ clock, logger });
    this.#hashing = new Hashing({ threads: workers, clock, logger });
    this.#readings = new Readings({
      hashing: this.#hashing,
      events: {
        settled: (path, reading) => this.#settle(path, reading),
        outdated: path => this.#notice.touch(path),
        progressed: () => this.#progress(),
      },
    });
    this.#notice = new Notice({
      clock,
      watch: options.watch,
      events: {
        due: paths => this.#lookAt(paths),
        failed: (folder, error) => this.#cannotWatch(folder, error),
      },
    });
    this.#secondTries = new SecondTries({ clock, due: paths => this.#lookAt(paths) });
    this.#holdings = this.#hold();
  }

  /**
   * Resolves when everything that is there is listed (but for what is still to be encoded), or after `stop`.
   * ConfigError, before anything is begun, when a root is no folder that can be read.
   */
  async start(): Promise<void> {
    this.#roots = await openRoots(this.#options.roots);
    // Somebody who only listens needs no store, and no timers.
    if (this.#roots.length === 0) return;
    await this.#openStore();
    this.#pollLater();
    this.#rescanLater();
    await this.#scanAll();
    const { songs, skipped } = this.report();
    const why = skipped.map(each => `${each.count} ${each.text}`);
    this.#options.logger.info({ songs, skipped: why }, 'library listed');
    this.#encoded?.start();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#notice.stop();
    this.#secondTries.stop();
    await Promise.all([this.#scanner.stop(), this.#hashing.stop(), this.#encoded?.stop()]);
    await this.#looks;
    await this.#readings.idle();
    this.#holdings.forgetMissed();
    await this.#store.close();
  }

  /** Hosting found that the file of this song is not as it was hashed. */
  recheck(hash: ContentHash): void {
    for (const path of this.catalogue.pathsOf(hash)) {
      // As if it had never been read, so that equal fingerprints do not save it.
      this.#known.forget(path);
      this.#notice.touch(path);
    }
  }

  /** Called often while a scan goes on: whoever draws it draws at a pace of its own. The returned function ends it. */
  onProgress(listener: (progress: ScanProgress) => void): () => void {
    this.#progressListeners.add(listener);
    return () => this.#progressListeners.delete(listener);
  }

  report(): LibraryReport {
    const skipped = this.#known.skipped();
    this.#encoded?.correct(skipped);
    return {
      songs: this.catalogue.size,
      phase: this.#phase(),
      skipped: saySkipped(skipped),
      roots: sayRoots(this.#roots),
      ...(this.#encoded && { encoding: this.#encoded.report() }),
    };
  }

  async #openStore(): Promise<void> {
    const { store, dataDir, openDisk, clock, logger, encode } = this.#options;
    if (store !== undefined) this.#store = store;
    else if (dataDir !== undefined)
      this.#store = await openLibraryStore({ folder: join(dataDir, 'library'), openDisk, clock, logger });
    if (encode === true && dataDir !== undefined)
      this.#encoded = await this.#openEncoded(join(dataDir, 'encoded'));
    this.#holdings = this.#hold();
    const ours = new Set(this.#roots.map(root => root.path));
    if (this.#encoded !== undefined) ours.add(this.#encoded.folder);
    let loaded = 0;
    for (const [path, file] of this.#store.entries()) {
      if (isInsideAny(ours, path)) this.#known.set(path, file);
      loaded += 1;
      if (loaded % LOAD_SLICE === 0) await nextTurn();
    }
  }

  async #openEncoded(folder: string): Promise<EncodedSongs> {
    await makeFolder(folder);
    return new EncodedSongs({
      folder: await realpath(folder),
      encoder: this.#options.encoder ?? new LameEncoder(),
      logger: this.#options.logger,
      hashing: this.#hashing,
      known: this.#known,
      store: this.#store,
      catalogue: this.catalogue,
      isBusy: () => this.#looking > 0 || this.#readings.size > 0,
      changed: () => this.#changed(),
    });
  }

  #hold(): Holdings {
    return new Holdings({
      known: this.#known,
      store: this.#store,
      catalogue: this.catalogue,
      encoded: this.#encoded,
      changed: () => this.#changed(),
    });
  }

  async #scanAll(): Promise<void> {
    await this.#look(
      this.#roots.map(root => ({ root, starts: [root.path] })),
      false,
    );
    await this.#readings.idle();
    this.#publish();
  }

  #lookAt(paths: readonly string[]): void {
    const places = this.#roots.map(root => ({
      root,
      starts: paths.filter(path => isInside(root.path, path)),
    }));
    void this.#look(places, true);
  }

  /** `urgent`: somebody changed these places just now and waits to see them listed. */
  #look(places: readonly Place[], urgent: boolean): Promise<void> {
    this.#looking += 1;
    this.#looks = this.#looks
      .then(() => this.#lookNow(places, urgent))
      .finally(() => {
        this.#looking -= 1;
        this.#progress();
        this.#encoded?.wake();
      });
    return this.#looks;
  }

  async #lookNow(places: readonly Place[], urgent: boolean): Promise<void> {
    this.#readings.reset();
    this.#progress();
    const missing: string[] = [];
    for (const place of places) {
      const isThere = !this.#stopped && place.root.identity !== undefined && place.starts.length > 0;
      if (isThere) missing.push(...(await this.#lookInto(place, urgent)));
    }
    // After everything was met: what seems to be missing may have moved, from one root to another too.
    this.#holdings.miss(missing, this.#options.clock.now());
  }

  /** Meets what is there. Returns what is known and is not there. */
  async #lookInto({ root, starts }: Place, urgent: boolean): Promise<readonly string[]> {
    const seen = new Set<string>();
    const gone: string[] = [];
    const unseen = new Set<string>();
    const job = { roots: this.#roots.map(each => each.path), root: root.path, starts };
    const outcome = await this.#scanner.scan(job, batch => {
      for (const found of batch) {
        if (found.kind === 'gone') gone.push(found.path);
        else if (found.kind === 'unseen') unseen.add(found.path);
        else seen.add(found.path);
        this.#meet(found, urgent);
      }
      this.#progress();
    });
    if (outcome === 'cancelled') return [];
    if (outcome !== 'complete') {
      this.#options.logger.warn({ folder: root.path }, `a scan gave up: its thread was ${outcome}`);
      for (const start of starts) this.#secondTries.add(start);
      return [];
    }
    // What is not there may only be out of reach.
    if ((await this.#identify(root)) !== 'same') return [];
    for (const path of unseen) this.#cannotLook(path);
    const isMissed = (path: string) => !seen.has(path) && !isInsideAny(unseen, path);
    const looked = new Set(starts);
    this.#readings.missed(path => isMissed(path) && isInsideAny(looked, path));
    for (const path of gone) this.#notice.unwatch(path);
    const missing = [...this.#known.below(starts), ...gone].filter(isMissed);
    if (missing.length === 0 || !(await isEmptyFolder(root.path))) return missing;
    // Nothing in a root that had songs is more likely a disk that is not mounted than a tidy person.
    const isSong = (path: string) => this.#known.get(path)?.content.kind === 'song';
    for (const path of missing.filter(isSong)) this.#holdings.withdraw(path);
    return missing.filter(path => !isSong(path));
  }

  #cannotLook(path: string): void {
    this.#options.logger.warn({ path }, 'this cannot be looked into now: it is tried again');
    this.#secondTries.add(path);
  }

  #meet(found: Found, urgent: boolean): void {
    if (found.kind === 'folder') {
      // It may have taken the place of a song.
      this.#holdings.forget(found.path);
      this.#notice.watch(found.path, found.identity);
    } else if (found.kind === 'skipped') this.#holdings.skip(found.path, found.reason);
    else if (found.kind === 'file') {
      const { path, fingerprint } = found;
      if (this.#readings.saw(path, fingerprint)) return;
      if (this.#holdings.meet(path, fingerprint) === 'unknown')
        this.#readings.begin(path, fingerprint, urgent);
    }
  }

  #settle(path: string, reading: FileReading): void {
    if (this.#stopped) return;
    if (reading.kind === 'changing') this.#notice.touch(path);
    else if (reading.kind === 'gone') this.#holdings.forget(path);
    else if (reading.kind === 'refused') {
      this.#holdings.skip(path, reading.reason);
      if (reading.passing) this.#secondTries.add(path);
    } else this.#holdings.settle(path, reading, reading.nodes);
    this.#encoded?.wake();
  }

  #cannotWatch(folder: string, error: NodeJS.ErrnoException): void {
    const root = this.#roots.find(({ path }) => isInside(path, folder));
    if (root === undefined || root.unwatched !== undefined) return;
    root.unwatched =
      error.code === 'ENOSPC' ? 'the limit fs.inotify.max_user_watches is reached' : error.message;
    this.#options.logger.warn(
      { folder, why: root.unwatched },
      'changes are noticed only by the periodic scan',
    );
  }

  #rescanLater(): void {
    this.#after('rescan', this.#options.rescanMs ?? RESCAN_MS, async () => {
      await this.#scanAll();
      this.#rescanLater();
    });
  }

  #pollLater(): void {
    this.#after('poll', ROOT_POLL_MS, async () => {
      for (const root of this.#roots) await this.#identify(root);
      this.#pollLater();
    });
  }

  /** Whether the root is what it was; if not, its songs go, or come back. */
  async #identify(root: Root): Promise<'same' | 'other'> {
    const identity = await identityOf(root.path);
    const before = root.identity;
    if (this.#stopped || identity === before) return 'same';
    const { logger } = this.#options;
    root.identity = identity;
    if (identity === undefined) {
      logger.warn({ folder: root.path }, 'folder is unavailable: its songs are withdrawn until it is back');
      this.#notice.unwatch(root.path);
      for (const path of this.#known.below([root.path])) this.#holdings.withdraw(path);
    } else {
      if (before === undefined) logger.info({ folder: root.path }, 'folder is back');
      void this.#look([{ root, starts: [root.path] }], true);
    }
    return 'other';
  }

  #changed(): void {
    if (this.#timers.has('publish') || !this.catalogue.isDirty) return;
    this.#after('publish', PUBLISH_MS, () => this.#publish());
  }

  #publish(): void {
    this.catalogue.publish();
    this.#progress();
  }

  #after(timer: 'publish' | 'poll' | 'rescan', delayMs: number, action: () => void): void {
    if (this.#stopped) return;
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#timers.delete(timer);
      action();
    });
    this.#timers.set(timer, cancel);
  }

  #phase(): ScanProgress['phase'] {
    if (this.#looking > 0) return 'scanning';
    if (this.#readings.size > 0) return 'reading';
    return this.#encoded?.isEncoding === true ? 'encoding' : 'idle';
  }

  #progress(): void {
    if (this.#progressListeners.size === 0) return;
    const { counts } = this.#readings;
    const progress = { phase: this.#phase(), ...counts };
    for (const listener of this.#progressListeners) listener(progress);
  }
}
