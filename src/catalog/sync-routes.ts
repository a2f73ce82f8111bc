import { type Static, Type } from 'typebox'
import { type Db, inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { type App } from '../http/listener.ts'
import { MeshParams } from '../mesh/api.ts'
import { type SyncPlan } from './plan-sync.ts'
import { serviceTitle } from './service.ts'
import { SyncBody, SyncedBody, type SyncedView } from './sync-api.ts'
import { syncServices } from './sync-services.ts'

/** What the route of syncs needs. */
export interface SyncRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

const SyncParams = Type.Object({
  ...MeshParams.properties,
  cluster: Type.String({ minLength: 1, maxLength: 63 }),
})
/** Bytes of a list: 10,000 services with a few labels fit. */
const SYNC_LIMIT_BYTES = 8 * 1024 * 1024
/** Names in each list of an answer; the rest is only counted. */
const MOST_NAMED = 1000

/** The services that a cluster has, as a tool beside it sees them. */
export const syncRoutes = async (app: App, { db, now }: SyncRoutesOptions): Promise<void> => {
  app.put(
    '/meshes/:meshId/clusters/:cluster/services',
    {
      bodyLimit: SYNC_LIMIT_BYTES,
      config: { action: 'service.sync' },
      schema: {
        tags: ['services'],
        summary: 'Bring the catalogue to what a cluster has; what people entered stays as it is',
        params: SyncParams,
        body: SyncBody,
        querystring: DryRunQuery,
        response: { 200: SyncedBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { cluster } = request.params
      const plan = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx) }
          return syncServices(trx, meshId, { ...requestOf(request.body), cluster, context })
        },
        { dryRun: request.query.dryRun },
      )
      return viewPlan(plan)
    },
  )
}

function requestOf(body: Static<typeof SyncBody>) {
  const { source: kind, services, kept = [], namespaces, intentional = false } = body
  return { kind, services, kept, namespaces, intentional }
}

function viewPlan({ created, updated, deleted, unchanged, ofPeople }: SyncPlan): SyncedView {
  return {
    created: created.slice(0, MOST_NAMED).map(serviceTitle),
    createdCount: created.length,
    updated: updated.slice(0, MOST_NAMED).map(({ after }) => serviceTitle(after)),
    updatedCount: updated.length,
    deleted: deleted.slice(0, MOST_NAMED).map(serviceTitle),
    deletedCount: deleted.length,
    unchangedCount: unchanged,
    keptByPeople: ofPeople.slice(0, MOST_NAMED),
    keptByPeopleCount: ofPeople.length,
  }
}
