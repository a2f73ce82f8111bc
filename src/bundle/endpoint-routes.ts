import type { App } from '../http/listener.ts'
import type { BundleFetches } from '../http/metrics.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import {
  answerBundle,
  countWhenComplete,
  noBundleHere,
  refuseOtherMethods,
} from './answer-bundle.ts'
import type { CurrentBundles } from './current.ts'
import type { KnownUrls } from './known-urls.ts'
import { type FormerHosts, plainHost } from './former-hosts.ts'
import type { ReaderCounts } from './reader-counts.ts'
import { readReaderRef } from './reader-ref.ts'
import { plainAddress } from './recent-sources.ts'
import type { ServedBundle } from './representation.ts'

/** What the bundle endpoint needs; it asks nobody who they are (FE-13). */
export interface BundleEndpointOptions {
  readonly bundles: CurrentBundles
  readonly readers: ReaderCounts
  readonly formerHosts: Pick<FormerHosts, 'note'>
  /** The secret behind reader references. */
  readonly readerSecret: Uint8Array
  readonly fetches: BundleFetches
  /** Learns the URLs that were answered, to answer them itself from then on. */
  readonly urls: KnownUrls
}

interface PlainParams {
  td: string
}
interface ReaderParams extends PlainParams {
  ref: string
}

/**
 * The bundle endpoint of SPIFFE Federation §5.2: the newest bundle of each of our trust domains, over HTTPS, to
 * anybody (FE-10 to FE-13). It never redirects (FE-17, FE-18).
 */
export const bundleEndpointRoutes = async (
  app: App,
  options: BundleEndpointOptions,
): Promise<void> => {
  app.route<{ Params: PlainParams }>({
    method: ['GET', 'HEAD'],
    url: '/bundles/:td',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const bundle = await find(options, request.params.td)
      options.formerHosts.note(plainHost(request.headers.host))
      options.urls.learn(request.raw.url ?? '', { trustDomain: bundle.trustDomain })
      return answerBundle({ bundle, request, reply, isReaderUrl: false, fetches: options.fetches })
    },
  })

  app.route<{ Params: ReaderParams }>({
    method: ['GET', 'HEAD'],
    url: '/bundles/:td/for/:ref',
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const bundle = await find(options, request.params.td)
      const { meshId, trustDomain, sequence } = bundle
      const id = readReaderRef(options.readerSecret, trustDomain, request.params.ref)
      if (id === undefined) throw noBundleHere()
      if (!(await options.readers.exists(meshId, trustDomain, id))) throw noBundleHere()
      const host = plainHost(request.headers.host)
      options.formerHosts.note(host)
      const source = plainAddress(request.raw.socket.remoteAddress)
      const access = { meshId, trustDomain, id, sequence, host, source }
      if (request.method === 'GET') countWhenComplete(reply, () => options.readers.count(access))
      options.urls.learn(request.raw.url ?? '', { trustDomain, readerId: id })
      return answerBundle({ bundle, request, reply, isReaderUrl: true, fetches: options.fetches })
    },
  })

  for (const url of ['/bundles/:td', '/bundles/:td/for/:ref']) refuseOtherMethods(app, url)
}

async function find(options: BundleEndpointOptions, td: string): Promise<ServedBundle> {
  // Any text may be asked for: names that are none of ours, malformed ones included, are simply not there.
  const bundle = await options.bundles.fresh(td as TrustDomain)
  if (bundle === undefined) throw noBundleHere()
  return bundle
}
