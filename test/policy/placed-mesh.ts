import { type Db } from '../../src/db/connect.ts'
import { type MeshId } from '../../src/db/ids.ts'
import { parseSpiffeId } from '../../src/spiffe/spiffe-id.ts'

/** What of a topology the tests of resolving place, written as rows. */
export interface Placed {
  readonly db: Db
  readonly meshId: MeshId
  readonly now: Date
}

/** A cluster in networks, in region `eu` unless said otherwise. */
export async function addCluster(
  { db, meshId, now }: Placed,
  name: string,
  {
    networks,
    region = 'eu',
    state = 'active',
  }: {
    readonly networks: readonly string[]
    readonly region?: string
    readonly state?: 'active' | 'draining' | 'disabled'
  },
): Promise<void> {
  await db
    .insertInto('cluster')
    .values({
      mesh_id: meshId,
      name,
      role: 'primary',
      region,
      zone: null,
      state,
      issuing: 'managed',
      created_at: now,
    })
    .execute()
  const rows = networks.map((network) => ({ mesh_id: meshId, cluster: name, network }))
  await db.insertInto('cluster_network').values(rows).execute()
}

/** A network whose addresses count in all of its clusters. */
export async function addNetwork({ db, meshId, now }: Placed, name: string): Promise<void> {
  await db
    .insertInto('network')
    .values({ mesh_id: meshId, name, shared_name: null, created_at: now })
    .execute()
}

/** A gateway that nobody listens for. */
export async function addGateway(
  { db, meshId, now }: Placed,
  name: string,
  network: string,
): Promise<void> {
  await db
    .insertInto('gateway')
    .values({
      mesh_id: meshId,
      name,
      network,
      cluster: null,
      address: '203.0.113.1',
      port: 15_443,
      region: null,
      zone: null,
      subzone: null,
      sni_mode: 'auto-passthrough',
      state: 'active',
      heartbeat_seconds: null,
      seen_at: null,
      created_at: now,
    })
    .execute()
}

/** An endpoint of `shop/cart`, port `http`, reported now for another minute. */
export async function addEndpoint(
  { db, meshId, now }: Placed,
  one: { readonly cluster: string; readonly network: string; readonly address: string },
): Promise<void> {
  const reporter = parseSpiffeId(`spiffe://${meshId}.example/reporter/${one.cluster}`)
  await db
    .insertInto('endpoint_reporter')
    .values({
      mesh_id: meshId,
      cluster: one.cluster,
      reporter,
      revision: 1n,
      ttl_seconds: 60,
      seen_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await db
    .insertInto('endpoint')
    .values({
      mesh_id: meshId,
      ...one,
      reporter,
      namespace: 'shop',
      service: 'cart',
      workload_uid: `pod-${one.address}`,
      port: 8080,
      port_name: 'http',
      region: null,
      zone: null,
      subzone: null,
      reported_at: now,
    })
    .execute()
}
