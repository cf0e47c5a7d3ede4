/**
 * One seed: forty peers of one swarm over bad links, with churn, a liar, an idler, a leech and a forger; in the end
 * everybody has everything, bit by bit.
 *
 *     sources ─┬─ peers that come, crash, come back, leave ─▶ all complete ─▶ the liar is banned by whoever it lied to
 *              └─ PEX tells the rest; nobody is told of who never was there
 *
 * What is wrong ends it with BrokenRule; the same seed fails again in the same way.
 */

import { decodeDatagram } from '../../../protocol/ppspp/codec.js';
import type { Outgoing } from '../../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../../protocol/ppspp/gate.js';
import { wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import { MerkleIntegrity } from '../../../protocol/ppspp/integrity.js';
import type { WireFormat } from '../../../protocol/ppspp/messages.js';
import type { Link } from '../../support/virtual-link.js';
import { Chance } from '../chance.js';
import { BrokenRule } from '../invariants.js';
import { Timeline } from '../timeline.js';
import { DatagramNetwork } from './datagram-network.js';
import { SwarmContent, SwarmDisk } from './swarm-content.js';
import { at, forge, SwarmProgram, startIdler, startLiar } from './swarm-programs.js';

const PEERS = 40;
const MAX_PEERS = 8;
const LIAR = '10.0.2.1';
const IDLER = '10.0.2.2';
/** So long people come and go; then all who are left must come to have everything. */
const CHURN_MS = 12_000;
const PATIENCE_MS = 600_000;
/** Chunks of a liar that somebody lacked: three strikes and it is out, and what was on its way still comes. */
const LIES_TO_BE_CAUGHT = 12;

export interface SwarmOutcome {
  readonly seed: number;
  readonly digest: string;
  readonly link: Link;
  readonly chunks: number;
  readonly datagrams: number;
  readonly happened: number;
  /** Virtual time. */
  readonly tookMs: number;
  /** How many were there to the end and caught the liar. */
  readonly caught: number;
  readonly crashes: number;
}

interface Member {
  readonly address: string;
  readonly serves: boolean;
  disk: SwarmDisk;
  program: SwarmProgram | undefined;
  lies: number;
}

export class SwarmSimulation {
  readonly #seed: number;
  readonly #chance: Chance;
  readonly #timeline: Timeline;
  readonly #network: DatagramNetwork;
  readonly #link: Link;
  readonly #content: SwarmContent;
  readonly #format: WireFormat;
  readonly #isSizeKnown: boolean;
  readonly #members = new Map<string, Member>();
  readonly #sources: string[] = [];
  /** Bytes that came in somebody's name, and that went there. */
  readonly #forged = new Map<string, { came: number; went: number }>();
  #crashes = 0;
  #caught = 0;
  #broken: unknown;

  constructor(seed: number, tell?: (line: string) => void) {
    const chance = new Chance(seed);
    this.#seed = seed;
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
    this.#format = wireFormatOf(this.#content.metadata, ['rfc7574']);
    this.#isSizeKnown = chance.is(0.5);
    this.#network = new DatagramNetwork(this.#timeline, chance.fork(), this.#link);
    this.#network.onSent = (from, outgoing) => this.#sent(from, outgoing);
    this.#network.onArrival = (from, outgoing) => this.#arrives(from, outgoing);
  }

  async run(): Promise<SwarmOutcome> {
    const chance = this.#chance;
    for (let i = chance.int(1, 3); i > 0; i -= 1) this.#sources.push(`10.0.0.${i}`);
    for (const address of this.#sources) this.#enter(address, { isWhole: true, serves: true });
    for (let i = this.#sources.length; i < PEERS - 2; i += 1) {
      const address = `10.0.1.${i}`;
      const serves = i < PEERS - 3;
      const enter = (): void => this.#enter(address, { isWhole: false, serves });
      if (chance.is(0.6)) enter();
      else this.#timeline.after(chance.int(0, CHURN_MS), enter);
    }
    await this.#misfits();
    this.#trouble();
    await this.#timeline.run(CHURN_MS, () => this.#observe());
    const endAt = this.#timeline.now() + PATIENCE_MS;
    while (!this.#isOver && this.#timeline.now() < endAt)
      await this.#timeline.run(1_000, () => this.#observe());
    this.#judge();
    return {
      seed: this.#seed,
      digest: this.#timeline.digest(),
      link: this.#link,
      chunks: this.#content.chunks,
      datagrams: this.#network.datagrams,
      happened: this.#timeline.happened,
      tookMs: this.#timeline.now(),
      caught: this.#caught,
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
    const member: Member = { address, serves, disk, program: undefined, lies: 0 };
    this.#members.set(address, member);
    this.#start(member);
  }

  /** It knows one that stays, and another whoever that is. */
  #start(member: Member): void {
    const chance = this.#chance;
    const others = [...this.#members.keys()].filter(address => address !== member.address);
    const known = others.length === 0 ? [] : [chance.pick(this.#sources), chance.pick(others), LIAR];
    this.#note(`${member.address} starts, with ${member.disk.have.size} chunks, and knows ${known}`);
    let isComplete = false;
    member.lies = 0;
    member.program = new SwarmProgram(this.#lend(member.address), member.disk, {
      peers: [...new Set(known)].filter(address => address !== member.address).map(at),
      maxPeers: MAX_PEERS,
      serves: member.serves,
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
    const everybody = Array.from({ length: PEERS - 2 }, (_, i) => at(`10.0.1.${i}`));
    const whole = new SwarmDisk(content, { isWhole: true, isSizeKnown: true });
    await startLiar(this.#lend(LIAR), content, whole, everybody);
    const integrity = new MerkleIntegrity(content.tree());
    await startIdler(this.#lend(IDLER), { metadata: content.metadata, tree: integrity }, everybody);
  }

  #lend(address: string) {
    // Whoever lies is quick about it.
    const kilobytes = address === LIAR ? 1_000 : this.#chance.int(50, 300);
    const wire = this.#network.wire(address, kilobytes * 1_000);
    return { network: this.#network, wire, chance: this.#chance.fork() };
  }

  // Trouble

  #trouble(): void {
    const chance = this.#chance;
    if (this.#timeline.now() > CHURN_MS) return;
    const member = chance.pick([...this.#members.values()]);
    if (!this.#sources.includes(member.address) && chance.is(0.4)) this.#crash(member);
    const { address } = forge(this.#network, this.#content, chance, at(member.address));
    if (!this.#forged.has(address)) this.#forged.set(address, { came: 0, went: 0 });
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
    this.#checkContent(member);
    this.#soon(program.stop());
  }

  // Rules

  /** Whoever is honest passes on only what is true, and sends nobody more than came in his name. */
  #sent({ address }: PeerAddress, { to, datagram }: Outgoing): void {
    if (!this.#members.has(address)) return;
    for (const message of decodeDatagram(datagram, this.#format).messages)
      if (message.type === 'DATA' && Buffer.compare(message.bytes, this.#content.chunk(message.chunk)) !== 0)
        this.#fail(`${address} passes on a false chunk ${message.chunk}`);
    const forged = this.#forged.get(to.address);
    if (forged === undefined) return;
    forged.went += datagram.length;
    if (forged.went > forged.came)
      this.#fail(`${to.address} never asked and is sent ${forged.went} bytes for ${forged.came}`);
  }

  #arrives({ address }: PeerAddress, { to, datagram }: Outgoing): void {
    const forged = this.#forged.get(address);
    if (forged !== undefined) forged.came += datagram.length;
    const member = this.#members.get(to.address);
    if (address !== LIAR || member === undefined) return;
    for (const message of decodeDatagram(datagram, this.#format).messages)
      if (message.type === 'DATA' && !member.disk.have.has(message.chunk)) member.lies += 1;
  }

  #observe(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }

  #judge(): void {
    for (const member of this.#members.values()) {
      const { address, program, lies } = member;
      if (program === undefined) continue;
      const { joined } = program;
      if (!joined.isComplete)
        throw new BrokenRule(
          `${address} has ${member.disk.have.size} of ${this.#content.chunks} chunks, from ${joined.peers} peers`,
        );
      this.#checkContent(member);
      const isCaught = joined.failed.some(({ host, lied }) => lied === true && ipOf(host) === LIAR);
      if (isCaught) this.#caught += 1;
      else if (lies >= LIES_TO_BE_CAUGHT)
        throw new BrokenRule(`${address} was told ${lies} lies, and has not noticed`);
      for (const { host, lied } of joined.failed) {
        const ip = ipOf(host);
        if (lied && this.#members.has(ip) && this.#link.spoils === 0)
          throw new BrokenRule(`${address} takes ${host} for a liar`);
        if (this.#forged.has(ip)) throw new BrokenRule(`${address} dialled ${host}, which never was there`);
      }
      if (joined.sources.some(({ host, bytes }) => ipOf(host) === LIAR && bytes > 0))
        throw new BrokenRule(`${address} has chunks from the liar`);
    }
  }

  #checkContent({ address, disk }: Member): void {
    if (Buffer.compare(disk.bytes, this.#content.bytes) !== 0)
      throw new BrokenRule(`${address} is complete and has something else`);
  }

  #fail(why: string): void {
    this.#broken ??= new BrokenRule(why);
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

const ipOf = (host: string): string => host.split(':')[0]!;
