/** Configuration files that say something twice, and those that are no files. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readConfigFiles } from '../../src/config-files.js';
import { commandPath } from '../support/spawn-command.js';
import { tempFolder } from '../support/temp-folder.js';

const read = (named: string | undefined, folder = '/nowhere') =>
  readConfigFiles({
    command: 'tsp-tracker',
    commands: ['tsp-tracker'],
    knownOptions: async () => ['port', 'name'],
    named,
    env: { XDG_CONFIG_HOME: folder },
  });

t.test('an option stands once in a file, and once in a section', async t => {
  const file = join(await tempFolder(t), 'config.json');
  const twice = ['{"port":1,"p\\u006frt":2}', '{"tsp-tracker":{"name":"}","port":1,"port":2}}'];
  for (const text of twice) {
    writeFileSync(file, text);
    await t.rejects(read(file), { name: 'ConfigError', message: /: "port" is not named only once/ }, text);
  }
  writeFileSync(file, '{"name":"{\\"port\\":1,\\"port\\":2}","port":1,"tsp-tracker":{"port":2}}');
  t.match(await read(file), [{ values: { port: 2 } }, { values: { port: 1 } }]);
});

t.test('a FIFO or a device is refused, unless the shell has opened it', async t => {
  const home = await tempFolder(t);
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
