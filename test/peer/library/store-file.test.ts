/** A damaged lmdb file is known before lmdb opens it, which would end the process; what one of before says is not believed. */
import { open, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { open as openLmdb } from 'lmdb';
import t from 'tap';
import { openLibraryStore } from '../../../peer/library/store.js';
import { damagedStoreFile } from '../../../peer/library/store-file.js';
import { openDisk } from '../../../src/disk.js';
import { patientClock } from '../../support/patient-clock.js';
import { RecordingLogger } from '../../support/recording-logger.js';
import { tempFolder } from '../../support/temp-folder.js';

const logger = new RecordingLogger();

t.test('whole, new and absent files are none; each kind of damage is', async t => {
  const folder = await tempFolder(t);
  const file = join(folder, 'data.mdb');
  t.equal(await damagedStoreFile(folder), undefined, 'none there');
  const store = await openLibraryStore({ folder, openDisk, clock: patientClock, logger });
  const fingerprint = { size: 1, mtimeNs: 1n, ctimeNs: 1n, inode: 1n };
  store.put('/a.mp3', { fingerprint, content: { kind: 'skipped', reason: 'empty' } });
  await store.close();
  t.equal(await damagedStoreFile(folder), undefined, 'as lmdb left it');

  const whole = await readFile(file);
  const damages: Readonly<Record<string, () => Promise<unknown>>> = {
    zeros: () => writeFile(file, Buffer.alloc(whole.length)),
    'another format': () => writeFile(file, Buffer.alloc(whole.length, 'ID3 ')),
    'a few bytes': () => truncate(file, 20),
    'the first two pages only': () => truncate(file, 8_192),
    'no second page': () => zero(file, 4_096, 4_096),
    'no roots': () => zero(file, 8_192, whole.length - 8_192),
  };
  for (const [name, damage] of Object.entries(damages)) {
    await writeFile(file, whole);
    await damage();
    t.equal(await damagedStoreFile(folder), file, name);
  }
  await writeFile(file, '');
  t.equal(await damagedStoreFile(folder), undefined, 'lmdb begins an empty one anew');
});

t.test('a damaged library store is moved aside and begun anew', async t => {
  const folder = await tempFolder(t);
  await writeFile(join(folder, 'data.mdb'), Buffer.alloc(20_000, 0xff));
  const store = await openLibraryStore({ folder, openDisk, clock: patientClock, logger });
  t.same([...store.entries()], []);
  await store.close();
  t.same((await readdir(folder)).sort(), ['data.mdb', 'data.mdb.damaged', 'lock.mdb']);
});

async function zero(path: string, at: number, bytes: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(bytes), 0, bytes, at);
  await file.close();
}

t.test('what was read before there were songs in the free format, or APE tags, is read again', async t => {
  const folder = await tempFolder(t);
  const before = openLmdb({ path: folder, maxDbs: 4, keyEncoding: 'binary' });
  for (const name of ['files-1', 'files-2'])
    await before
      .openDB({ name, keyEncoding: 'binary' })
      .put(Buffer.alloc(32), ['/free.mp3', 1, '1', '1', '1', 'not-mp3', null]);
  await before.close();
  const store = await openLibraryStore({ folder, openDisk, clock: patientClock, logger });
  t.same([...store.entries()], []);
  await store.close();
});
