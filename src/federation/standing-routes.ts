import { Type } from 'typebox'
import { inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { etagOf, requireMatch } from '../http/etag.ts'
import { type App } from '../http/listener.ts'
import { MeshParams } from '../mesh/api.ts'
import {
  type ActedOnStanding,
  actOnStanding,
  type PeerAuthorities,
  STANDING_ACTS,
  type StandingAct,
} from './act-on-standing.ts'
import { nextAfterStanding } from './next-commands.ts'
import { type RelationshipRoutesOptions } from './route-options.ts'
import { ChangedStandingBody, type PeerAuthoritiesView, StandingBody } from './standing-api.ts'
import { hexOf } from './hex.ts'
import { viewRelationship } from './view.ts'

const Params = Type.Object({
  ...MeshParams.properties,
  name: Type.String({ maxLength: 63 }),
})

const SUMMARIES: Readonly<Record<StandingAct, string>> = {
  approve: 'Give our consent; the answer names the authorities that it makes trusted',
  withdraw: 'Withdraw our consent; bundles and exports are withheld at once. dryRun lists effects',
  suspend: "Withhold a peer's bundles and our exports at once; polls go on. dryRun lists effects",
  resume: 'End a suspension of ours; leads to what consents and stored bundles allow',
}

/** Approve, withdraw, suspend and resume a relationship. */
export const standingRoutes = async (
  app: App,
  options: RelationshipRoutesOptions,
): Promise<void> => {
  for (const act of STANDING_ACTS) mountAct(app, options, act)
}

function mountAct(app: App, options: RelationshipRoutesOptions, act: StandingAct): void {
  const { anchors, readers, dependants } = options
  const { db, now } = options.refresh
  app.post(
    `/meshes/:meshId/relationships/:name/${act}`,
    {
      config: { action: `relationship.${act}`, ifMatch: 'unless-dry-run', etag: [200] },
      schema: {
        tags: ['relationships'],
        summary: SUMMARIES[act],
        params: Params,
        body: StandingBody,
        querystring: DryRunQuery,
        response: { 200: ChangedStandingBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { name } = request.params
      const actor = request.principal.name
      const dryRun = request.query.dryRun ?? false
      const requireVersion = (version: bigint): void => {
        if (!dryRun) requireMatch(request, version)
      }
      const body = await inTransaction(
        db,
        async (trx) => {
          const context = { actor, now: await now(trx) }
          const reason = request.body?.reason
          const about = { name, act, context, reason, dependants, requireVersion }
          const acted = await actOnStanding(trx, meshId, about)
          const deps = { db: trx, anchors, readers }
          const relationship = await viewRelationship(deps, acted.relationship, context.now)
          return { ...viewActed(acted), relationship, next: nextAfterStanding(name, act, dryRun) }
        },
        { dryRun },
      )
      if (!dryRun) {
        options.peerBundles.invalidate(meshId)
        options.scheduler.kick()
      }
      reply.header('etag', etagOf(body.relationship.version))
      return body
    },
  )
}

function viewActed({ effects, peerAuthorities, ours }: ActedOnStanding) {
  return {
    effects: [...effects],
    peerAuthorities: peerAuthorities.map(viewAuthorities),
    ours: [...ours],
  }
}

function viewAuthorities(found: PeerAuthorities): PeerAuthoritiesView {
  return {
    trustDomain: found.trustDomain,
    bundleDigest: found.bundleDigest === undefined ? null : hexOf(found.bundleDigest),
    fingerprint: found.fingerprint ?? null,
    authorities: found.authorities.map(({ kind, publicKeySha256, kid, notAfter }) => ({
      kind,
      publicKeySha256,
      kid: kid ?? null,
      notAfter: notAfter?.toISOString() ?? null,
    })),
  }
}
