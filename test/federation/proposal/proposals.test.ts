import t, { type Test } from 'tap'
import { inTransaction } from '../../../src/db/connect.ts'
import { lockRelationship } from '../../../src/federation/find-relationship.ts'
import {
  consentToProposal,
  proposeChange,
} from '../../../src/federation/proposal/propose-change.ts'
import { FakePeer } from '../../support/fake-peer.ts'
import { federationApp, spiffePeer } from '../federation-app.ts'

const GLOBEX = '/meshes/acme/relationships/globex'
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

async function federated(t: Test) {
  const app = await federationApp(t)
  const peer = await FakePeer.open(t, 'globex.example')
  await app.addPeer(peer)
  await app.poll()
  const domain = {
    trustDomain: 'globex.example',
    source: 'https_spiffe',
    endpointUrl: peer.url,
    endpointSpiffeId: peer.endpointId,
  }
  const propose = (domains: object[], more: object = {}) =>
    app.call('POST', `${GLOBEX}/proposals`, { body: { domains, ...more }, ifMatch: '*' })
  const decide = (what: string, id: string) =>
    app.call('POST', `${GLOBEX}/proposals/${id}/${what}`, { ifMatch: '*' })
  return { app, peer, domain, propose, decide }
}

t.test(
  'a change of pinned parameters waits beside those in force until it is approved',
  async (t) => {
    const { app, peer, domain, propose, decide } = await federated(t)
    const moved = peer.at('/moved')
    const proposed = await propose([{ ...domain, endpointUrl: moved }], { note: 'they moved' })
    t.equal(proposed.status, 201)
    const { id } = proposed.body.proposal
    t.match(proposed.body, {
      isApplied: false,
      proposal: {
        origin: 'ours',
        ourConsent: false,
        theirConsent: false,
        note: 'they moved',
        createdBy: 'tester',
        digest: /^[0-9a-f]{64}$/,
        changes: [
          {
            trustDomain: 'globex.example',
            what: 'changed',
            before: `https_spiffe ${peer.url} ${peer.endpointId}`,
            after: `https_spiffe ${moved} ${peer.endpointId}`,
          },
        ],
      },
      next: [
        `entente federation proposal approve globex ${id}`,
        `entente federation proposal drop globex ${id}`,
      ],
    })
    await app.pollLater()
    t.equal(peer.requests.at(-1)?.path, '/bundle', 'the parameters in force stay in force')
    t.match((await app.show()).proposals, [{ id }])
    const before = await app.show()
    const applied = await decide('approve', id)
    t.match(applied.body, { isApplied: true, proposal: { ourConsent: true, theirConsent: true } })
    await app.poll()
    const after = await app.show()
    t.equal(peer.requests.at(-1)?.path, '/moved')
    t.equal(peer.requests.at(-1)?.etag, undefined, 'the first fetch from there is unconditional')
    t.equal(after.state, 'active')
    t.same(after.proposals, [])
    t.equal(after.generation, '2')
    t.equal(after.domains[0]?.bundle?.n, before.domains[0]?.bundle?.n, 'the bundle in use stays')
    t.equal(after.domains[0]?.firstBundleDigest, before.domains[0]?.firstBundleDigest)
  },
)

t.test(
  'what changed is in the audit log, with before and after and whose consent counted',
  async (t) => {
    const { app, peer, domain, propose, decide } = await federated(t)
    const moved = peer.at('/moved')
    const { body } = await propose([{ ...domain, endpointUrl: moved }])
    await decide('approve', body.proposal.id)
    const rows = await app.database.db
      .selectFrom('audit_record')
      .select(['action', 'body'])
      .where('action', 'like', 'relationship.%-change')
      .execute()
    const records = rows.map((row) => ({ ...row, ...JSON.parse(text(row.body)) }))
    const actions: string[] = records.map(({ action }) => action)
    t.same(actions.toSorted(), ['relationship.apply-change', 'relationship.propose-change'])
    t.match(records.find(({ action }) => action.includes('apply'))?.body, {
      theirConsent: 'assumed',
      before: { domains: [{ endpointUrl: peer.url }] },
      after: { domains: [{ endpointUrl: moved }] },
    })
  },
)

t.test('an Entente peer must consent too, to exactly these parameters', async (t) => {
  const { app, peer, domain, propose, decide } = await federated(t)
  await app.database.db.updateTable('relationship').set({ their_consent: 'given' }).execute()
  const { body } = await propose([{ ...domain, endpointUrl: peer.at('/moved') }])
  const ours = await decide('approve', body.proposal.id)
  t.match(ours.body, { isApplied: false, proposal: { ourConsent: true, theirConsent: false } })
  const consent = (digest: string) =>
    inTransaction(app.database.db, async (trx) => {
      const relationship = await lockRelationship(trx, app.meshId, 'globex')
      const context = { actor: 'peer:globex.example', now: app.clock.now() }
      return consentToProposal(trx, relationship, { proposal: { digest }, side: 'theirs', context })
    })
  await t.rejects(consent('0'.repeat(64)), { code: 'NOT_FOUND' })
  t.match(await consent(body.proposal.digest), { isApplied: true })
  t.equal((await app.show()).domains[0]?.endpointUrl, peer.at('/moved'))
})

t.test(
  'a change that the peer wants has its consent, waits for ours, and can be refused',
  async (t) => {
    const { app, peer, decide } = await federated(t)
    const parameters = {
      domains: [
        {
          trustDomain: 'globex.example',
          source: 'https_web' as const,
          endpointUrl: peer.at('/web'),
        },
      ],
    }
    await inTransaction(app.database.db, async (trx) => {
      const relationship = await lockRelationship(trx, app.meshId, 'globex')
      const context = { actor: 'peer:globex.example', now: app.clock.now() }
      return proposeChange(trx, relationship, { origin: 'theirs', parameters, context })
    })
    const [open] = (await app.show()).proposals
    t.match(open, { origin: 'theirs', ourConsent: false, theirConsent: true })
    t.equal((await decide('drop', open?.id ?? '')).status, 200)
    t.match(await app.show(), { proposals: [], domains: [{ source: 'https_spiffe' }] })
    t.equal((await decide('approve', open?.id ?? '')).status, 404, 'what was dropped is gone')
  },
)

t.test('trust domains are added and taken away in one step', async (t) => {
  const { app, peer, domain, propose, decide } = await federated(t)
  const other = await FakePeer.open(t, 'initech.example')
  const [added] = spiffePeer(other)['domains'] as [Record<string, unknown>]
  const refused = await propose([domain, { ...added, bundle: undefined }])
  t.match(refused.body, { code: 'RELATIONSHIP_INVALID', detail: /needs one bundle of initech/ })
  const both = await propose([domain, added])
  await decide('approve', both.body.proposal.id)
  await app.poll()
  t.same([...(await app.peerBundles.of(app.meshId)).keys()].toSorted(), [
    'globex.example',
    'initech.example',
  ])
  const shown = (await app.show()).domains.find(
    ({ trustDomain }) => trustDomain !== peer.trustDomain,
  )
  t.match(shown, { bundle: { origin: 'fetched' }, firstBundleDigest: /^[0-9a-f]{64}$/ })
  const one = await propose([{ ...added, bundle: undefined }])
  t.match(one.body.proposal.changes, [{ trustDomain: 'globex.example', what: 'removed' }])
  await decide('approve', one.body.proposal.id)
  t.same([...(await app.peerBundles.of(app.meshId)).keys()], ['initech.example'])
  t.equal((await app.addPeer(peer, { name: 'again' })).status, 201, 'the domain is free again')
})

t.test('what a fetch under the old parameters brings is thrown away', async (t) => {
  const { app, peer, domain, propose, decide } = await federated(t)
  let release: (() => void) | undefined
  const { behaviour } = peer
  const arrived = new Promise<void>((resolve) => {
    peer.behaviour = (request, response) => {
      release = () => behaviour(request, response)
      resolve()
    }
  })
  peer.document = peer.bundle(2n)
  const polled = app.pollLater()
  await arrived
  const { body } = await propose([{ ...domain, endpointUrl: peer.at('/moved') }])
  await decide('approve', body.proposal.id)
  release?.()
  await polled
  t.equal((await app.show()).domains[0]?.bundle?.sequence, '1')
})

t.test('a newer proposal of one side replaces the one that waits', async (t) => {
  const { app, peer, domain, propose, decide } = await federated(t)
  const first = await propose([{ ...domain, endpointUrl: peer.at('/one') }])
  const second = await propose([{ ...domain, endpointUrl: peer.at('/two') }])
  t.match((await app.call('GET', `${GLOBEX}/proposals`)).body.items, [
    { id: second.body.proposal.id },
  ])
  t.equal((await decide('approve', first.body.proposal.id)).status, 404)
})

t.test(
  'proposals are refused that change nothing, that are impossible, stale or too late',
  async (t) => {
    const { app, peer, domain, propose } = await federated(t)
    t.match((await propose([domain])).body, { code: 'CONFLICT', detail: /nothing would change/ })
    const own = { ...domain, trustDomain: 'acme.example' }
    t.match((await propose([own])).body.detail, /is a trust domain of this mesh itself/)
    const moved = [{ ...domain, endpointUrl: peer.at('/moved') }]
    const stale = await app.call('POST', `${GLOBEX}/proposals`, { body: { domains: moved } })
    t.equal(stale.status, 428)
    const dry = await app.call('POST', `${GLOBEX}/proposals?dryRun=true`, {
      body: { domains: moved },
    })
    t.equal(dry.status, 200)
    t.same((await app.show()).proposals, [])
    await app.call('POST', `${GLOBEX}/terminate`, { ifMatch: '*' })
    t.match((await propose(moved)).body, { code: 'CONFLICT', detail: /is terminated/ })
  },
)

t.test(
  'recovery paths are pinned: a change of them is proposed, and others keep them',
  async (t) => {
    const { app, peer, domain, propose, decide } = await federated(t)
    const path = { kind: 'endpoint', source: 'https_web', endpointUrl: 'https://second.example/b' }
    const proposed = await propose([{ ...domain, recovery: [path] }])
    t.match(proposed.body.proposal.changes, [
      { what: 'changed', after: /or endpoint https_web https:\/\/second\.example\/b$/ },
    ])
    await decide('approve', proposed.body.proposal.id)
    t.match((await app.show()).domains[0]?.recovery, [path])
    const moved = await propose([{ ...domain, endpointUrl: peer.at('/moved') }])
    await decide('approve', moved.body.proposal.id)
    t.match((await app.show()).domains[0]?.recovery, [path])
    const emptied = await propose([{ ...domain, endpointUrl: peer.at('/moved'), recovery: [] }])
    await decide('approve', emptied.body.proposal.id)
    t.same((await app.show()).domains[0]?.recovery, [])
  },
)
