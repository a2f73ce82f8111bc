import { type ChangeContext } from '../../audit/record.ts'
import { loadCurrentBundle } from '../../bundle/find-bundle.ts'
import { assignReader, createReader, readerUrl, removeReader } from '../../bundle/readers.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db, type InviteReader } from '../../db/schema.ts'
import { isServiceError, ServiceError } from '../../errors.ts'
import { type BundleEndpoint } from '../../mesh/bundle-host.ts'
import { bundleEndpointOfDomain, loadMesh, trustDomainsOf } from '../../mesh/find-mesh.ts'
import { type MeshTrustDomain } from '../../mesh/mesh.ts'
import { type EndpointUrl, parseEndpointUrl } from '../../spiffe/endpoint-profile.ts'
import { exchangeId } from '../../spiffe/spiffe-id.ts'
import { PEER_API } from '../exchange/call-peer.ts'
import { ownRecovery } from '../recovery/own-recovery-store.ts'
import { type Side, type SideDomain } from './peer-side.ts'

/** What our side is told with. */
export interface OurSideOptions {
  /** Base of every URL we print. */
  readonly publicUrl: string
  /** The service's secret for reader references. */
  readonly secret: Uint8Array
}

/** Somebody to whom our mesh introduces itself. */
export interface Acquaintance {
  /** A DNS label for the readers of our bundles. */
  readonly label: string
  /** Eight characters that make the label unique where it is taken. */
  readonly suffix: string
  readonly relationshipId?: string | undefined
  readonly context: ChangeContext
}

/** Our side with the readers whose URLs are in it. */
export interface Introduction {
  readonly side: Side
  readonly readers: readonly InviteReader[]
  readonly handshakeUrl: EndpointUrl
}

/** Tells peers about our meshes: domains, a bundle URL for each peer, exchange identity. */
export class OurSide {
  readonly #options: OurSideOptions

  constructor(options: OurSideOptions) {
    this.#options = options
  }

  /**
   * Makes a reader of each of our bundles for somebody, in the caller's transaction, and tells what they need to know.
   *
   * Throws NOT_FOUND without such a mesh, CONFLICT when another system signs for its primary domain.
   */
  async introduce(trx: Db, meshId: MeshId, whom: Acquaintance): Promise<Introduction> {
    const readers: InviteReader[] = []
    for (const { name: trustDomain } of await this.#domains(trx, meshId)) {
      readers.push({ trustDomain, id: await makeReader(trx, meshId, { ...whom, trustDomain }) })
    }
    return this.tell(trx, meshId, readers)
  }

  /** Our side as it is now, with the URLs of readers that were made before. Throws what {@link introduce} throws. */
  async tell(db: Db, meshId: MeshId, readers: readonly InviteReader[]): Promise<Introduction> {
    const mesh = await loadMesh(db, meshId)
    const domains: SideDomain[] = []
    let base: string | undefined
    for (const domain of await this.#domains(db, meshId)) {
      const endpoint = await bundleEndpointOfDomain(db, domain, this.#options.publicUrl)
      base ??= baseOf(endpoint, domain)
      const readerId = readers.find(({ trustDomain }) => trustDomain === domain.name)?.id
      domains.push(await this.#domain(db, domain, { endpoint, readerId }))
    }
    const [primary] = domains
    if (primary === undefined || base === undefined) throw new Error('a mesh has a trust domain')
    const api = `${base}${PEER_API}`
    const exchange = { id: exchangeId(primary.trustDomain), url: parseEndpointUrl(api) }
    return {
      side: { meshName: mesh.meshId, domains, exchange },
      readers,
      handshakeUrl: parseEndpointUrl(`${api}/handshake`),
    }
  }

  /** Makes the readers those of a relationship. */
  async assign(
    trx: Db,
    meshId: MeshId,
    {
      readers,
      relationshipId,
    }: { readonly readers: readonly InviteReader[]; readonly relationshipId: string },
  ): Promise<void> {
    for (const reader of readers) await assignReader(trx, meshId, { ...reader, relationshipId })
  }

  /** Takes the readers away again; one that is gone already is no error. */
  async forget(
    trx: Db,
    meshId: MeshId,
    {
      readers,
      context,
    }: { readonly readers: readonly InviteReader[]; readonly context: ChangeContext },
  ): Promise<void> {
    for (const reader of readers) {
      try {
        await removeReader(trx, meshId, { ...reader, context })
      } catch (error) {
        if (!isServiceError(error, 'NOT_FOUND')) throw error
      }
    }
  }

  async #domains(db: Db, meshId: MeshId): Promise<MeshTrustDomain[]> {
    await loadMesh(db, meshId)
    const all = await trustDomainsOf(db, meshId)
    const domains = all.toSorted((one, other) => Number(other.isPrimary) - Number(one.isPrimary))
    const [primary] = domains
    if (primary?.issuer === 'managed') return domains
    throw new ServiceError(
      'CONFLICT',
      `another system signs for ${primary?.name}, so this service cannot prove a handshake in its name`,
      { next: 'entente federation instructions' },
    )
  }

  async #domain(
    db: Db,
    { meshId, name: trustDomain }: MeshTrustDomain,
    {
      endpoint,
      readerId,
    }: { readonly endpoint: BundleEndpoint; readonly readerId: string | undefined },
  ): Promise<SideDomain> {
    const { document } = await loadCurrentBundle(db, meshId, trustDomain)
    const url =
      readerId === undefined
        ? endpoint.url
        : readerUrl(endpoint.url, this.#options.secret, { trustDomain, id: readerId })
    return {
      trustDomain,
      profile: endpoint.profile,
      url: parseEndpointUrl(url),
      endpointId: endpoint.endpointSpiffeId,
      recovery: await ownRecovery(db, meshId, trustDomain),
      document,
    }
  }
}

async function makeReader(
  trx: Db,
  meshId: MeshId,
  { label, suffix, ...wanted }: Acquaintance & Pick<InviteReader, 'trustDomain'>,
): Promise<string> {
  try {
    return (await createReader(trx, meshId, { ...wanted, label })).id
  } catch (error) {
    if (!isServiceError(error, 'ALREADY_EXISTS')) throw error
    return (
      await createReader(trx, meshId, { ...wanted, label: `${label.slice(0, 50)}-${suffix}` })
    ).id
  }
}

/** The base of our URLs at an endpoint: what stands before the path of the bundle. */
function baseOf({ url }: BundleEndpoint, { name }: MeshTrustDomain): string {
  return url.slice(0, -`/bundles/${name}`.length)
}
