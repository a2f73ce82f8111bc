import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { behave, FakeAuthority, FakePeer } from '../support/fake-peer.ts'
import { federationApp } from '../federation/federation-app.ts'
import { dataFolder, ran } from '../support/small-server.ts'

const federatedCli = async (t: Parameters<typeof dataFolder>[0]) => {
  const app = await federationApp(t, { egressAllow: [] })
  const peer = await FakePeer.open(t, 'globex.example')
  const folder = dataFolder(t)
  const file = join(folder, 'globex.json')
  writeFileSync(file, peer.document)
  const env = {
    ENTENTE_ADDR: await app.listen(),
    ENTENTE_DATA_DIR: folder,
    ENTENTE_MESH: 'acme',
  }
  const entente = (...argv: readonly string[]) => ran(argv, env)
  const parameters = [
    '--trust-domain',
    'globex.example',
    '--url',
    peer.url,
    '--profile',
    'https_spiffe',
    '--endpoint-id',
    peer.endpointId,
    '--bundle-file',
    file,
  ]
  const add = (...more: string[]) => entente('federation', 'add', 'globex', ...parameters, ...more)
  return { app, peer, entente, add, folder }
}

t.test('a peer is added, allowed, refreshed, listed and shown', async (t) => {
  const { peer, entente, add } = await federatedCli(t)
  const added = await add()
  t.equal(added.code, 0, added.err)
  t.match(added.out, /state +pending/)
  t.match(
    added.out,
    `next:\n  entente egress allow localhost:${peer.port}\n  entente federation show globex`,
  )
  const refused = await entente('federation', 'refresh', 'globex')
  t.equal(refused.code, 1)
  t.match(refused.err, /egress policy does not open/)
  t.match(refused.err, `entente egress allow localhost:${peer.port}`)
  t.equal((await entente('egress', 'allow', 'localhost')).code, 0)
  const fetched = await entente('federation', 'refresh', 'globex')
  t.equal(fetched.code, 0, fetched.err)
  t.match(fetched.out, /globex\.example +accepted +1/)
  const { out } = await entente('federation', 'list')
  t.match(out, /^NAME +STATE +HEALTH +SEQ +AGE +NEXT-POLL +BREAKS-AT\n/)
  t.match(out, /globex +active +ok +1 +0s +in \d+[sm] +\d{4}-\d\d-\d\dT[\d:.]+Z\n/)
  const shown = await entente('federation', 'show', 'globex')
  t.match(shown.out, /https:\/\/localhost:8443\/bundles\/acme\.example\/for\//)
  t.match(shown.out, /sequence 1, 0s old, 1 X\.509 authority/)
  t.match(
    shown.out,
    /^trust breaks +\d{4}-[\d:.TZ-]+, in \d+[mhd]: the last X\.509 authority of globex\.example .*refused here.*; each fetch of a newer bundle moves it, .*federation doctor globex$/m,
  )
  t.match(shown.out, /assumed, one-way/)
  const json = JSON.parse((await entente('--output', 'json', 'federation', 'show', 'globex')).out)
  t.match(json, { state: 'active', domains: [{ bundle: { sequence: '1' } }] })
})

t.test('a failing peer is shown with its reason and way out', async (t) => {
  const { app, peer, entente, add } = await federatedCli(t)
  await entente('egress', 'allow', 'localhost')
  await add()
  await app.poll()
  peer.behaviour = behave.answer(500)
  await app.pollLater()
  t.match((await entente('federation', 'list')).out, /globex +active +failing/)
  const { out } = await entente('federation', 'show', 'globex')
  t.match(out, /answered 500, wanted 200/)
  t.match(out, /entente federation refresh globex/)
})

t.test('a bundle is set by hand, first as a dry run', async (t) => {
  const { peer, entente, add, folder } = await federatedCli(t)
  await add()
  const fresh = await FakeAuthority.root('globex.example')
  const file = join(folder, 'fresh.json')
  writeFileSync(file, peer.bundle(5n, { roots: [fresh] }))
  const set = ['bundle', 'set', 'globex', '--file', file]
  const dry = await entente(...set, '--dry-run')
  t.equal(dry.code, 0, dry.err)
  t.match(dry.out, /added +x509 sha256:[0-9a-f]{64}/)
  t.match((await entente('federation', 'show', 'globex')).out, /sequence 1/)
  t.equal((await entente(...set)).code, 0)
  t.match((await entente('federation', 'show', 'globex')).out, /sequence 5,.*set by hand/)
  t.equal((await entente(...set, '--trust-domain', 'other.example')).code, 1)
})

t.test('a relationship is changed, ended after a dry run, and deleted', async (t) => {
  const { entente, add } = await federatedCli(t)
  await add('--note', 'pilot', '--hint-max', '120')
  const set = await entente(
    'federation',
    'set',
    'globex',
    '--note',
    '',
    '--hint-max',
    'none',
    '--name',
    'globex-prod',
  )
  t.equal(set.code, 0, set.err)
  t.match(set.out, /name +globex-prod/)
  t.equal((await entente('federation', 'set', 'globex-prod')).code, 2)
  t.match(
    (await entente('federation', 'delete', 'globex-prod')).err,
    /is pending and cannot be deleted/,
  )
  const dry = await entente('federation', 'terminate', 'globex-prod', '--dry-run')
  t.match(dry.out, /would end; with it:\n.*\n.*trust-domain globex\.example/)
  t.match(dry.out, /entente federation terminate globex-prod/)
  const over = await entente('federation', 'terminate', 'globex-prod')
  t.equal(over.code, 0, over.err)
  t.match(over.out, /entente federation delete globex-prod/)
  t.match((await entente('federation', 'list')).out, /globex-prod +terminated +- /)
  t.equal((await entente('federation', 'delete', 'globex-prod')).code, 0)
  t.match(
    (await entente('federation', 'list')).out,
    /no relationships\n\nnext:\n  entente federation add/,
  )
})

t.test(
  'egress rules are listed with where they come from, and removed by what they read',
  async (t) => {
    const { entente } = await federatedCli(t)
    t.match((await entente('egress', 'list')).out, /nothing beyond public addresses/)
    t.equal((await entente('egress', 'allow', '10.20.0.0/16:8443', '--note', 'lab')).code, 0)
    const bad = await entente('egress', 'allow', '10.20.3.4/16')
    t.equal(bad.code, 1)
    t.match(bad.err, /the range begins at 10\.20\.0\.0\/16/)
    t.equal((await entente('--mesh', 'acme', 'egress', 'allow', '10.20.0.0/16:8443')).code, 0)
    const { out } = await entente('egress', 'list')
    t.match(out, /10\.20\.0\.0\/16:8443 +all +setting +lab/)
    t.match(out, /10\.20\.0\.0\/16:8443 +acme +setting/)
    const remove = ['egress', 'remove', '10.20.0.0/16:8443']
    t.equal((await entente(...remove)).code, 2, 'two rules read the same')
    t.equal((await entente('--mesh', 'acme', ...remove)).code, 0)
    t.equal((await entente(...remove)).code, 0)
    t.equal((await entente(...remove)).code, 1)
  },
)

t.test('a bundle that waits is compared, rejected, approved by its digest', async (t) => {
  const { app, peer, entente, add } = await federatedCli(t)
  await entente('egress', 'allow', 'localhost')
  t.equal((await add('--policy', 'approve')).code, 0)
  await app.poll()
  const fresh = await FakeAuthority.root('globex.example')
  peer.document = peer.bundle(2n, { roots: [peer.root, fresh] })
  const refreshed = await entente('federation', 'refresh', 'globex')
  t.match(refreshed.out, /globex\.example +quarantined +2/)
  t.match(refreshed.err, /policy approve holds back 1 X\.509 authority; the document waits/)
  t.match((await entente('federation', 'list')).out, /globex +active +quarantined/)
  const shown = (await entente('federation', 'show', 'globex')).out
  const digest = /waiting +revision 3, digest ([0-9a-f]{64})/.exec(shown)?.[1] ?? ''
  t.match(
    shown,
    `entente federation bundle approve globex --trust-domain globex.example --digest ${digest}`,
  )
  const bundle = (...argv: string[]) => entente('federation', 'bundle', ...argv)
  const { out } = await bundle('diff', 'globex')
  t.match(out, /from revision 2 \(current, sequence 1\)/)
  t.match(out, /\n\+ +x509 +[0-9a-f]{64} +\S+Z +O=globex\.example, CN=root/)
  t.match(out, /\n= +x509/)
  t.match(
    out,
    `entente federation bundle reject globex --trust-domain globex.example --digest ${digest}`,
  )
  const other = await bundle('approve', 'globex', '--digest', '0'.repeat(64))
  t.equal(other.code, 1)
  t.match(other.err, digest)
  t.match(
    (await bundle('approve', 'globex', '--digest', digest, '--dry-run')).out,
    /would be approved/,
  )
  t.match(
    (await bundle('reject', 'globex', '--digest', digest)).out,
    /revision 3 of globex\.example is rejected/,
  )
  t.match(
    (await bundle('approve', 'globex', '--digest', digest.toUpperCase())).out,
    /is approved and in use/,
  )
  t.match((await bundle('revisions', 'globex')).out, /\n3 +2 +current +fetched/)
  const set = await entente('federation', 'set', 'globex', '--policy', 'overlap')
  t.match(set.out, /policy +overlap/)
})

t.test('trust lists whom the mesh trusts, now and at a moment that has passed', async (t) => {
  const { app, entente, add } = await federatedCli(t)
  const before = app.clock.now().toISOString()
  await entente('egress', 'allow', 'localhost')
  await add()
  await app.clock.advance(1000)
  await app.poll()
  const { out } = await entente('trust')
  t.match(out, /DOMAIN +KIND +FINGERPRINT +VALID UNTIL +SINCE +WHY/)
  t.match(out, /\nacme\.example +x509 +[0-9a-f]{64} +\S+Z +\S+Z +a trust domain of this mesh/)
  t.match(out, /\nglobex\.example +x509 +[0-9a-f]{64} .* relationship globex was active/)
  const old = await entente('trust', '--at', before)
  t.match(old.out, /acme\.example/)
  t.notMatch(old.out, /globex\.example/)
  const early = await entente('trust', '--at', '2020-01-01T00:00:00Z')
  t.match(early.out, /it trusted nobody/)
  t.match(early.err, /the history is whole since/)
  const json = JSON.parse(
    (await entente('--output', 'json', 'trust', '--trust-domain', 'globex.example')).out,
  )
  t.match(json, { items: [{ whose: 'peer', relationship: { name: 'globex' } }] })
  t.equal((await entente('trust', '--at', '2999-01-01T00:00:00Z')).code, 1)
})
