/**
 * One seed: forty peers of one swarm over bad links, with churn, liars, an idler, a leech and a forger; in the end
 * everybody has everything, bit by bit.
 *
 *     sources ─┬─ peers that come, crash, come back, leave ─▶ all complete ─▶ liars are banned by whomever they lied to
 *              └─ PEX tells the rest; nobody is told of who never was there
 *
 * What is wrong ends it with BrokenRule; the same seed fails again in the same way.
 */
import { MerkleIntegrity } from '../../../protocol/ppspp/integrity.js';
import type { Link } from '../../support/virtual-link.js';
import { Chance } from '../chance.js';
import { Timeline } from '../timeline.js';
import { DatagramNetwork } from './datagram-network.js';
import { SwarmContent, SwarmDisk } from './swarm-content.js';
import { at, forge, type Lie, SwarmProgram, startIdler, startLiar } from './swarm-programs.js';
import { ipOf, type Member, SwarmRules } from './swarm-rules.js';

const PEERS = 40;
/** Of these, those that mean no good. */
const MISFITS = 4;
const MAX_PEERS = 8;
const LIARS: ReadonlyMap<string, Lie> = new Map([
  ['10.0.2.1', 'chunks'],
  ['10.0.2.2', 'hashes'],
  ['10.0.2.3', 'all'],
]);
const IDLER = '10.0.2.4';
/** So long people come and go; then all who are left must come to have everything. */
const CHURN_MS = 12_000;
const PATIENCE_MS = 600_000;

export interface SwarmOutcome {
  readonly seed: number;
  readonly digest: string;
  readonly link: Link;
  readonly chunks: number;
  readonly datagrams: number;
  readonly happened: number;
  /** Virtual time. */
  readonly tookMs: number;
  /** How often those who were there to the end have caught a liar. */
  readonly caught: number;
  readonly crashes: number;
}

export interface SwarmSimulationOptions {
  /** All together. */
  readonly peers?: number;
  /** So long after the last who came or went all must have everything; virtual time. */
  readonly patienceMs?: number;
  /** Takes a line for everything that happens. */
  readonly tell?: ((line: string) => void) | undefined;
}

export class SwarmSimulation {
  readonly #seed: number;
  readonly #chance: Chance;
  readonly #timeline: Timeline;
  readonly #network: DatagramNetwork;
  readonly #link: Link;
  readonly #content: SwarmContent;
  readonly #isSizeKnown: boolean;
  readonly #members = new Map<string, Member>();
  readonly #rules: SwarmRules;
  readonly #peers: number;
  readonly #patienceMs: number;
  /** Machines that were ever there. */
  readonly #there = new Set<string>();
  readonly #sources: string[] = [];
  #crashes = 0;
  #broken: unknown;

  constructor(seed: number, { peers = PEERS, patienceMs = PATIENCE_MS, tell }: SwarmSimulationOptions = {}) {
    const chance = new Chance(seed);
    this.#seed = seed;
    this.#peers = peers;
    this.#patienceMs = patienceMs;
    this.#chance = chance;
    this.#timeline = new Timeline(tell);
    this.#link = {
      loss: chance.is(0.2) ? 0 : chance.unit() * 0.3,
      doubles: chance.unit() * 0.1,
      spoils: chance.is(0.5) ? 0 : chance.unit() * 0.003,
      cuts: chance.unit() * 0.003,
      delayMs: chance.int(2, 60),
      reorderMs: chance.int(0, 80),
    };
    this.#content = new SwarmContent(chance.fork(), chance.int(60, 120));
    this.#isSizeKnown = chance.is(0.5);
    this.#network = new DatagramNetwork(this.#timeline, chance.fork(), this.#link);
    const rules = new SwarmRules({
      content: this.#content,
      isSpoilt: this.#link.spoils !== 0,
      liars: [...LIARS.keys()],
      members: this.#members,
      isThere: address => this.#there.has(address),
    });
    this.#rules = rules;
    this.#network.onSent = (from, outgoing) => rules.sent(from, outgoing);
    this.#network.onArrival = (from, outgoing) => rules.arrives(from, outgoing);
  }

  async run(): Promise<SwarmOutcome> {
    const chance = this.#chance;
    for (let i = chance.int(1, 3); i > 0; i -= 1) this.#sources.push(`10.0.0.${i}`);
    for (const address of this.#sources) this.#enter(address, { isWhole: true, serves: true });
    const honest = this.#peers - MISFITS;
    for (let i = this.#sources.length; i < honest; i += 1) {
      const address = `10.0.1.${i}`;
      const serves = i < honest - 1;
      const enter = (): void => this.#enter(address, { isWhole: false, serves });
      if (chance.is(0.6)) enter();
      else this.#timeline.after(chance.int(0, CHURN_MS), enter);
    }
    await this.#misfits();
    this.#trouble();
    await this.#timeline.run(CHURN_MS, () => this.#observe());
    const endAt = this.#timeline.now() + this.#patienceMs;
    while (!this.#isOver && this.#timeline.now() < endAt)
      await this.#timeline.run(1_000, () => this.#observe());
    const caught = this.#rules.judge();
    return {
      seed: this.#seed,
      digest: this.#timeline.digest(),
      link: this.#link,
      chunks: this.#content.chunks,
      datagrams: this.#network.datagrams,
      happened: this.#timeline.happened,
      tookMs: this.#timeline.now(),
      caught,
      crashes: this.#crashes,
    };
  }

  get #isOver(): boolean {
    return [...this.#members.values()].every(
      ({ program }) => program === undefined || program.joined.isComplete,
    );
  }

  // Who takes part

  #enter(address: string, { isWhole, serves }: { isWhole: boolean; serves: boolean }): void {
    const disk = new SwarmDisk(this.#content, { isWhole, isSizeKnown: this.#isSizeKnown });
    const member: Member = {
      address,
      serves,
      disk,
      program: undefined,
      lies: new Map(),
      caught: new Set(),
    };
    this.#members.set(address, member);
    this.#start(member);
  }

  /** It knows one that stays, and another whoever that is. */
  #start(member: Member): void {
    const chance = this.#chance;
    const others = [...this.#members.keys()].filter(address => address !== member.address);
    const somebody = [this.#sources, others, [...LIARS.keys()]];
    const known = others.length === 0 ? [] : somebody.map(addresses => chance.pick(addresses));
    this.#note(`${member.address} starts, with ${member.disk.have.size} chunks, and knows ${known}`);
    let isComplete = false;
    member.lies.clear();
    member.caught.clear();
    member.program = new SwarmProgram(this.#lend(member.address), member.disk, {
      peers: [...new Set(known)].filter(address => address !== member.address).map(at),
      maxPeers: MAX_PEERS,
      serves: member.serves,
      onLiar: ({ host }) => {
        this.#note(`${member.address} has caught ${host}`);
        member.caught.add(ipOf(host));
      },
      onChange: () => {
        if (isComplete || member.program?.joined.isComplete !== true) return;
        isComplete = true;
        this.#note(`${member.address} is complete`);
        if (chance.is(0.2) && !this.#sources.includes(member.address))
          this.#timeline.after(chance.int(0, 5_000), () => this.#leave(member));
      },
    });
    this.#soon(member.program.start());
  }

  async #misfits(): Promise<void> {
    const content = this.#content;
    const everybody = Array.from({ length: this.#peers - MISFITS }, (_, i) => at(`10.0.1.${i}`));
    for (const [address, lie] of LIARS) await startLiar(this.#lend(address), lie, content, everybody);
    const integrity = new MerkleIntegrity(content.tree());
    await startIdler(this.#lend(IDLER), { metadata: content.metadata, tree: integrity }, everybody);
  }

  #lend(address: string) {
    // Whoever lies is quick about it.
    const kilobytes = LIARS.has(address) ? 1_000 : this.#chance.int(50, 300);
    this.#there.add(address);
    const wire = this.#network.wire(address, kilobytes * 1_000);
    return { network: this.#network, wire, chance: this.#chance.fork() };
  }

  // Trouble

  #trouble(): void {
    const chance = this.#chance;
    if (this.#timeline.now() > CHURN_MS) return;
    const member = chance.pick([...this.#members.values()]);
    if (!this.#sources.includes(member.address) && chance.is(0.4)) this.#crash(member);
    this.#rules.forged(forge(this.#network, this.#content, chance, at(member.address)));
    this.#timeline.after(chance.int(100, 2_000), () => this.#trouble());
  }

  /** And is back after a while, with what its disk has, or on a new one. */
  #crash(member: Member): void {
    const { program } = member;
    if (program === undefined) return;
    const chance = this.#chance;
    this.#crashes += 1;
    this.#note(`${member.address} crashes`);
    member.program = undefined;
    this.#soon(program.crash());
    if (chance.is(0.3))
      member.disk = new SwarmDisk(this.#content, { isWhole: false, isSizeKnown: this.#isSizeKnown });
    this.#timeline.after(chance.int(100, 20_000), () => this.#start(member));
  }

  #leave(member: Member): void {
    const { program } = member;
    if (program === undefined) return;
    this.#note(`${member.address} leaves`);
    member.program = undefined;
    this.#rules.checkContent(member);
    this.#soon(program.stop());
  }

  // Rules

  #observe(): void {
    const broken = this.#rules.broken ?? this.#broken;
    if (broken !== undefined) throw broken;
  }

  #soon(work: Promise<void>): void {
    work.catch(error => {
      this.#broken ??= error;
    });
  }

  #note(line: string): void {
    this.#timeline.note(line);
  }
}
