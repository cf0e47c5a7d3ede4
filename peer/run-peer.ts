/**
 * A whole peer as a process: starts it, says that it is ready, listens to a person, a script or nobody, ends it.
 *
 *     terminal               the prompt, until quit, Ctrl-D or a signal
 *     stdin is a pipe        its commands, until quit, or its end and the end of the queue
 *     --headless             a ready line and events, until a signal (or quit, if stdin is a pipe)
 *
 * Answers go to stdout, or to stderr while stdout carries sound. SIGTERM is how a host is asked to end: exit code 0.
 */
import { join } from 'node:path';
import type { ListeningAt } from '../protocol/tsp/addresses.js';
import { askedToEnd } from './asked-to-end.js';
import type { PeerConfig } from './config.js';
import { EXIT, exitCodeOfServer } from './failures/failure.js';
import { Peer } from './peer.js';
import { History } from './prompt/history.js';
import type { PeerEvent, PeerView } from './prompt/peer-view.js';
import { Prompt } from './prompt/prompt.js';
import { renderEvent } from './prompt/render.js';
import { Script } from './prompt/script.js';
import { PLAIN, painted, type Style, styleOf } from './prompt/style.js';
import { wrap } from './prompt/terminal-text.js';
import { readyLine } from './ready-line.js';
import type { World } from './world.js';

/** What running needs of a peer. */
export type RunnablePeer = PeerView & Pick<Peer, 'start' | 'attempted' | 'settled' | 'stop'>;

/** Resolves with the exit code; rejects when the peer cannot start. */
export const runPeer = (config: PeerConfig, world: World): Promise<number> =>
  operate(new Peer({ ...config, orSilence: isConversation(config, world) }, world), config, world);

/** As `runPeer`, for any peer. */
export async function operate(peer: RunnablePeer, config: PeerConfig, world: World): Promise<number> {
  return isConversation(config, world)
    ? await converse(peer, config, world)
    : await serve(peer, config, world);
}

function isConversation({ headless, json, output }: PeerConfig, { isTerminal, env }: World): boolean {
  const terminal = isTerminal.stdin && isTerminal.stdout && env.TERM !== 'dumb';
  return terminal && !headless && !json && output !== 'stdout';
}

async function converse(peer: RunnablePeer, config: PeerConfig, world: World): Promise<number> {
  const style = (): Style => styleOf('stdout', world, config);
  const history = new History(join(config.stateDir, 'history'), world.logger);
  const prompt = new Prompt({ peer, world, history, style });
  const quit = (): void => prompt.close();
  let restore: (() => void) | undefined;
  try {
    const greeting = wrap('Torero. help shows what can be done here.', style().width).join('\n');
    world.stdout.write(`${greeting.replace('Torero.', painted('Torero.', 'bold', style()))}\n`);
    await prompt.open();
    restore = world.divertStderr?.(text => prompt.say(text.trimEnd().split('\n')));
    world.signal.addEventListener('abort', quit, { once: true });
    if (world.signal.aborted) quit();
    // Nothing waits for the peer: who wants to leave before it has started, leaves.
    await Promise.race([peer.start(), prompt.left()]);
    await prompt.left();
    return world.signal.aborted ? exitCodeOfServer(world.signal.reason) : EXIT.ok;
  } finally {
    world.signal.removeEventListener('abort', quit);
    restore?.();
    prompt.close();
    // The last song's summary comes when the prompt is gone already.
    const stopListening = peer.onEvent(event =>
      sayEvent(event, style(), line => world.stdout.write(`${line}\n`)),
    );
    await peer.stop();
    stopListening();
  }
}

function sayEvent(event: PeerEvent, style: Style, write: (line: string) => void): void {
  if (event.kind === 'ended') renderEvent(event, style).forEach(write);
}

async function serve(peer: RunnablePeer, config: PeerConfig, world: World): Promise<number> {
  const { headless, json } = config;
  const answers = config.output === 'stdout' ? world.stderr : world.stdout;
  const script = new Script({
    peer,
    input: world.stdin,
    json,
    style: PLAIN,
    write: line => void answers.write(`${line}\n`),
    unreadBytes: () => answers.writableLength,
    remark: line => void world.stderr.write(`${line}\n`),
    ready: headless ? peer.attempted() : peer.settled(),
  });
  const ended = askedToEnd(world.signal).then(() => 'signal' as const);
  // The ready line is the first one, whatever happens before it.
  let early: PeerEvent[] | undefined = headless ? [] : undefined;
  const stopListening = peer.onEvent(event =>
    early === undefined ? script.happened(event) : early.push(event),
  );
  try {
    const at = await peer.start();
    if (headless) {
      await Promise.race([peer.attempted(), ended]);
      answers.write(`${ready(peer, at, json)}\n`);
    }
    for (const event of early ?? []) script.happened(event);
    early = undefined;
    // A terminal that runs a headless peer keeps its keys to itself.
    const commands = headless && world.isTerminal.stdin ? ended : runScript(script, headless, ended);
    const how = await Promise.race([commands, ended]);
    return how === 'signal' ? exitCodeOfServer(world.signal.reason) : script.exitCode;
  } finally {
    script.close();
    await peer.stop();
    stopListening();
  }
}

async function runScript(
  script: Script,
  headless: boolean,
  ended: Promise<'signal'>,
): Promise<'signal' | 'done'> {
  if ((await script.run()) === 'quit') return 'done';
  if (headless) return await ended;
  await script.playedOut();
  return 'done';
}

function ready(peer: PeerView, at: ListeningAt, json: boolean): string {
  const { state, address, listed } = peer.status().tracker;
  return readyLine('tsp-peer', at, json, { tracker: state === 'registered' ? address : null, listed });
}
