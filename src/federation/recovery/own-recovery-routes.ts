import { recordAudit } from '../../audit/record.ts'
import { inTransaction } from '../../db/connect.ts'
import { bumpChange } from '../../db/changes.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { loadTrustDomain, lockTrustDomain } from '../../mesh/find-mesh.ts'
import { parseTrustDomain } from '../../spiffe/trust-domain.ts'
import { TrustDomainParams } from '../adopt/adopt-api.ts'
import { announceProposal } from '../exchange/announce.ts'
import { OwnRecoveryBody, OwnRecoveryView, type OwnRecoveryAnswer } from './own-recovery-api.ts'
import { ownRecovery, putOwnRecovery } from './own-recovery-store.ts'
import { parseRecovery, type RecoveryPath, writeRecovery } from './recovery.ts'
import { listRelationships } from '../store.ts'

/** What the routes of our own recovery paths need. */
export interface OwnRecoveryRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

/** How peers may renew the bundle of a trust domain of ours: told in invites, and to those who federate already. */
export const ownRecoveryRoutes = async (
  app: App,
  { db, now }: OwnRecoveryRoutesOptions,
): Promise<void> => {
  const url = '/meshes/:meshId/trust-domains/:trustDomain/recovery'

  app.get(
    url,
    {
      config: { action: 'trust-domain.list' },
      schema: {
        tags: ['meshes'],
        summary: 'Read how peers may renew the bundle of this trust domain',
        params: TrustDomainParams,
        response: { 200: OwnRecoveryView },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = await loadTrustDomain(
        db,
        meshId,
        parseTrustDomain(request.params.trustDomain),
      )
      return view(await ownRecovery(db, meshId, name), name)
    },
  )

  app.put(
    url,
    {
      config: { action: 'trust-domain.update' },
      schema: {
        tags: ['meshes'],
        summary:
          'Tell peers how they may renew our bundle when its endpoint cannot be authenticated',
        params: TrustDomainParams,
        body: OwnRecoveryBody,
        querystring: DryRunQuery,
        response: { 200: OwnRecoveryView },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const trustDomain = parseTrustDomain(request.params.trustDomain)
      const recovery = parseRecovery(request.body.recovery, { trustDomain, at: '/recovery' })
      const actor = request.principal.name
      await inTransaction(
        db,
        async (trx) => {
          await lockTrustDomain(trx, meshId, trustDomain)
          const at = await now(trx)
          const before = await ownRecovery(trx, meshId, trustDomain)
          await putOwnRecovery(trx, meshId, { trustDomain, recovery })
          await recordAudit(trx, {
            meshId,
            at,
            actor,
            action: 'trust-domain.recovery',
            object: `trust-domain/${trustDomain}`,
            body: { before: before.map(writeRecovery), after: recovery.map(writeRecovery) },
          })
          for (const relationship of await listRelationships(trx, meshId)) {
            if (relationship.state !== 'terminated') await announceProposal(trx, relationship, at)
          }
          await bumpChange(trx, meshId, 'relationship')
        },
        { dryRun: request.query.dryRun },
      )
      return view(recovery, trustDomain)
    },
  )
}

function view(recovery: readonly RecoveryPath[], trustDomain: string): OwnRecoveryAnswer {
  return {
    trustDomain,
    recovery: recovery.map((path) => {
      const { publicKey, ...rest } = writeRecovery(path)
      return { ...rest, ...(publicKey === undefined ? {} : { publicKey: { ...publicKey } }) }
    }),
  }
}
