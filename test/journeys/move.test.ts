import t from 'tap'
import { endSilentHosts } from '../../src/mesh/move-mesh.ts'
import { act, ententePair, relationship } from '../support/entente-pair.ts'
import { tlsGet } from '../support/tls-get.ts'
import { until } from '../support/until.ts'

const NEW_HOST = 'spiffe-acme.localhost'

t.test(
  'a mesh moves: its Entente peer gets a proposal, and the old host is answered under until nobody comes',
  async (t) => {
    const { acme, globex } = await ententePair(t)
    const { service } = acme
    const url = service.publicUrl.replace('localhost', NEW_HOST)
    const status = async () => (await service.admin('GET', '/meshes/acme/move')).body
    const before = await status()
    t.match(before, { formerHosts: [], peers: [{ relationship: 'globex', speaksEntente: true }] })

    const tried = await service.admin('POST', '/meshes/acme/move?dryRun=true', { url })
    t.match(tried.body, {
      url: `${url}/bundles/acme.example`,
      formerHosts: [{ host: 'localhost' }],
    })
    t.same((await status()).formerHosts, [], 'a dry run moves nothing')

    const moved = await service.admin('POST', '/meshes/acme/move', { url })
    t.equal(moved.status, 200, JSON.stringify(moved.body))
    const proposed = await until(
      () => relationship(globex),
      ({ proposals }) => proposals.length > 0,
    )
    const [proposal] = proposed.proposals
    t.match(proposal, { origin: 'theirs', theirConsent: true, ourConsent: false })
    t.match(
      proposal.changes.map(({ after }: { after: string }) => after.includes(NEW_HOST)),
      [true, true],
      'where the bundle is, and where calls are taken',
    )
    t.match((await status()).peers, [{ hasOurParameters: false, lastHost: 'localhost' }])
    t.match(proposed.domains[0].endpointUrl, /\/\/localhost:/, 'what is pinned stays in force')

    const old = await tlsGet(before.url)
    const fresh = await tlsGet(`${url}/bundles/acme.example`)
    t.same([old.status, fresh.status], [200, 200])
    t.ok(old.chain[0]?.equals(fresh.chain[0] ?? Buffer.alloc(0)), 'both hosts present one SVID')
    t.ok(old.body.equals(fresh.body))

    t.equal((await act(globex, `proposals/${proposal.id}/approve`)).status, 200)
    const followed = await until(status, ({ peers }) => {
      return peers[0].hasOurParameters === true && peers[0].lastHost === NEW_HOST
    })
    t.match(followed.peers, [{ hasOurParameters: true, lastHost: NEW_HOST }])
    const after = await relationship(globex)
    t.match(after, { state: 'active', health: 'ok', proposals: [] })
    t.ok(after.domains[0].endpointUrl.startsWith(url))
    t.ok(after.exchange.url.startsWith(url))
    t.equal((await act(acme, 'withdraw')).status, 200)
    const told = await until(
      () => relationship(globex),
      ({ state }) => state === 'suspended',
    )
    t.equal(told.state, 'suspended', 'the channel goes on at the new host')

    const { now, database } = service.service.base
    const { db } = database
    const [former] = (await until(status, ({ formerHosts }) => formerHosts[0].lastFetchAt !== null))
      .formerHosts
    t.match(former, { host: 'localhost', readers: [] }, 'nobody is left there but who just looked')
    t.same(await endSilentHosts(db, now), [], 'not before a day has passed')
    const yesterday = new Date((await now(db)).getTime() - 86_401_000)
    await db
      .updateTable('bundle_host_alias')
      .set({ since: yesterday, last_fetch_at: yesterday })
      .execute()
    t.match(await endSilentHosts(db, now), [{ host: 'localhost' }])
    t.same((await status()).formerHosts, [])
    const audited = await db
      .selectFrom('audit_record')
      .select('actor')
      .where('action', '=', 'mesh.end-former-host')
      .execute()
    t.same(audited, [{ actor: 'timer:former-hosts' }])
  },
)

t.test('a host that is another mesh’s, ours already, or no base of URLs is refused', async (t) => {
  const { acme } = await ententePair(t)
  const { service } = acme
  const made = await service.admin('POST', '/meshes', {
    meshId: 'beta',
    trustDomain: 'beta.example',
  })
  t.equal(made.status, 201)
  const move = async (url: string) =>
    (await service.admin('POST', '/meshes/acme/move', { url })).status
  t.equal(await move('https://beta.localhost:8443'), 409)
  t.equal(await move('https://localhost:9999'), 400)
  t.equal(await move('http://new.example'), 422)
  t.equal(await move('https://new.example/?a=b'), 400)
  t.equal(await move('https://new.example:8443'), 200)
  t.equal(await move('https://localhost:8443'), 200, 'and back to where it was')
  const { body } = await service.admin('GET', '/meshes/acme/move')
  t.match(body.formerHosts, [{ host: 'new.example' }])
})

t.test(
  'a proposal that was dropped is not made again until the peer says something else',
  async (t) => {
    const { acme, globex } = await ententePair(t)
    const move = (host: string) =>
      acme.service.admin('POST', '/meshes/acme/move', {
        url: acme.service.publicUrl.replace(/\/\/[^:]+/, `//${host}`),
      })
    const proposals = async () => (await relationship(globex)).proposals
    await move(NEW_HOST)
    const [first] = await until(proposals, ({ length }) => length > 0)
    t.equal((await act(globex, `proposals/${first.id}/drop`)).status, 200)
    const { db } = globex.service.service.base.database
    const askAgain = async () => {
      const { asked_at: before } = await db
        .selectFrom('peer_exchange')
        .select('asked_at')
        .executeTakeFirstOrThrow()
      await db
        .updateTable('peer_exchange')
        .set({ next_at: new Date(0) })
        .execute()
      const read = () => db.selectFrom('peer_exchange').select('asked_at').executeTakeFirstOrThrow()
      await until(read, ({ asked_at: at }) => at?.getTime() !== before?.getTime())
    }
    await askAgain()
    t.same(await proposals(), [])
    await move('elsewhere.localhost')
    const [second] = await until(proposals, ({ length }) => length > 0)
    t.match(second, { origin: 'theirs' })
    await move(NEW_HOST)
    await until(proposals, ([one]) => one?.id !== second.id)
    await move('localhost')
    t.same(await until(proposals, ({ length }) => length === 0), [], 'taken back: it is as it was')
  },
)
