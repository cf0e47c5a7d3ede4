/** Configuration files that are no files: what may never end is not waited for. */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readConfigFiles } from '../../src/config-files.js';
import { commandPath } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';

t.test('a FIFO or a device is refused, unless the shell has opened it', async t => {
  const home = await tempFolder(t);
  const read = (named?: string, folder = join(home, 'none')) =>
    readConfigFiles({
      command: 'tsp-tracker',
      commands: ['tsp-tracker'],
      knownOptions: async () => ['port'],
      named,
      env: { XDG_CONFIG_HOME: folder },
    });
  const refused = { name: 'ConfigError', message: /is not a file that ends/ };
  mkdirSync(join(home, 'tsp'));
  const pipe = join(home, 'tsp', 'config.json');
  execFileSync('mkfifo', [pipe]);
  await t.rejects(read(undefined, home), refused);
  await t.rejects(read(pipe), refused);
  await t.rejects(read('/dev/zero'), refused);
  const line = `echo '{"port":5}' | "$0" "$1" --config /dev/stdin --print-config`;
  t.match(
    execFileSync('sh', ['-c', line, process.execPath, commandPath('tsp-tracker')], { encoding: 'utf8' }),
    /^port +5 /m,
  );
});
