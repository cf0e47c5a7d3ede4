/** Where source clients of Icecast (butt, ices, liquidsoap, ffmpeg) publish, and players of Internet radio listen. */
import { type DoorOptions, DoorServer } from './door-server.js';
import { IcecastConnection, type IcecastWorld } from './icecast-connection.js';
import type { LiveDoor } from './live-door.js';
import { SharedRuns } from './live-runs.js';

export class IcecastServer implements LiveDoor {
  readonly #door: DoorServer<IcecastConnection>;

  constructor(options: DoorOptions & Omit<IcecastWorld, 'runs'>) {
    const runs = new SharedRuns<undefined>(run => Buffer.concat(run.map(({ bytes }) => bytes)));
    const world: IcecastWorld = { ...options, runs };
    this.#door = new DoorServer(options, {
      name: 'Icecast server',
      option: '--icecast',
      // A player that half-closes behind its request wants to hear the answer.
      allowHalfOpen: true,
      connect: (socket, greeted) => new IcecastConnection(socket, world, greeted),
    });
  }

  start(): Promise<void> {
    return this.#door.start();
  }

  stop(): Promise<void> {
    return this.#door.stop();
  }

  get port(): number {
    return this.#door.port;
  }

  publishUrl(name: string, key: string): string {
    return `icecast://source:${key}@${this.#door.address}/${name}`;
  }

  listenUrl(name: string): string {
    return `http://${this.#door.address}/${name}`;
  }
}
