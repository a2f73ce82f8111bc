import {
  answerBundle,
  countWhenComplete,
  noBundleHere,
  refuseOtherMethods,
} from '../../bundle/answer-bundle.ts'
import { type App } from '../../http/listener.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { readRelayRef } from '../../bundle/reader-ref.ts'
import { type RelayRoutesOptions } from '../route-options.ts'

interface RelayParams {
  td: string
  ref: string
}

const URL = '/bundles/:td/peers/:ref'

/**
 * The relay: a peer's bundle as this mesh accepts it now, for the mesh's own control planes (their SPIRE, their
 * istiod), served like our own bundle. A forged reference is a 404 without a query.
 */
export const relayRoutes = async (app: App, options: RelayRoutesOptions): Promise<void> => {
  const { relays, fetches } = options
  app.route<{ Params: RelayParams }>({
    method: ['GET', 'HEAD'],
    url: URL,
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const { td, ref } = request.params
      const meshId = options.meshOf(td as TrustDomain)
      const ownTrustDomain = td as TrustDomain
      const relayId = readRelayRef(options.readerSecret, ownTrustDomain, ref)
      if (meshId === undefined || relayId === undefined) throw noBundleHere()
      const key = { meshId, ownTrustDomain, relayId }
      const bundle = await relays.fresh(key)
      if (bundle === undefined) throw noBundleHere()
      const { sequence } = bundle
      if (request.method === 'GET') countWhenComplete(reply, () => relays.count(key, sequence))
      return answerBundle({ bundle, request, reply, isReaderUrl: true, fetches })
    },
  })
  refuseOtherMethods(app, URL)
}
