/**
 * One seed: a tracker, hosts and listeners live through a few bad minutes; then all is mended, and must come right.
 *
 *     chaos (faults, changes, plays) ─▶ healed ─▶ 400 s ─▶ every list is the truth, and every song plays for everybody
 *
 * What is wrong ends it with an error; the same seed fails again in the same way.
 */
import { Catalogue } from '../../peer/library/catalogue.js';
import type { TrackerLink } from '../../peer/tracker-client/tracker-link.js';
import type { Logger } from '../../protocol/ports.js';
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import type { ContentHash } from '../../protocol/tsp/rows.js';
import { Chance } from './chance.js';
import { Disk } from './crashing-registry.js';
import { BrokenRule, Invariants } from './invariants.js';
import {
  askAndTakeNothing,
  type HostDisk,
  type HostProgram,
  ListenerProgram,
  runHost,
  runTracker,
  SONG_PORT,
  type TrackerProgram,
} from './programs.js';
import { type DiskKind, diskOf, makeSong, offered, type Song } from './songs.js';
import { Timeline } from './timeline.js';
import { expectTruth, type Offers } from './truth.js';
import { type Machine, VirtualNetwork } from './virtual-network.js';

/** Longer than an unreachable host waits for its next proof (5 min), and some backing off. */
const MENDING_MS = 400_000;
/** Who is still away is away until his lease is over. */
const LEASE_MS = 60_000;
const LAST_PLAYS_MS = 180_000;
/** How often it is looked at who is listed: a host is gone after 45 s. */
const LOOK_AGAIN_MS = 100;
const TRACKER = '10.0.0.1';

export interface Outcome {
  readonly seed: number;
  readonly digest: string;
  readonly happened: number;
  readonly played: number;
}

interface Host {
  readonly machine: Machine;
  readonly disk: HostDisk;
  readonly kind: DiskKind;
  program: HostProgram | undefined;
}

interface Listener {
  readonly machine: Machine;
  program: ListenerProgram;
}

export class Simulation {
  readonly #seed: number;
  readonly #timeline: Timeline;
  readonly #chance: Chance;
  readonly #network: VirtualNetwork;
  readonly #invariants: Invariants;
  readonly #songs = new Map<ContentHash, Song>();
  readonly #disk = new Disk();
  readonly #hosts: Host[] = [];
  readonly #listeners: Listener[] = [];
  readonly #trackerMachine: Machine;
  #tracker: TrackerProgram | undefined;
  #watcher!: ListenerProgram;
  #broken: unknown;
  #played = 0;
  #isChaos = true;
  #lookAgainAt = 0;

  constructor(seed: number, tell?: (line: string) => void) {
    this.#seed = seed;
    this.#chance = new Chance(seed);
    this.#timeline = new Timeline(tell);
    this.#network = new VirtualNetwork(this.#timeline, this.#chance.fork());
    this.#invariants = new Invariants(this.#songs);
    this.#trackerMachine = this.#network.machine(TRACKER);
    const chance = this.#chance;
    for (let index = 0; index < chance.int(2, 6); index += 1) {
      const song = makeSong(chance, index);
      this.#songs.set(song.hash, song);
    }
    for (let index = 0; index < chance.int(2, 4); index += 1) this.#hosts.push(this.#makeHost(index));
  }

  /** Throws what was wrong: BrokenRule, or an error that nothing in the house may throw. */
  async run(): Promise<Outcome> {
    const chance = this.#chance;
    await this.#startTracker();
    this.#watcher = this.#startListener(this.#network.machine('10.0.9.9'), 'watcher');
    for (const host of this.#hosts) this.#soon(() => this.#startHost(host));
    for (let index = 0; index < chance.int(1, 3); index += 1) {
      const machine = this.#network.machine(`10.0.2.${index + 1}`);
      const listener: Listener = { machine, program: this.#startListener(machine, `listener ${index}`) };
      this.#listeners.push(listener);
      this.#listen(listener);
    }
    const chaosMs = chance.int(20_000, 100_000);
    this.#trouble(this.#timeline.now() + chaosMs);
    await this.#pass(chaosMs);
    await this.#mend();
    await this.#pass(MENDING_MS);
    expectTruth(this.#readers(), this.#offers());
    await this.#playAll();
    return {
      seed: this.#seed,
      digest: this.#timeline.digest(),
      happened: this.#timeline.happened,
      played: this.#played,
    };
  }

  async #pass(ms: number): Promise<void> {
    await this.#timeline.run(ms, () => this.#observe());
  }

  #observe(): void {
    if (this.#broken !== undefined) throw this.#broken;
    for (const machine of this.#network.machines.values())
      for (const socket of machine.sockets) this.#invariants.bounded(socket);
    const { list } = this.#watcher.link;
    const now = this.#timeline.now();
    // A tracker that is dead lists nothing; its readers cannot know that yet.
    if (this.#tracker === undefined || list.stale || now < this.#lookAgainAt) return;
    this.#lookAgainAt = now + LOOK_AGAIN_MS;
    this.#invariants.lists(list.songs, now, this.#trackerMachine);
  }

  // Programs

  #makeHost(index: number): Host {
    const chance = this.#chance;
    // The first is honest and comes to have everything, so that everything can be had in the end.
    const kinds = ['honest', 'honest', 'lie-in-bytes', 'lie-in-hashes', 'fail', 'short', 'slow'] as const;
    const kind = index === 0 ? 'honest' : chance.pick(kinds);
    const catalogue = new Catalogue();
    for (const song of this.#songs.values())
      if (chance.is(0.7)) catalogue.set(offered(song, song.title, kind));
    catalogue.publish();
    const instance = Buffer.from(chance.bytes(16)).toString('hex');
    const files = diskOf(this.#songs, kind, chance.fork(), this.#timeline);
    const machine = this.#network.machine(`10.0.1.${index + 1}`);
    return { machine, disk: { catalogue, files, instance }, kind, program: undefined };
  }

  async #startTracker(): Promise<void> {
    this.#note('tracker starts');
    this.#invariants.trackerStarted(this.#timeline.now());
    const lent = this.#lend(this.#trackerMachine, /registry cannot be written/);
    this.#tracker = await runTracker(lent, this.#disk);
  }

  async #startHost(host: Host): Promise<void> {
    const { machine, disk } = host;
    this.#note(`host ${machine.address} (${host.kind}) starts`);
    this.#invariants.hostStarted(formatHostPort(machine.address, SONG_PORT));
    const lent = this.#lend(machine, /could not be answered|an answer failed/);
    const program = await runHost(lent, TRACKER, disk, { isAmple: host === this.#hosts[0] });
    program.link.onEvent(event =>
      this.#guard(() => {
        if (event.kind === 'song-ids') this.#checkIds(host, program);
        if (event.kind === 'list') this.#invariants.holds(machine.address, program.link.list);
      }),
    );
    host.program = program;
  }

  #checkIds({ disk }: Host, { link }: HostProgram): void {
    for (const { hash } of disk.catalogue.songs()) {
      const id = link.idOf(hash);
      if (id !== undefined) this.#invariants.named(id, hash);
    }
  }

  #startListener(machine: Machine, name: string): ListenerProgram {
    this.#note(`${name} starts`);
    const program = new ListenerProgram(this.#lend(machine, /^$/), TRACKER, this.#invariants);
    program.link.onEvent(event => {
      if (event.kind === 'list') this.#guard(() => this.#invariants.holds(name, program.link.list));
    });
    program.start();
    return program;
  }

  #listen({ program, machine }: Listener): void {
    program
      .listenOn(
        () => this.#isChaos,
        how => {
          this.#played += 1;
          this.#note(`${machine.address} ${how}`);
        },
      )
      .catch(error => {
        this.#broken ??= error;
      });
  }

  #lend(machine: Machine, mayFail: RegExp): { machine: Machine; chance: Chance; logger: Logger } {
    const note = (fields: { readonly err?: unknown }, message: string): void => {
      if (mayFail.test(message)) return;
      const why = fields.err instanceof Error ? fields.err.stack : JSON.stringify(fields);
      this.#broken ??= new BrokenRule(`${machine.address} logs an error: ${message}: ${why}`);
    };
    const logger: Logger = { debug() {}, info() {}, warn() {}, error: note, child: () => logger };
    return { machine, chance: this.#chance.fork(), logger };
  }

  // Trouble

  #trouble(until: number): void {
    const chance = this.#chance;
    const next = (): void => {
      if (!this.#isChaos) return;
      this.#guard(() => this.#oneTrouble());
      if (this.#timeline.now() < until) this.#timeline.after(chance.int(50, 6_000), next);
    };
    this.#timeline.after(chance.int(500, 5_000), next);
  }

  #oneTrouble(): void {
    const chance = this.#chance;
    const host = chance.pick(this.#hosts);
    const listener = chance.pick(this.#listeners);
    const machine = chance.pick([this.#trackerMachine, ...this.#hosts.map(h => h.machine), listener.machine]);
    const troubles: readonly (() => void)[] = [
      () => this.#resetOne(machine),
      () => this.#resetOne(machine),
      () => this.#stall(chance.int(10, 5_000)),
      () => this.#stall(chance.is(0.5) ? chance.int(10, 5_000) : chance.int(5_000, 60_000)),
      () => this.#loseHost(host, chance.is(0.5)),
      () => this.#loseTracker(chance.is(0.5)),
      () => this.#pause(machine, chance.int(10, 8_000)),
      () => this.#fillDisk(chance.int(100, 10_000)),
      () => this.#changeSongs(host),
      () => this.#changeSongs(host),
      () => this.#addSong(host),
      () => {
        this.#addSong(host);
        this.#timeline.after(chance.int(20, 1_500), () => this.#loseTracker(chance.is(0.5)));
      },
      () => askAndTakeNothing(this.#network.machine(`10.0.3.${chance.int(1, 200)}`), host.machine),
    ];
    chance.pick(troubles)();
  }

  #resetOne(machine: Machine): void {
    const sockets = [...machine.sockets];
    if (sockets.length === 0) return;
    this.#note(`a connection of ${machine.address} is reset`);
    this.#network.reset(this.#chance.pick(sockets));
  }

  #stall(forMs: number): void {
    const all = [...this.#network.machines.keys()].filter(address => address !== '10.0.9.9');
    const [a, b] = [this.#chance.pick(all), this.#chance.pick(all)];
    this.#note(`nothing passes between ${a} and ${b} for ${forMs} ms`);
    this.#network.stall(a, b, forMs);
  }

  #loseHost(host: Host, withPower: boolean): void {
    const { machine } = host;
    if (host.program === undefined) return;
    this.#note(`${machine.address} ${withPower ? 'is killed' : 'loses power'}`);
    host.program = undefined;
    if (withPower) machine.kill();
    else machine.losePower();
    this.#invariants.hostEnded(formatHostPort(machine.address, SONG_PORT), this.#timeline.now());
    this.#timeline.after(this.#chance.is(0.7) ? this.#chance.int(50, 20_000) : 120_000, () => {
      machine.hasPower = true;
      if (host.program === undefined && this.#isChaos) this.#soon(() => this.#startHost(host));
    });
  }

  #loseTracker(withPower: boolean): void {
    if (this.#tracker === undefined || !this.#isChaos) return;
    this.#note(`the tracker ${withPower ? 'is killed' : 'loses power'}`);
    this.#tracker.registry.crash();
    this.#tracker = undefined;
    if (withPower) this.#trackerMachine.kill();
    else this.#trackerMachine.losePower();
    this.#timeline.after(this.#chance.int(50, 15_000), () => {
      this.#trackerMachine.hasPower = true;
      if (this.#tracker === undefined && this.#isChaos) this.#soon(() => this.#startTracker());
    });
  }

  #pause(machine: Machine, forMs: number): void {
    this.#note(`${machine.address} does nothing for ${forMs} ms`);
    machine.pausedUntil = this.#timeline.now() + forMs;
  }

  #fillDisk(forMs: number): void {
    this.#note(`the tracker's disk is full for ${forMs} ms`);
    this.#disk.isFull = true;
    this.#timeline.after(forMs, () => {
      this.#disk.isFull = false;
    });
  }

  #changeSongs({ disk, kind, machine }: Host): void {
    const chance = this.#chance;
    const song = chance.pick([...this.#songs.values()]);
    const { catalogue } = disk;
    if (catalogue.has(song.hash) && chance.is(0.4)) catalogue.delete(song.hash);
    else catalogue.set(offered(song, `${song.title}, take ${chance.int(1, 9)}`, kind));
    this.#note(`${machine.address} changes ${song.title}`);
    catalogue.publish();
  }

  /** One that nobody had before. */
  #addSong({ disk, kind, machine }: Host): void {
    const song = makeSong(this.#chance, this.#songs.size);
    this.#songs.set(song.hash, song);
    this.#note(`${machine.address} adds ${song.title}`);
    disk.catalogue.set(offered(song, song.title, kind));
    disk.catalogue.publish();
  }

  // The end

  async #mend(): Promise<void> {
    this.#note('all is mended');
    this.#isChaos = false;
    this.#disk.isFull = false;
    const machines = [...this.#network.machines.keys()];
    for (const a of machines) for (const b of machines) this.#network.stall(a, b, 0);
    for (const machine of this.#network.machines.values()) {
      machine.hasPower = true;
      machine.pausedUntil = 0;
    }
    const [first] = this.#hosts;
    for (const song of this.#songs.values()) first!.disk.catalogue.set(offered(song, song.title, 'honest'));
    first!.disk.catalogue.publish();
    if (this.#tracker === undefined) await this.#startTracker();
    await this.#pass(LEASE_MS);
    for (const host of this.#hosts) if (host.program === undefined) await this.#startHost(host);
  }

  #readers(): TrackerLink[] {
    return [this.#watcher, ...this.#listeners.map(({ program }) => program)].map(({ link }) => link);
  }

  /** What each host really has. */
  #offers(): Offers {
    return new Map(
      this.#hosts.map(({ machine, disk }) => [formatHostPort(machine.address, SONG_PORT), disk.catalogue]),
    );
  }

  async #playAll(): Promise<void> {
    let left = this.#listeners.length;
    for (const listener of this.#listeners)
      this.#soon(async () => {
        await this.#playTo(listener);
        left -= 1;
      });
    await this.#pass(LAST_PLAYS_MS);
    if (left > 0) throw new BrokenRule(`all is mended, and ${left} listeners never hear all songs`);
  }

  async #playTo({ program, machine }: Listener): Promise<void> {
    for (const row of program.link.list.songs)
      try {
        await program.play(row);
      } catch (error) {
        throw new BrokenRule(`all is mended, and ${machine.address} cannot play ${row.title}: ${error}`);
      }
  }

  #note(line: string): void {
    this.#timeline.note(line);
  }

  #soon(start: () => Promise<void>): void {
    start().catch(error => {
      this.#broken ??= error;
    });
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#broken ??= error;
    }
  }
}
