/**
 * Why a server, tracker or host, cannot listen, with what mends it.
 */
import { formatHostPort } from '../../protocol/tsp/addresses.js';
import { CommandError, EXIT } from './failure.js';

/** What would have it listen elsewhere, as it is typed. */
export interface ListenOptions {
  /** Takes another port. */
  readonly port: string;
  /** Takes every address of this machine. */
  readonly anywhere: string;
}

const USUAL: ListenOptions = { port: '--port', anywhere: '--host 0.0.0.0' };

/** Of an option that takes both: `--rtmp HOST:PORT`. */
export const bothIn = (option: string, port: number): ListenOptions => ({
  port: option,
  anywhere: `${option} 0.0.0.0:${port}`,
});

/** `error`: TransportError whose cause is Node's. Anything that is not about listening comes back as it was. */
export function listenError(error: unknown, host: string, port: number, options = USUAL): unknown {
  const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
  const at = formatHostPort(host, port);
  switch (code) {
    case 'EADDRINUSE':
      return new CommandError({
        code: 'in-use',
        exitCode: EXIT.unavailable,
        message: `Port ${port} is in use.`,
        // -u too: swarms listen on a UDP port.
        hint: `ss -ltunp 'sport = :${port}' (or lsof -i :${port}) says by whom; ${options.port} 0 takes a free one.`,
      });
    case 'EACCES':
      return new CommandError({
        code: 'refused',
        exitCode: EXIT.refused,
        message: `The system does not let this user listen on port ${port}.`,
        hint: `Ports below 1024 are for root; choose another with ${options.port}.`,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EINVAL':
      return new CommandError({
        code: 'configuration',
        exitCode: EXIT.configuration,
        message: `${at} is no address of this machine.`,
        hint: `${options.anywhere} listens on all of them.`,
      });
    default:
      return error;
  }
}
