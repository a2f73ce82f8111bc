import t from 'tap'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { act, ententePair, relationship, type Side } from '../support/entente-pair.ts'
import { tlsGet } from '../support/tls-get.ts'
import { callWorkload, csrOf } from '../svid/issuing-service.ts'
import { until } from '../support/until.ts'

/** A workload of a side, which asks for its bundles with the SVID that it got: the domains that it trusts now. */
const workloadOf = async ({ service, mesh }: Side): Promise<() => Promise<string[]>> => {
  const keys = generateKeyPair()
  const joining = await service.admin('POST', `/meshes/${mesh}/join-tokens`, { spiffeId: '/web' })
  const listener = {
    port: Number(new URL(service.workloadUrl).port),
    trustDomain: `${mesh}.example`,
  }
  const issued = await callWorkload({
    ...listener,
    method: 'POST',
    path: '/svids/x509',
    body: { csr: csrOf(keys), token: joining.body.token },
  })
  const as = { keys, chain: issued.body.certificateChain }
  return async () => {
    const answer = await callWorkload({ ...listener, method: 'GET', path: '/bundles', as })
    return Object.keys(answer.body.trust_domains).toSorted()
  }
}

/** What a side's own control planes read of its peer: how many keys. */
const relayOf = async (side: Side): Promise<() => Promise<number>> => {
  const { relayUrl } = (await relationship(side)).domains[0]
  return async () => {
    const answer = await tlsGet(relayUrl)
    return (JSON.parse(answer.body.toString()) as { keys: unknown[] }).keys.length
  }
}

t.test(
  'partner offboarded: seconds until the last workload and the relay stop trusting, on both sides',
  async (t) => {
    const { acme, globex } = await ententePair(t)
    const sides = {
      ours: { workload: await workloadOf(acme), relay: await relayOf(acme), own: 'acme.example' },
      theirs: {
        workload: await workloadOf(globex),
        relay: await relayOf(globex),
        own: 'globex.example',
      },
    }
    for (const { workload, relay } of Object.values(sides)) {
      t.same(await workload(), ['acme.example', 'globex.example'])
      t.ok((await relay()) > 0)
    }
    const begun = performance.now()
    const since = (): number => (performance.now() - begun) / 1000
    const ended = await act(acme, 'terminate', { reason: 'the contract ended' })
    t.equal(ended.status, 200, JSON.stringify(ended.body))
    const stops = Object.entries(sides).flatMap(([side, { workload, relay, own }]) => [
      until(workload, (domains) => domains.length === 1).then((domains) => {
        t.same(domains, [own], side)
        return `${side}: workload ${since().toFixed(2)} s`
      }),
      until(relay, (keys) => keys === 0).then((keys) => {
        t.equal(keys, 0, side)
        return `${side}: relay ${since().toFixed(2)} s`
      }),
    ])
    t.comment((await Promise.all(stops)).join(', '))
    t.ok(since() < 5, `all of them within five seconds: ${since()}`)
    t.match(await relationship(acme), { state: 'terminated' })
    t.match(await relationship(globex), {
      state: 'suspended',
      theirConsent: 'withdrawn',
      standingReason: 'the peer has terminated the relationship: the contract ended',
    })
    t.equal((await act(globex, 'terminate')).status, 200, 'the other side ends its own part')
  },
)

t.test(
  'a partner that is away when we end it keeps what it had, and is not trusted by us',
  async (t) => {
    const { acme, globex } = await ententePair(t)
    await globex.service.stop()
    t.equal((await act(acme, 'terminate')).status, 200)
    const { db } = acme.service.service.base.database
    const waiting = await until(
      () => db.selectFrom('peer_notice').select(['kind', 'attempts']).execute(),
      (rows) => rows.some(({ attempts }) => attempts > 0),
    )
    t.match(waiting, [{ kind: 'termination' }], 'its notice waits for it, for an hour')
    t.match(await relationship(acme), {
      state: 'terminated',
      exchange: { noticesWaiting: 1, noticeError: /./ },
    })
  },
)
