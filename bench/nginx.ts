/** nginx, to be measured beside: one process, on a free port of loopback, from a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../test/support/free-port.js';
import { accepts } from './harness.js';

export interface Nginx {
  readonly process: ChildProcess;
  readonly port: number;
}

/** `blocks`: the configuration but for its beginning. Rejects when there is no nginx. */
export async function startNginx(
  home: string,
  blocks: (port: number, home: string) => string,
  modules: readonly string[] = [],
): Promise<Nginx> {
  const port = await freePort('tcp');
  await mkdir(home);
  const configuration = `
    ${modules.map(module => `load_module ${module};`).join(' ')}
    daemon off; master_process off; pid ${home}/pid; error_log ${home}/error.log; worker_rlimit_nofile 16384;
    events { worker_connections 8192; }
    ${blocks(port, home)}`;
  await writeFile(join(home, 'nginx.conf'), configuration);
  const nginx = spawn('nginx', ['-p', home, '-c', join(home, 'nginx.conf')], { stdio: 'inherit' });
  await Promise.race([accepts(port), once(nginx, 'error').then(([error]) => Promise.reject(error))]);
  return { process: nginx, port };
}

/** For an http block: what nginx may write, below `home`. */
export const temporaryPaths = (home: string): string =>
  ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map(kind => `${kind}_temp_path ${home}/${kind};`)
    .join(' ');
