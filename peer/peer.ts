/**
 * A whole peer: library, song server, tracker link, fetcher and player, put together and started in an order in which
 * nothing waits for what is slow.
 *
 *     start ─▶ listens ─▶ prompt usable         stop ─▶ says goodbye ─▶ lets transfers end (≤ 10 s) ─▶ nothing left
 *                 ├─▶ tracker (this machine's, or one inside) ─▶ registers ─▶ list
 *                 ├─▶ library scan ─▶ songs offered as they are read
 *                 └─▶ audio process warmed up
 */
import { LocalProtocolError, TransportError } from '../protocol/errors.js';
import { formatHostPort, type ListeningAt } from '../protocol/tsp/addresses.js';
import { DEFAULT_PEER_PORT, DEFAULT_TRACKER_PORT } from '../protocol/tsp/constants.js';
import type { SongId } from '../protocol/tsp/messages.js';
import type { ContentHash, SongRow } from '../protocol/tsp/rows.js';
import type { PeerConfig } from './config.js';
import { failureOf } from './failures/failure.js';
import { OfferedSongs } from './hosting/offered-songs.js';
import type { SongServer } from './hosting/song-server.js';
import { Jukebox } from './jukebox.js';
import { Library } from './library/library.js';
import { type ScanProgress, sayListed } from './library/report.js';
import { openRoots } from './library/roots.js';
import { DiskCache } from './listening/disk-cache.js';
import { likelyHosts } from './listening/likely-hosts.js';
import type { Broadcasting } from './live/broadcasting.js';
import { milestone } from './milestone.js';
import { listen, makeLink, makeServer } from './network.js';
import { openAudio } from './playback/open-audio.js';
import type { PeerEvent, PeerStatus, PeerView, SongListView, TrackerView } from './prompt/peer-view.js';
import { SongFetching } from './song-fetching.js';
import { loadInstance } from './tracker-client/instance.js';
import type { LinkEvent } from './tracker-client/link-events.js';
import { LocalTracker } from './tracker-client/local-tracker.js';
import { AllOffers, type OfferSource } from './tracker-client/offers.js';
import type { TrackerLink } from './tracker-client/tracker-link.js';
import type { World } from './world.js';

/** Progress is drawn; nobody sees more than this. */
const SCAN_EVENT_MS = 200;
/** How long a script waits for its own songs to come back in the tracker's list, and a person for the list. */
const SETTLE_MS = 5_000;

export class Peer implements PeerView {
  /** The sound: `play`, `stop`, the queue. */
  readonly player: Jukebox;
  readonly #config: PeerConfig;
  readonly #world: World;
  readonly #listeners = new Set<(event: PeerEvent) => void>();
  readonly #library: Library;
  readonly #cache: DiskCache;
  readonly #offered: OfferedSongs;
  readonly #fetching: SongFetching;
  readonly #localTracker: LocalTracker | undefined;
  #broadcasting: Broadcasting | undefined;
  #server: SongServer | undefined;
  #link: TrackerLink | undefined;
  #address: ListeningAt | undefined;
  #starting: Promise<ListeningAt> | undefined;
  #stopping: Promise<void> | undefined;
  readonly #attempted = milestone();
  readonly #libraryListed = milestone();
  /** The first list, or the news that there is no tracker. */
  readonly #listKnown = milestone();
  #scan: ScanProgress | undefined;
  #scanToldAt = Number.NEGATIVE_INFINITY;
  #told: TrackerView | undefined;

  /** Throws ConfigError for an output or decoder that there is not. */
  constructor(config: PeerConfig, world: World) {
    const { clock, logger } = world;
    this.#config = config;
    this.#world = world;
    this.#library = new Library({
      roots: config.library,
      dataDir: config.dataDir,
      encode: config.encode,
      openDisk: world.openDisk,
      clock,
      logger: logger.child({ room: 'library' }),
    });
    const { catalogue } = this.#library;
    this.#cache = new DiskCache({
      folder: config.cacheDir,
      maxBytes: config.cacheBytes,
      logger: logger.child({ room: 'cache' }),
      onFull: why => this.#notice(`Songs are not kept on disk any more: ${why}.`),
    });
    this.#offered = new OfferedSongs(config.shareCache ? [catalogue, this.#cache] : [catalogue]);
    this.#fetching = new SongFetching(config, world, {
      cache: this.#cache,
      library: { get: hash => catalogue.get(hash), recheck: hash => this.#library.recheck(hash) },
    });
    this.player = new Jukebox(openAudio(config, world), world, {
      fetcher: this.#fetching.fetcher,
      hostsOf: row => this.#hostsOf(row),
      info: id => this.info(id),
    });
    this.player.onEvent(event => this.#emit(event));
    if (config.tracker === undefined) this.#localTracker = this.#trackerOfThisMachine();
  }

  /**
   * Resolves when the song server listens; the tracker, the library and the sound follow by themselves. Rejects with
   * ConfigError when a folder is none, with CommandError when the port can't be had, and once it was stopped.
   */
  async start(): Promise<ListeningAt> {
    if (this.#stopping !== undefined) throw new LocalProtocolError('a peer that was stopped does not start');
    this.#starting ??= this.#start();
    return await this.#starting;
  }

  /** Resolves when the first attempt to register has ended, well or not. */
  attempted(): Promise<void> {
    return this.#attempted.reached;
  }

  /** Resolves when the first scan is listed and its songs came back in the tracker's list, or won't within 5 s. */
  async settled(): Promise<void> {
    await Promise.all([this.#attempted.reached, this.#libraryListed.reached]);
    if (this.#isSettled()) return;
    await new Promise<void>(resolve => {
      const done = (): void => {
        cancel();
        stop?.();
        resolve();
      };
      const cancel = this.#world.clock.after(SETTLE_MS, done);
      const stop = this.#link?.onEvent(() => {
        if (this.#isSettled()) done();
      });
    });
  }

  /** Leaves the tracker, gives songs that are being sent 10 s, and resolves when nothing is left running. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  list(): SongListView {
    const { list } = this.#link ?? {};
    const stale = this.#link?.status().state === 'lost';
    return { songs: list?.songs ?? [], stale, awaited: list?.revision === undefined };
  }

  async listed(): Promise<void> {
    let cancel = (): void => {};
    const late = new Promise<void>(resolve => {
      cancel = this.#world.clock.after(SETTLE_MS, resolve);
    });
    await Promise.race([this.#listKnown.reached, late]);
    cancel();
  }

  find(words: string): Promise<readonly SongRow[]> {
    return this.#link?.find(words) ?? Promise.reject(new TransportError('there is no tracker yet'));
  }

  async info(id: SongId | 0): Promise<readonly SongRow[]> {
    try {
      return (await this.#link?.info(id)) ?? [];
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      return this.list().songs.filter(row => id === 0 || row.id === id);
    }
  }

  shown(songs: readonly SongRow[]): void {
    this.#fetching.fetcher.warm(likelyHosts(songs, row => this.#hostsOf(row)));
  }

  status(): PeerStatus {
    const { uploads, sentBytes } = this.#server?.status() ?? { uploads: 0, sentBytes: 0 };
    const { skipped, roots } = this.#library.report();
    return {
      tracker: this.#tracker(),
      ...(this.#address && { address: formatHostPort(this.#address.address, this.#address.port) }),
      hosting: {
        songs: this.#offered.size,
        listeners: uploads + (this.#broadcasting?.listeners ?? 0),
        sentBytes: sentBytes + (this.#fetching.swarms?.sentBytes ?? 0),
      },
      library: {
        ...(this.#scan && { scanning: { done: this.#scan.read, total: this.#scan.toRead } }),
        skipped: skipped.map(({ text, count }) => ({ reason: text, count })),
        unavailable: roots.filter(root => !root.available).map(root => root.path),
      },
    };
  }

  onEvent(listener: (event: PeerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #start(): Promise<ListeningAt> {
    const config = this.#config;
    const world = this.#world;
    // A folder that is none is told before anything is opened.
    await openRoots(config.library);
    const instance = await loadInstance(config.dataDir, world.randomBytes, world.logger);
    await this.#cache.start();
    await this.#openBroadcasting();
    const link = makeLink(config, world, {
      tracker: config.tracker ?? this.#localTracker!.address,
      hello: { instance },
      swarmPort: () => this.#fetching.swarms?.hostingPort,
      songs: this.#offers(),
    });
    link.onEvent(event => this.#linked(event));
    this.#link = link;
    const recheck = (hash: ContentHash): void => this.#library.recheck(hash);
    this.#server = makeServer(config, world, {
      link,
      songs: this.#offered,
      live: this.#broadcasting?.offers,
      recheck,
    });
    const at = await listen(this.#server, config);
    this.#address = at;
    const { swarms } = this.#fetching;
    // Opened before anybody can join one, and not waited for: it is the tracker that has to know where they are.
    const hosting = swarms?.host(this.#server, this.#offered, at);
    await this.#broadcasting?.start(link, { server: this.#server, swarms });
    if (config.port === undefined && at.port !== DEFAULT_PEER_PORT)
      this.#notice(`Port ${DEFAULT_PEER_PORT} is taken, so listeners are served on port ${at.port}.`);
    if (!config.headless) this.player.warmUp();
    void this.#readLibrary();
    void this.#register(link, at.port, hosting);
    return at;
  }

  /** Most peers are not on the air, and load nothing of it. */
  async #openBroadcasting(): Promise<void> {
    if (this.#config.live === undefined) return;
    const { Broadcasting } = await import('./live/broadcasting.js');
    this.#broadcasting = new Broadcasting(this.#config.live, this.#config, this.#world, {
      songs: this.#offered,
      fetcher: this.#fetching.fetcher,
      notice: (message, hint) => this.#notice(message, hint),
    });
    await this.#broadcasting.open();
  }

  async #stop(): Promise<void> {
    // What is half started can't be stopped.
    await this.#starting?.catch(() => {});
    await this.#broadcasting?.stop();
    await Promise.all([this.#link?.stop(), this.player.close()]);
    await this.#fetching.stop();
    await this.#server?.stop();
    await Promise.all([this.#library.stop(), this.#cache.stop()]);
    await this.#localTracker?.stop();
    for (const awaited of [this.#attempted, this.#libraryListed, this.#listKnown]) awaited.reach();
  }

  /** What the tracker is told of; undefined when this peer only listens. */
  #offers(): OfferSource | undefined {
    const { library, shareCache } = this.#config;
    const live = this.#broadcasting === undefined ? [] : [this.#broadcasting.offers];
    const sources = [...(library.length > 0 || shareCache ? [this.#offered] : []), ...live];
    return sources.length === 0 ? undefined : new AllOffers(sources);
  }

  #trackerOfThisMachine(): LocalTracker {
    const { clock, logger, randomUnit, openEmbeddedTracker } = this.#world;
    return new LocalTracker({
      port: DEFAULT_TRACKER_PORT,
      host: this.#config.host,
      open: openEmbeddedTracker,
      clock,
      logger: logger.child({ room: 'tracker' }),
      randomUnit,
      opened: ({ address, port }) =>
        this.#notice(
          `No tracker was on this machine; one runs inside this peer now, on ${formatHostPort(address, port)}.`,
        ),
      failed: error => {
        const { message, hint } = failureOf(error);
        this.#notice(`A tracker inside this peer could not be opened: ${message}`, hint);
      },
    });
  }

  async #register(link: TrackerLink, port: number, swarms: Promise<void> | undefined): Promise<void> {
    await this.#localTracker?.start();
    await swarms;
    if (this.#stopping === undefined) await link.start(port);
    this.#attempted.reach();
  }

  async #readLibrary(): Promise<void> {
    const stopProgress = this.#library.onProgress(progress => this.#scanned(progress));
    try {
      await this.#library.start();
    } catch (error) {
      this.#world.logger.error({ err: error }, 'the library could not be read');
      this.#notice(`The library could not be read: ${failureOf(error).message}`);
    }
    stopProgress();
    this.#scan = undefined;
    const { catalogue } = this.#library;
    // Without folders there is nothing to be told of; a list that is empty all the same is told.
    const tell = (): void => this.#emit({ kind: 'library', ...sayListed(this.#library.report()) });
    if (this.#config.library.length > 0) tell();
    catalogue.onChange(tell);
    this.#libraryListed.reach();
  }

  #scanned(progress: ScanProgress): void {
    const now = this.#world.clock.now();
    this.#scan = progress;
    if (progress.toRead === 0 || now - this.#scanToldAt < SCAN_EVENT_MS) return;
    this.#scanToldAt = now;
    this.#emit({ kind: 'scanning', done: progress.read, total: progress.toRead });
  }

  #linked(event: LinkEvent): void {
    switch (event.kind) {
      case 'registered':
        this.#localTracker?.linkIsUp();
        this.#tellTracker();
        break;
      case 'lost':
        this.#localTracker?.linkIsDown();
        this.#tellTracker();
        this.#listKnown.reach();
        break;
      case 'replaced':
        this.#notice(
          'Another peer registered as this one: from now on this one only listens.',
          "If one's data folder is a copy of the other's, start one of them again without its file instance.",
        );
        break;
      case 'list': {
        const { added, left, changed } = event.change;
        this.#listKnown.reach();
        if (added + left + changed > 0) this.#emit({ kind: 'list', added, left, changed });
        // The first list: a person at the prompt is about to choose from it.
        if (added > 0 && added === this.#link?.list.size && !this.#config.headless)
          this.shown(this.list().songs);
        break;
      }
      case 'song-ids':
        if (event.refused.length > 0)
          this.#notice(
            `The tracker does not list ${event.refused.length} of the songs here: ${event.refused[0]!.error}.`,
          );
        break;
      case 'unreachable':
        this.#world.logger.info({ why: event.why }, 'the tracker cannot reach this peer');
        break;
    }
  }

  /** Said when it is news: a tracker that proves an address again says the same again. */
  #tellTracker(): void {
    const tracker = this.#tracker();
    if (JSON.stringify(tracker) === JSON.stringify(this.#told)) return;
    this.#told = tracker;
    this.#emit({ kind: 'tracker', tracker });
  }

  #tracker(): TrackerView {
    const embedded = this.#localTracker?.isEmbedded ?? false;
    const { tracker } = this.#config;
    if (this.#link !== undefined) return { ...this.#link.status(), embedded };
    const { host, port } = tracker ?? this.#localTracker!.address;
    return {
      address: formatHostPort(host, port),
      state: 'connecting',
      embedded,
      listed: [],
      unreachable: false,
    };
  }

  /** Whether own songs are in the list, as far as they are going to be. */
  #isSettled(): boolean {
    const link = this.#link;
    if (link?.status().state !== 'registered') return true;
    if (link.owed || link.list.stale) return false;
    return [...this.#offered.songs()].every(({ hash }) => {
      const id = link.idOf(hash);
      return id === undefined || link.list.get(id) !== undefined;
    });
  }

  #hostsOf(row: SongRow): readonly string[] {
    return this.#link?.list.hostsOf(row) ?? [];
  }

  #notice = (message: string, hint?: string): void =>
    this.#emit({ kind: 'notice', message, ...(hint !== undefined && { hint }) });

  #emit(event: PeerEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}
