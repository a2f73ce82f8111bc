import { type CurrentBundles } from '../bundle/current.ts'
import { type ServedBundle } from '../bundle/representation.ts'
import { ServiceError } from '../errors.ts'
import { type Bundle, parseBundle } from '../spiffe/bundle.ts'
import { type TrustDomain } from '../spiffe/trust-domain.ts'

/** A bundle of ours as it is handed out, and what is in it. */
export interface OwnBundle {
  readonly served: ServedBundle
  readonly bundle: Bundle
  /** Certificates of its X.509 authorities; the same array while the bundle stays the same. */
  readonly anchors: readonly Uint8Array[]
}

/** Reads our own current bundles from memory, each parsed once. */
export class OwnBundles {
  readonly #current: Pick<CurrentBundles, 'get'>
  readonly #parsed = new WeakMap<ServedBundle, OwnBundle>()

  constructor(current: Pick<CurrentBundles, 'get'>) {
    this.#current = current
  }

  /** The current bundle of a trust domain of ours, or undefined when it is none. */
  find(trustDomain: TrustDomain): OwnBundle | undefined {
    const served = this.#current.get(trustDomain)
    if (served === undefined) return undefined
    const known = this.#parsed.get(served)
    if (known !== undefined) return known
    const { bundle } = parseBundle(trustDomain, served.document)
    const anchors = bundle.x509Authorities.map(({ certificate }) => certificate)
    const own = { served, bundle, anchors }
    this.#parsed.set(served, own)
    return own
  }

  /** The current bundle of a trust domain of ours; throws ISSUER_UNAVAILABLE while it is not loaded. */
  load(trustDomain: TrustDomain): OwnBundle {
    const own = this.find(trustDomain)
    if (own !== undefined) return own
    throw new ServiceError('ISSUER_UNAVAILABLE', `the bundle of ${trustDomain} is not loaded yet`, {
      retryAfterSeconds: 1,
    })
  }
}
