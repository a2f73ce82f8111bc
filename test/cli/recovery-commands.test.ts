import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startTestService } from '../support/service.ts'
import { ran, type Ran } from '../support/small-server.ts'

/** A data folder with a short path, so that its socket has room. */
function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'entente-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

t.test('a bundle is carried between two networks that are not connected', async (t) => {
  const start = () => startTestService(t, { ENTENTE_DATA_DIR: folderOf(t) })
  const [acme, globex] = [await start(), await start()]
  const folder = folderOf(t)
  const file = (name: string) => join(folder, name)
  const at = (service: typeof acme, ...argv: readonly string[]): Promise<Ran> =>
    ran(argv, { ENTENTE_DATA_DIR: service.folder })
  await at(acme, 'mesh', 'create', 'acme', '--trust-domain', 'acme.example')
  await at(globex, 'mesh', 'create', 'globex', '--trust-domain', 'globex.example')

  const key = await at(globex, 'recovery-key', 'create', '--out', file('recovery.pem'))
  t.equal(key.code, 0, key.err)
  t.equal(statSync(file('recovery.pem')).mode & 0o777, 0o600)
  t.notOk(JSON.parse(key.out).d, 'only the public half is printed')
  writeFileSync(file('recovery.jwk'), key.out)
  const again = await at(globex, 'recovery-key', 'create', '--out', file('recovery.pem'))
  t.not(again.code, 0, 'a key is never written over')

  writeFileSync(file('bundle.json'), (await at(globex, 'bundle', 'show')).out)
  const added = await at(
    acme,
    'federation',
    'add',
    'globex',
    '--trust-domain',
    'globex.example',
    '--profile',
    'static',
    '--bundle-file',
    file('bundle.json'),
    '--recovery',
    `key,${file('recovery.jwk')}`,
  )
  t.equal(added.code, 0, added.err)

  const signed = (...more: readonly string[]) =>
    at(globex, 'bundle', 'show', '--signed', '--for', 'acme.example', ...more)
  const byKey = await signed('--recovery-key', file('recovery.pem'))
  t.equal(byKey.code, 0, byKey.err)
  writeFileSync(file('signed.jws'), byKey.out)
  const set = await at(acme, 'bundle', 'set', 'globex', '--file', file('signed.jws'))
  t.equal(set.code, 0, set.err)

  const bySvid = await signed('--expires-in', '3600')
  t.equal(bySvid.code, 0, bySvid.err)
  writeFileSync(file('svid.jws'), bySvid.out)
  const refused = await at(acme, 'bundle', 'set', 'globex', '--file', file('svid.jws'))
  t.equal(refused.code, 1)
  t.match(refused.err, /signed by an SVID/, 'a static domain pins no endpoint ID')

  t.equal((await at(globex, 'bundle', 'show', '--signed')).code, 2, 'for whom is never guessed')
  t.match((await at(globex, 'bundle', 'show', '--for', 'x')).err, /--for needs --signed/)
  t.equal((await signed('--expires-in', '604801')).code, 1)
})

t.test('mesh adopt names what it needs and prints what it did', async (t) => {
  const service = await startTestService(t, { ENTENTE_DATA_DIR: folderOf(t) })
  const entente = (...argv: readonly string[]): Promise<Ran> =>
    ran(argv, { ENTENTE_DATA_DIR: service.folder })
  const td = ['--trust-domain', 'legacy.example'] as const
  t.equal((await entente('mesh', 'adopt', 'legacy', ...td)).code, 2, 'no source is guessed')
  const noProfile = await entente('mesh', 'adopt', 'l', ...td, '--from-url', 'https://a.example/')
  t.match(noProfile.err, /--profile/)
  const url = ['--from-url', 'https://spire.legacy.example/', '--profile', 'https_web'] as const
  const noIdentity = await entente('mesh', 'adopt', 'legacy', ...td, ...url)
  t.match(noIdentity.err, /--endpoint-trust-domain/)
  const made = await entente(
    'mesh',
    'adopt',
    'legacy',
    ...td,
    ...url,
    '--endpoint-trust-domain',
    'entente.legacy.example',
    '--policy',
    'approve',
  )
  t.equal(made.code, 0, made.err)
  t.match(made.out, /legacy\.example \(observed\)/)
  t.match(made.out, /read as +source-legacy-example/)
  const early = await entente('mesh', 'release', 'legacy', ...td)
  t.match(early.err, /without it nobody would/)
  t.equal((await entente('mesh', 'manage', 'legacy', ...td, '--dry-run')).code, 0)
})
