import t from 'tap'
import { generateKeyPair } from '../../src/pki/key-pair.ts'
import { makeMixedMesh } from '../support/mixed-mesh.ts'
import { type Answer, startTestService, type TestService } from '../support/service.ts'
import { until } from '../support/until.ts'
import { callWorkload, csrOf, type WorkloadAnswer } from '../svid/issuing-service.ts'

type Send = (method: string, path: string, body?: object) => Promise<WorkloadAnswer>

/** A workload or reporter with an X509-SVID: what it sends to the workload listener. */
const joined = async (service: TestService, spiffeId: string, entry?: object): Promise<Send> => {
  if (entry !== undefined)
    await must(service.admin('POST', '/meshes/acme/entries', { spiffeId, ...entry }))
  const { token } = (await must(service.admin('POST', '/meshes/acme/join-tokens', { spiffeId })))
    .body
  const keys = generateKeyPair()
  const listener = { port: Number(new URL(service.workloadUrl).port), trustDomain: 'acme.example' }
  const body = { csr: csrOf(keys), token }
  const issued = await callWorkload({ ...listener, method: 'POST', path: '/svids/x509', body })
  const as = { keys, chain: issued.body.certificateChain }
  return (method, path, sent) =>
    callWorkload({ ...listener, method, path, as, ...(sent === undefined ? {} : { body: sent }) })
}

const must = async <T extends { status: number; body: unknown }>(
  answer: Promise<T>,
): Promise<T> => {
  const given = await answer
  if (given.status >= 300) throw new Error(JSON.stringify(given.body))
  return given
}

/** A group of an answer as `kind: target, target`, a target as its address or `via gateway`. */
const groupsOf = ({ body }: Answer): string[] =>
  body.route.groups.map(
    ({ kind, targets }: { kind: string; targets: Record<string, string>[] }) =>
      `${kind}: ${targets.map((one) => (one['viaGateway'] === null ? one['address'] : `via ${one['viaGateway']} ×${one['weight']}`)).join(', ')}`,
  )

/** The page's mixed example with `shop/cart` in all three clusters; the same address stands in both networks. */
const mixedMesh = async () => {
  const service = await startTestService(t)
  const admin: TestService['admin'] = (method, path, body) =>
    must(service.admin(method, path, body))
  await admin('POST', '/meshes', { meshId: 'acme', trustDomain: 'acme.example' })
  await makeMixedMesh((method, path, body) =>
    admin(method as 'POST', `/meshes/acme/${path}`, body as object),
  )
  await admin('POST', '/meshes/acme/services', {
    namespace: 'shop',
    name: 'cart',
    ports: [{ name: 'http', port: 80 }],
    identities: ['/ns/shop/sa/cart'],
  })
  const reporters = new Map<string, Send>()
  const ADDRESSES = { 'cluster-1': '10.0.0.5', 'cluster-2': '10.0.0.6', 'cluster-3': '10.0.0.5' }
  for (const [cluster, address] of Object.entries(ADDRESSES)) {
    const reporter = await joined(service, `/reporter/${cluster}`, { cluster })
    const one = { namespace: 'shop', service: 'cart', workloadUid: 'pod-1', address, port: 8080 }
    await must(reporter('PUT', '/reports/endpoints', { ttlSeconds: 600, endpoints: [one] }))
    reporters.set(cluster, reporter)
  }
  const resolve = (query: string) => admin('GET', `/meshes/acme/resolve?service=shop/cart&${query}`)
  return { service, admin, reporters, resolve }
}

/** Made once; each test leaves it as it found it, but for the last. */
const made = mixedMesh()

t.test('the page’s mixed example: what each cluster reaches, and how', async (t) => {
  const { service, resolve, reporters } = await made
  t.same(groupsOf(await resolve('cluster=cluster-1')), [
    'same-zone: 10.0.0.5',
    'same-region: 10.0.0.6',
    'rest: via gw-b ×1',
  ])
  t.same(groupsOf(await resolve('cluster=cluster-2')), [
    'same-zone: 10.0.0.6',
    'same-region: 10.0.0.5',
    'rest: via gw-b ×1',
  ])
  const third = await resolve('cluster=cluster-3')
  t.same(
    groupsOf(third),
    ['same-zone: 10.0.0.5', 'rest: via gw-a ×2'],
    'two endpoints are one gateway',
  )
  t.equal(third.body.route.groups[1].targets[0].sni, 'outbound_.80_._.cart.shop.svc.cluster.local')

  const workload = await joined(service, '/ns/web/sa/front', { cluster: 'cluster-2' })
  const own = await must(workload('GET', '/resolve?service=shop/cart'))
  t.match(own.body, {
    consumer: { cluster: 'cluster-2', network: 'net-a', namespace: 'web' },
    serverIds: ['spiffe://acme.example/ns/shop/sa/cart'],
    groups: [{ targets: [{ address: '10.0.0.6', port: 8080 }] }, {}, {}],
  })
  const stranger = reporters.get('cluster-3')
  const foreign = await stranger?.('PUT', '/reports/endpoints', {
    cluster: 'cluster-1',
    endpoints: [],
  })
  t.equal(foreign?.status, 403, 'a reporter tells of its own cluster only')
})

t.test('a cluster drains: its endpoints come last, and none when it is disabled', async (t) => {
  const { admin, resolve } = await made
  await admin('PATCH', '/meshes/acme/clusters/cluster-1', { state: 'draining' })
  t.same(groupsOf(await resolve('cluster=cluster-1')), [
    'same-region: 10.0.0.6',
    'rest: via gw-b ×1',
    'last: 10.0.0.5',
  ])
  t.same(
    groupsOf(await resolve('cluster=cluster-3')),
    ['same-zone: 10.0.0.5', 'last: via gw-a ×1'],
    'its gateway drains with it',
  )
  await admin('PATCH', '/meshes/acme/clusters/cluster-1', { state: 'disabled' })
  t.same(groupsOf(await resolve('cluster=cluster-2')), ['same-zone: 10.0.0.6', 'rest: via gw-b ×1'])
  await admin('PATCH', '/meshes/acme/clusters/cluster-1', { state: 'active' })
  t.same(groupsOf(await resolve('cluster=cluster-3')), ['same-zone: 10.0.0.5', 'rest: via gw-a ×2'])
})

t.test('a control plane dies: every cluster tries the other one first', async (t) => {
  const { admin, reporters } = await made
  const orders = async () => {
    const names = ['cluster-1', 'cluster-2', 'cluster-3']
    const clusters = await Promise.all(
      names.map((name) => admin('GET', `/meshes/acme/clusters/${name}`)),
    )
    return clusters.map(({ body }) =>
      body.controlPlaneOrder.map(({ name }: { name: string }) => name).join(' '),
    )
  }
  const availability = async () => (await admin('GET', '/meshes/acme')).body.availability
  t.same(await orders(), ['cp-1 cp-2', 'cp-1 cp-2', 'cp-2 cp-1'])
  await admin('PATCH', '/meshes/acme', { availabilityTarget: 1 })
  const before = await availability()
  t.match(before, { tier: 1, met: true, reason: /^one control plane per region: cp-1/ })
  await admin('PATCH', '/meshes/acme/control-planes/cp-1', { heartbeatSeconds: 2 })
  const hear = async () => {
    const reporter = reporters.get('cluster-1')
    const heard = await reporter?.('POST', '/reports/heartbeat', { controlPlanes: ['cp-1'] })
    t.equal(heard?.status, 200)
  }
  await hear()
  t.same(await orders(), ['cp-1 cp-2', 'cp-1 cp-2', 'cp-2 cp-1'], 'it is heard')
  const after = await until(orders, ([first]) => first === 'cp-2 cp-1')
  t.same(after, ['cp-2 cp-1', 'cp-2 cp-1', 'cp-2 cp-1'], 'three heartbeats were missed')
  const lost = await availability()
  t.match(lost, {
    tier: 0,
    met: false,
    reason: /not counted: control plane cp-1 \(.*\) was last heard/,
  })
  await hear()
  t.same(await orders(), ['cp-1 cp-2', 'cp-1 cp-2', 'cp-2 cp-1'], 'it is back')
  t.match(await availability(), { tier: 1 })
})

t.test(
  'a gateway is lost: the other one takes all, and without any there is no route',
  async (t) => {
    const { admin, resolve, reporters } = await made
    await admin('POST', '/meshes/acme/gateways', {
      name: 'gw-c',
      network: 'net-a',
      cluster: 'cluster-2',
      address: '198.51.100.30',
      port: 15_443,
      weight: 3,
      heartbeatSeconds: 2,
    })
    const second = reporters.get('cluster-2')
    await second?.('POST', '/reports/heartbeat', { gateways: ['gw-c'] })
    t.same(groupsOf(await resolve('cluster=cluster-3')), [
      'same-zone: 10.0.0.5',
      'rest: via gw-a ×2, via gw-c ×6',
    ])
    const alone = await until(
      () => resolve('cluster=cluster-3'),
      (answer) => groupsOf(answer).includes('rest: via gw-a ×2'),
    )
    t.same(groupsOf(alone), ['same-zone: 10.0.0.5', 'rest: via gw-a ×2'], 'gw-c is not heard')
    await admin('PATCH', '/meshes/acme/gateways/gw-a', { state: 'disabled' })
    const none = await resolve('cluster=cluster-3')
    t.same(groupsOf(none), ['same-zone: 10.0.0.5'])
    const reason = 'no gateway of network net-a is alive: gw-a is disabled, gw-c is not heard'
    t.same(none.body.route.unreached, [{ network: 'net-a', endpoints: 2, reason }])
    await admin('PATCH', '/meshes/acme/clusters/cluster-3', { state: 'disabled' })
    const nothing = await resolve('cluster=cluster-3')
    t.match(nothing.body, { decision: 'allow', route: { groups: [], noRoute: reason } })
  },
)
