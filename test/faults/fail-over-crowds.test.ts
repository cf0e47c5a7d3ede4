/**
 * Real hosts that are killed and stopped while several listeners have a song from them, at 10, 50 and 99.9 % of it and after
 * its last byte: every listener's song is whole, from the hosts that are left.
 *
 *     four listeners, three hosts ──▶ the first listener is there ──▶ the host that serves most of them is gone
 */
import t from 'tap';
import { mp3Bytes } from '../support/mp3.js';
import { openNetwork, type RunningHost } from '../support/network.js';
import { stackTraceIn } from '../support/survivor.js';
import { until } from '../support/until.js';

/** 1.2 MB: at 1 MB/s there is time to be in its middle. */
const SONG = mp3Bytes({ seconds: 30, bitrate: 320_000, seed: 1, title: 'Petenera' });
const PLACES = [0.1, 0.5, 0.999, 1];
const LISTENERS = 4;

// They mostly wait.
t.jobs = 2;

/** How much a host has sent, as its trace tells it. */
const answersOf = ({ command }: RunningHost): number => command.stderr.split('SONG_DATA').length;

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  t.test(`hosts that get ${signal} while a crowd listens`, { buffered: true }, async t => {
    const network = await openNetwork(t, ['--max-per-address', '0']);
    const args = ['--max-upload', '1M', '--slots', '0', '--trace-wire', '--log-level', 'debug'];
    const newHost = () => network.host({ songs: { 'a.mp3': SONG }, args });
    let hosts: RunningHost[] = await Promise.all([newHost(), newHost(), newHost()]);
    const id = String(await network.idOf(SONG));
    for (const place of PLACES) {
      const before = new Map(hosts.map(host => [host, answersOf(host)]));
      const listeners = await Promise.all(
        Array.from({ length: LISTENERS }, () => network.run(['get', id, '-o', '-'])),
      );
      // Pieces come whole: the last of them is on its way at 99.9 %.
      const enough = Math.min(place * SONG.length, place === 1 ? SONG.length : SONG.length - 70_000);
      await until('one is there', () => listeners.some(({ bytes }) => bytes.length >= enough));
      const sent = (host: RunningHost) => answersOf(host) - before.get(host)!;
      const [busiest] = [...hosts].sort((a, b) => sent(b) - sent(a));
      busiest!.command.kill(signal);
      for (const listener of listeners) {
        t.equal(await listener.exitCode(), 0, `at ${place}: ${listener.stderr}`);
        t.ok(listener.bytes.equals(SONG), 'byte-exact');
        t.equal(stackTraceIn(listener.stderr), undefined);
      }
      if (signal === 'SIGSTOP') busiest!.command.kill('SIGCONT');
      else hosts = [...hosts.filter(host => host !== busiest), await newHost()];
    }
  });
}
