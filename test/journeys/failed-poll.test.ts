import t from 'tap'
import { behave, FakePeer } from '../support/fake-peer.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { callWorkload, csrOf } from '../svid/issuing-service.ts'

const RELATIONSHIPS = '/meshes/acme/relationships'
const CART = { namespace: 'shop', name: 'cart' }
const EXPORT = {
  direction: 'export',
  effect: 'allow',
  subject: CART,
  audience: { kind: 'peers', relationships: ['globex'] },
}
const IMPORT = { ...EXPORT, direction: 'import', subject: { namespace: 'market', name: 'quotes' } }

const created = async (service: TestService, path: string, body: object): Promise<unknown> => {
  const answer = await service.admin('POST', path, body)
  if (answer.status !== 201) throw new Error(`${path}: ${JSON.stringify(answer.body)}`)
  return answer.body
}

/** A mesh that exports one service to globex, imports one from it, and has a workload. */
const federated = async (service: TestService, peer: FakePeer): Promise<void> => {
  await created(service, '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
  await created(service, RELATIONSHIPS, {
    name: 'globex',
    domains: [
      {
        trustDomain: peer.trustDomain,
        source: 'https_spiffe',
        endpointUrl: peer.url,
        endpointSpiffeId: peer.endpointId,
        bundle: new TextDecoder().decode(peer.document),
      },
    ],
  })
  const shared = { ports: [{ name: 'http', port: 8080, protocol: 'http' }] }
  await created(service, '/meshes/acme/services', {
    ...CART,
    ...shared,
    identities: ['spiffe://acme.example/ns/shop/sa/cart'],
  })
  await created(service, `${RELATIONSHIPS}/globex/offers`, {
    namespace: 'market',
    name: 'quotes',
    ...shared,
    identities: ['spiffe://globex.example/quotes'],
  })
  await created(service, '/meshes/acme/rules', EXPORT)
  await created(service, '/meshes/acme/rules', IMPORT)
}

/** Everything that a mesh decides and hands out about its peer. */
const handedOut = async (service: TestService) => {
  const ask = async (query: string): Promise<unknown> =>
    (await service.admin('GET', `/meshes/acme/explain?${query}`)).body.decision
  const joining = await service.admin('POST', '/meshes/acme/join-tokens', { spiffeId: '/web' })
  const issued = await callWorkload({
    port: Number(new URL(service.workloadUrl).port),
    trustDomain: 'acme.example',
    method: 'POST',
    path: '/svids/x509',
    body: { csr: csrOf(generateKeyPair()), token: joining.body.token },
  })
  const { items } = (await service.admin('GET', `${RELATIONSHIPS}/globex/offers`)).body
  return {
    exported: await ask('service=shop/cart&to=globex'),
    imported: await ask('service=market/quotes&of=globex'),
    offers: items.map(({ imported }: { imported: boolean }) => imported),
    status: issued.status,
    federated: issued.body.federatedBundles,
    missing: issued.body.missingBundles,
  }
}

const WAYS = {
  'an error': () => behave.answer(500),
  'a connection that is cut': () => behave.cut(),
  'an object without keys': () => behave.answer(200, '{}'),
  'an older sequence': (peer: FakePeer) => behave.answer(200, peer.bundle(0n)),
  'bytes that never end': () => behave.endless(),
} as const

t.test('one failed poll closes no export and withholds no bundle', async (t) => {
  const peer = await FakePeer.open(t, 'globex.example')
  const service = await startTestService(t, { ENTENTE_EGRESS_ALLOW: 'localhost' })
  await federated(service, peer)
  const refresh = async () =>
    (await service.admin('POST', `${RELATIONSHIPS}/globex/refresh`, {})).body.relationship
  t.match(await refresh(), { state: 'active', health: 'ok' })
  const before = await handedOut(service)
  t.match(before, {
    exported: 'allow',
    imported: 'allow',
    offers: [true],
    status: 200,
    federated: [{ trustDomain: 'globex.example' }],
    missing: [],
  })
  for (const [what, way] of Object.entries(WAYS)) {
    peer.behaviour = way(peer)
    t.match(await refresh(), { state: 'active', health: 'failing' }, what)
    t.same(await handedOut(service), before, `after ${what} everything is as before`)
  }
  await peer.close()
  t.match(await refresh(), { state: 'active', health: 'failing' })
  t.same(await handedOut(service), before, 'nor does a peer that is gone')
})
