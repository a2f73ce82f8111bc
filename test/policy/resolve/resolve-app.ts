import { type Test } from 'tap'
import { offerRoutes } from '../../../src/catalog/offer-routes.ts'
import { serviceRoutes } from '../../../src/catalog/routes.ts'
import { createLogger } from '../../../src/http/log.ts'
import { bindingRoutes } from '../../../src/policy/binding/binding-routes.ts'
import { explainRoutes } from '../../../src/policy/explain/explain-routes.ts'
import { createMetrics } from '../../../src/http/metrics.ts'
import { resolveRoutes } from '../../../src/policy/resolve/resolve-routes.ts'
import { ruleRoutes } from '../../../src/policy/change/rule-routes.ts'
import { Snapshots } from '../../../src/policy/snapshot/snapshots.ts'
import { type AdminAnswer, type AdminApp, adminApp } from '../../support/admin-app.ts'
import { testClock } from '../../support/clock.ts'
import { addCluster, addEndpoint, addGateway, addNetwork, type Placed } from '../placed-mesh.ts'
import { addMesh } from '../policy-app.ts'
import { trustDeps } from '../explain/trust-deps.ts'

/** The admin listener with what it takes to resolve services. */
export interface ResolveApp extends AdminApp {
  readonly clock: ReturnType<typeof testClock>
  readonly metrics: ReturnType<typeof createMetrics>
  readonly placed: Placed
  /** Asks how acme's `shop/cart` is reached, or what else the query names. */
  readonly resolve: (
    query: Record<string, string>,
    headers?: Record<string, string>,
  ) => Promise<AdminAnswer>
}

/** Acme with `shop/cart` at 10.0.0.5 both in cluster east (vpc-a) and in cluster west (vpc-b). */
export async function acmeInTwoNetworks(t: Test): Promise<ResolveApp> {
  const clock = testClock()
  const log = createLogger({ level: 'error' }, { write: () => undefined })
  const metrics = createMetrics()
  const app = await adminApp(t, {
    mount: (v1, db) => {
      const snapshots = new Snapshots({ db, log })
      const options = { db, now: clock.db, metrics, snapshots }
      v1.register(serviceRoutes, options)
      v1.register(offerRoutes, options)
      v1.register(ruleRoutes, options)
      v1.register(bindingRoutes, options)
      v1.register(resolveRoutes, options)
      v1.register(explainRoutes, { ...options, ...trustDeps() })
    },
  })
  const { db } = app.database
  const meshId = await addMesh(db, 'acme', clock.db)
  const placed: Placed = { db, meshId, now: clock.now() }
  await addNetwork(placed, 'vpc-a')
  await addNetwork(placed, 'vpc-b')
  await addCluster(placed, 'east', { networks: ['vpc-a'] })
  await addCluster(placed, 'west', { networks: ['vpc-b'], region: 'us' })
  await addCluster(placed, 'both', { networks: ['vpc-a', 'vpc-b'] })
  await addGateway(placed, 'gw-b', 'vpc-b')
  await app.call('POST', '/v1/meshes/acme/services', {
    body: {
      namespace: 'shop',
      name: 'cart',
      ports: [
        { name: 'http', port: 80 },
        { name: 'grpc', port: 9000 },
      ],
      identities: ['/ns/shop/sa/cart'],
    },
  })
  await addEndpoint(placed, { cluster: 'east', network: 'vpc-a', address: '10.0.0.5' })
  await addEndpoint(placed, { cluster: 'west', network: 'vpc-b', address: '10.0.0.5' })
  const resolve = (query: Record<string, string>, headers: Record<string, string> = {}) => {
    const search = new URLSearchParams({ service: 'shop/cart', ...query })
    return app.call('GET', `/v1/meshes/acme/resolve?${search.toString()}`, { headers })
  }
  return { ...app, clock, metrics, placed, resolve }
}
