import { type Db, inTransaction } from '../db/connect.ts'
import { parseMeshId } from '../db/ids.ts'
import { type DbClock } from '../db/time.ts'
import { DryRunQuery } from '../http/dry-run.ts'
import { type App } from '../http/listener.ts'
import { CreatedOfferBody, CreateOfferBody, OfferBody, OfferParams, OffersParams } from './api.ts'
import { createOffer, deleteOffer } from './change-offers.ts'
import { type Offer, serviceTitle } from './service.ts'
import { viewOffer } from './view.ts'

/** What the routes of offers need. */
export interface OfferRoutesOptions {
  readonly db: Db
  readonly now: DbClock
}

/**
 * What peers offer, entered by hand: create and delete. The list, which says what of it we import, is policy's.
 */
export const offerRoutes = async (app: App, { db, now }: OfferRoutesOptions): Promise<void> => {
  app.post(
    '/meshes/:meshId/relationships/:relationship/offers',
    {
      config: { action: 'offer.create' },
      schema: {
        tags: ['relationships'],
        summary: 'Enter by hand a service that a peer offers',
        params: OffersParams,
        body: CreateOfferBody,
        querystring: DryRunQuery,
        response: { 201: CreatedOfferBody, 200: CreatedOfferBody },
      },
    },
    async (request, reply) => {
      const meshId = parseMeshId(request.params.meshId)
      const { relationship } = request.params
      const { dryRun } = request.query
      const offer = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx) }
          return createOffer(trx, meshId, { relationship, draft: request.body, context })
        },
        { dryRun },
      )
      const body = { ...viewOffer(offer), next: nextAfterCreate(offer) }
      if (dryRun === true) return reply.code(200).send(body)
      const at = `/v1/meshes/${meshId}/relationships/${relationship}/offers`
      return reply
        .code(201)
        .header('location', `${at}/${serviceTitle(offer)}`)
        .send(body)
    },
  )

  app.delete(
    '/meshes/:meshId/relationships/:relationship/offers/:namespace/:name',
    {
      config: { action: 'offer.delete' },
      schema: {
        tags: ['relationships'],
        summary: 'Delete an offer that was entered by hand; answers with what it was',
        params: OfferParams,
        querystring: DryRunQuery,
        response: { 200: OfferBody },
      },
    },
    async (request) => {
      const meshId = parseMeshId(request.params.meshId)
      const { params, query } = request
      const offer = await inTransaction(
        db,
        async (trx) => {
          const context = { actor: request.principal.name, now: await now(trx) }
          const { relationship } = params
          return deleteOffer(trx, meshId, { relationship, name: params, context })
        },
        { dryRun: query.dryRun },
      )
      return viewOffer(offer)
    },
  )
}

function nextAfterCreate(offer: Offer): string[] {
  const title = serviceTitle(offer)
  return [
    `entente rule import ${title} --from ${offer.relationship}`,
    `entente explain ID --may-call ${title} --of ${offer.relationship}`,
  ]
}
