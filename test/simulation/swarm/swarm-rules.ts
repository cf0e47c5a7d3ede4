/**
 * What must hold in a simulated swarm whatever the network and some of its peers do, seen from outside: on the wire, on the
 * disks, and in what each says in the end.
 *
 *     sent    by who is honest: true chunks, nothing that it has not got, nothing to a liar once caught, no more than came
 *     judge   everybody has everything; each liar is known to whom it lied; nobody else is taken for one
 */
import { type AddressScope, addressScope } from '../../../protocol/ip.js';
import { decodeDatagram } from '../../../protocol/ppspp/codec.js';
import type { Outgoing } from '../../../protocol/ppspp/endpoint.js';
import type { PeerAddress } from '../../../protocol/ppspp/gate.js';
import { wireFormatOf } from '../../../protocol/ppspp/handshake.js';
import type { Message, WireFormat } from '../../../protocol/ppspp/messages.js';
import { BrokenRule } from '../invariants.js';
import type { SwarmContent, SwarmDisk } from './swarm-content.js';
import type { SwarmProgram } from './swarm-programs.js';

/** False chunks that somebody lacked: three strikes and it is out, and what was on its way still comes. */
const LIES_TO_BE_CAUGHT = 12;

/** Where no peer is, whoever says so. */
const NOWHERE: readonly AddressScope[] = ['loopback', 'link-local', 'multicast', 'unspecified'];

/** An honest machine, with the program that runs on it now. */
export interface Member {
  readonly address: string;
  readonly serves: boolean;
  disk: SwarmDisk;
  program: SwarmProgram | undefined;
  /** False chunks that it was told since it runs, by who told them. */
  readonly lies: Map<string, number>;
  /** Whom it has caught since. */
  readonly caught: Set<string>;
}

export class SwarmRules {
  readonly #content: SwarmContent;
  readonly #format: WireFormat;
  /** Bits flip on the way, so that somebody honest may be taken for a liar. */
  readonly #isSpoilt: boolean;
  readonly #liars: readonly string[];
  readonly #members: ReadonlyMap<string, Member>;
  /** Machines that were ever there. */
  readonly #isThere: (address: string) => boolean;
  /** Bytes that came in somebody's name, and that went there. */
  readonly #forged = new Map<string, { came: number; went: number }>();
  #broken: BrokenRule | undefined;

  constructor(options: {
    readonly content: SwarmContent;
    readonly isSpoilt: boolean;
    readonly liars: readonly string[];
    readonly members: ReadonlyMap<string, Member>;
    isThere(address: string): boolean;
  }) {
    this.#content = options.content;
    this.#format = wireFormatOf(options.content.metadata, ['rfc7574']);
    this.#isSpoilt = options.isSpoilt;
    this.#liars = options.liars;
    this.#members = options.members;
    this.#isThere = options.isThere;
  }

  /** The first that was broken. */
  get broken(): BrokenRule | undefined {
    return this.#broken;
  }

  /** A datagram is to come from somebody who never sent it. */
  forged({ address }: PeerAddress): void {
    if (!this.#forged.has(address)) this.#forged.set(address, { came: 0, went: 0 });
  }

  sent({ address }: PeerAddress, { to, datagram }: Outgoing): void {
    const member = this.#members.get(address);
    if (member === undefined) return;
    const { messages } = decodeDatagram(datagram, this.#format);
    if (NOWHERE.includes(addressScope(to.address)) || to.port === 0)
      this.#fail(`${address} sends to ${to.address}, which somebody made it believe in`);
    if (member.caught.has(to.address)) this.#fail(`${address} still talks to ${to.address}, which it caught`);
    for (const message of messages) this.#said(member, to, message);
    const forged = this.#forged.get(to.address);
    if (forged === undefined) return;
    forged.went += datagram.length;
    if (forged.went > forged.came)
      this.#fail(`${to.address} never asked and is sent ${forged.went} bytes for ${forged.came}`);
  }

  arrives({ address }: PeerAddress, { to, datagram }: Outgoing): void {
    const forged = this.#forged.get(address);
    if (forged !== undefined) forged.came += datagram.length;
    const member = this.#members.get(to.address);
    // Before it has any chunk it cannot tell what is true, and asks on.
    if (!this.#liars.includes(address) || member === undefined || member.disk.have.isEmpty) return;
    for (const message of decodeDatagram(datagram, this.#format).messages)
      if (message.type === 'DATA' && !member.disk.have.has(message.chunk) && !this.#isTrue(message))
        member.lies.set(address, (member.lies.get(address) ?? 0) + 1);
  }

  /** How many had caught it. Throws BrokenRule. */
  judge(): number {
    let caught = 0;
    for (const member of this.#members.values()) {
      if (member.program === undefined) continue;
      this.#judgeMember(member, member.program);
      caught += member.caught.size;
    }
    return caught;
  }

  /** Throws BrokenRule. */
  checkContent({ address, disk }: Member): void {
    if (Buffer.compare(disk.bytes, this.#content.bytes) !== 0)
      throw new BrokenRule(`${address} is complete and has something else`);
  }

  #judgeMember(member: Member, { joined }: SwarmProgram): void {
    const { address, lies, caught } = member;
    if (!joined.isComplete)
      throw new BrokenRule(
        `${address} has ${member.disk.have.size} of ${this.#content.chunks} chunks, from ${joined.peers} peers`,
      );
    this.checkContent(member);
    for (const [liar, count] of lies)
      if (count >= LIES_TO_BE_CAUGHT && !caught.has(liar))
        throw new BrokenRule(`${address} was told ${count} lies by ${liar}, and has not noticed`);
    for (const host of caught)
      if (this.#members.has(host) && !this.#isSpoilt)
        throw new BrokenRule(`${address} takes ${host} for a liar`);
    for (const { host } of joined.failed)
      if (this.#forged.has(ipOf(host)))
        throw new BrokenRule(`${address} dialled ${host}, which never was there`);
  }

  #said({ address, serves, disk }: Member, to: PeerAddress, message: Message): void {
    if (message.type === 'DATA') {
      if (!this.#isTrue(message)) this.#fail(`${address} passes on a false chunk ${message.chunk}`);
      if (!serves) this.#fail(`${address} gives nothing, and gave chunk ${message.chunk}`);
    }
    if (message.type === 'HAVE' && !disk.holds(message.range))
      this.#fail(`${address} says it has ${message.range.start}-${message.range.end}, and has not`);
    if (!this.#isThere(to.address) && message.type !== 'HANDSHAKE' && !this.#forged.has(to.address))
      this.#fail(`${address} says ${message.type} to ${to.address}, where nobody is`);
  }

  #isTrue({ chunk, bytes }: Extract<Message, { type: 'DATA' }>): boolean {
    return Buffer.compare(bytes, this.#content.chunk(chunk)) === 0;
  }

  #fail(why: string): void {
    this.#broken ??= new BrokenRule(why);
  }
}

export const ipOf = (host: string): string => host.split(':')[0]!;
