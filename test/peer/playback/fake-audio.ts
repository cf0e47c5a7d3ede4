/**
 * An audio process that is none: records what it is told, and says what the test lets it say.
 */
import type {
  AudioEvent,
  AudioProcess,
  SongBegin,
  VolumeSetting,
} from '../../../peer/playback/audio-messages.js';

export interface FakeSong {
  readonly number: number;
  readonly begin: SongBegin;
  readonly bytes: Uint8Array[];
  ended: boolean;
}

export class FakeAudio implements AudioProcess {
  readonly songs: FakeSong[] = [];
  readonly told: string[] = [];
  /** As if its window were full: data waits until `drain`. */
  full = false;
  #listeners = new Set<(event: AudioEvent) => void>();
  #alive = new Set<number>();
  #waiting: { readonly song: number; readonly resolve: (goOn: boolean) => void }[] = [];

  begin(begin: SongBegin): number {
    const number = this.songs.length + 1;
    this.songs.push({ number, begin, bytes: [], ended: false });
    this.#alive.add(number);
    this.told.push(`begin ${number}`);
    return number;
  }

  async data(song: number, bytes: Uint8Array): Promise<boolean> {
    if (!this.#alive.has(song)) return false;
    this.songs[song - 1]!.bytes.push(bytes);
    if (!this.full) return true;
    return new Promise(resolve => this.#waiting.push({ song, resolve }));
  }

  end(song: number): void {
    this.songs[song - 1]!.ended = true;
    this.told.push(`end ${song}`);
  }

  flush(song: number): void {
    this.told.push(`flush ${song}`);
    for (const each of [...this.#alive]) if (each <= song) this.#alive.delete(each);
    this.drain();
  }

  pause(): void {
    this.told.push('pause');
  }

  resume(): void {
    this.told.push('resume');
  }

  volume({ percent, muted }: VolumeSetting): void {
    this.told.push(`volume ${percent}${muted ? ' muted' : ''}`);
  }

  waitingBytes(song: number): number {
    return this.songs[song - 1]!.bytes.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  onEvent(listener: (event: AudioEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  say(event: AudioEvent): void {
    if (event.is === 'ended') this.#alive.delete(event.song);
    if (event.is === 'restarted' || event.is === 'silent') this.#alive.clear();
    for (const listener of [...this.#listeners]) listener(event);
    this.drain();
  }

  started(song: number, agoMs = 0): void {
    this.say({ is: 'started', song, agoMs });
  }

  position(song: number, seconds: number, stutters = 0, starving = false): void {
    this.say({ is: 'position', song, seconds, stutters, starving });
  }

  ended(song: number, failure?: string): void {
    this.say({ is: 'ended', song, stutters: 0, ...(failure !== undefined && { failure }) });
  }

  /** Room again, for songs that are still wanted. */
  drain(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { song, resolve } of waiting) resolve(this.#alive.has(song));
  }
}
