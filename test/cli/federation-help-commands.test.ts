import { createHash, X509Certificate } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { federationApp } from '../federation/federation-app.ts'
import { behave, FakePeer } from '../support/fake-peer.ts'
import { dataFolder, ran } from '../support/small-server.ts'

async function federated(t: Parameters<typeof dataFolder>[0]) {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const folder = dataFolder(t)
  const env = { ENTENTE_ADDR: await app.listen(), ENTENTE_DATA_DIR: folder, ENTENTE_MESH: 'acme' }
  const entente = (...argv: readonly string[]) => ran(argv, env)
  return { app, peer, folder, entente }
}

t.test(
  'doctor prints a tick for each step, and the reason with the way out and exit code 1',
  async (t) => {
    const { app, peer, entente } = await federated(t)
    const well = await entente('federation', 'doctor', 'globex')
    t.equal(well.code, 0, well.err)
    for (const step of ['dns', 'egress', 'tcp', 'tls', 'chain', 'spiffe-id', 'http', 'document']) {
      t.match(well.out, new RegExp(`^✔ +${step} `, 'm'))
    }
    t.match(well.out, /^✔ +fingerprints +ours, acme\.example: [0-9]{5} /m)
    peer.behaviour = behave.answer(503)
    await app.clock.advance(2000)
    const ill = await entente('federation', 'doctor', 'globex')
    t.equal(ill.code, 1)
    t.match(ill.out, /^✔ +spiffe-id /m)
    t.match(ill.out, /^✖ +http +.*answered 503, wanted 200/m)
    t.match(ill.out, /^- +document +not reached/m)
    t.match(ill.err, /relationship globex is not well: http\n\nnext:\n +ask the peer what answers/)
    await app.clock.advance(2000)
    const json = await entente('--output', 'json', 'federation', 'doctor', 'globex')
    t.match(JSON.parse(json.out), { healthy: false, domains: [{ trustDomain: 'globex.example' }] })
  },
)

t.test('instructions are printed as they are pasted', async (t) => {
  const { entente } = await federated(t)
  const theirs = await entente('federation', 'instructions', 'globex', '--for', 'spire')
  t.equal(theirs.code, 0, theirs.err)
  t.match(
    theirs.out,
    /federates_with "acme\.example" \{\n +bundle_endpoint_url = "https:\/\/localhost:8443\/bundles\/acme\.example\/for\//,
  )
  const ours = await entente(
    'federation',
    'instructions',
    'globex',
    '--side',
    'ours',
    '--for',
    'spire',
  )
  t.match(
    ours.out,
    /federates_with "globex\.example" \{\n +bundle_endpoint_url = ".*\/bundles\/acme\.example\/peers\//,
  )
  t.equal((await entente('federation', 'instructions', 'globex')).code, 2, '--for is needed')
  const shown = await entente('federation', 'show', 'globex')
  t.match(
    shown.out,
    /globex\.example relay +https:\/\/localhost:8443\/bundles\/acme\.example\/peers\//,
  )
})

t.test('a key is distrusted, listed and trusted again', async (t) => {
  const { peer, folder, entente } = await federated(t)
  writeFileSync(join(folder, 'globex.json'), peer.document)
  const spki = new X509Certificate(peer.root.der).publicKey.export({ format: 'der', type: 'spki' })
  const key = createHash('sha256').update(spki).digest('hex')
  const asked = await entente('federation', 'distrust', key, '--dry-run')
  t.equal(asked.code, 0, asked.err)
  t.match(asked.out, /would be distrusted/)
  t.match(asked.out, /endpoint globex\/globex\.example +can no longer be authenticated/)
  t.match((await entente('federation', 'distrust', 'list')).out, 'no key is distrusted')
  const done = await entente('federation', 'distrust', key, '--note', 'leaked')
  t.match(done.out, /is distrusted everywhere in this mesh/)
  t.match((await entente('federation', 'distrust', 'list')).out, new RegExp(`${key} .* leaked`))
  const lifted = await entente('federation', 'distrust', 'lift', key)
  t.equal(lifted.code, 0, lifted.err)
  t.match(lifted.out, /is trusted again/)
  t.match((await entente('federation', 'distrust', 'list', '--lifted')).out, new RegExp(key))
  const wrong = await entente('federation', 'distrust', 'abc')
  t.equal(wrong.code, 1)
  t.match(wrong.err, /wanted 64 hex digits/)
})
