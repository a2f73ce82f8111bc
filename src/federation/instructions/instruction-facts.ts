import { findCurrentBundle } from '../../bundle/find-bundle.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { toPem } from '../../pki/pem.ts'
import { parseBundle, type X509Authority } from '../../spiffe/bundle.ts'
import { trustDomainOf } from '../../spiffe/spiffe-id.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { type OwnEndpoint, type PeerReaders } from '../create-relationship.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { bundleIn } from '../poll/held-bundles.ts'
import { findHeldByRelay } from '../poll/held-store.ts'
import { type BundleSource, type InstructionFacts, type InstructionSide } from './instruction.ts'
import { type Relationship, type RelationshipDomain } from '../relationship.ts'

/** What gathering facts for instructions needs. */
export interface InstructionDeps {
  readonly db: Db
  readonly readers: Pick<PeerReaders, 'urls' | 'relayUrls' | 'ownEndpoints'>
}

/**
 * What the instructions of a relationship are made of: for the peer our bundles at the URL that is its own, for our
 * own control planes the peer's bundles at the relay.
 */
export async function gatherInstructionFacts(
  deps: InstructionDeps,
  relationship: Relationship,
  side: InstructionSide,
): Promise<InstructionFacts> {
  const endpoints = await deps.readers.ownEndpoints(deps.db, relationship.meshId)
  const sources =
    side === 'theirs'
      ? await ourSources(deps, relationship, endpoints)
      : await relayedSources(deps, relationship, endpoints)
  return { side, relationship: relationship.name, sources }
}

async function ourSources(
  { db, readers }: InstructionDeps,
  { meshId, domains }: Relationship,
  endpoints: readonly OwnEndpoint[],
): Promise<BundleSource[]> {
  const readerId = domains.find((domain) => domain.readerId !== undefined)?.readerId
  const urlOf = await readers.urls(db, meshId)
  const sources: BundleSource[] = []
  for (const endpoint of endpoints) {
    const isRead = endpoint.isPrimary && readerId !== undefined
    const own = await publishedText(db, meshId, endpoint.trustDomain)
    sources.push({
      trustDomain: endpoint.trustDomain,
      url: isRead ? urlOf(readerId) : endpoint.url,
      ...(await proofOf(db, meshId, endpoint)),
      rootsPem: own === undefined ? [] : pemOf(own.x509Authorities),
    })
  }
  return sources
}

async function relayedSources(
  { db, readers }: InstructionDeps,
  { meshId, domains }: Relationship,
  endpoints: readonly OwnEndpoint[],
): Promise<BundleSource[]> {
  const primary = endpoints.find(({ isPrimary }) => isPrimary)
  if (primary === undefined) return []
  const proof = await proofOf(db, meshId, primary)
  const urlOf = await readers.relayUrls(db, meshId)
  const sources: BundleSource[] = []
  for (const domain of domains) {
    sources.push({
      trustDomain: domain.trustDomain,
      url: urlOf(domain.relayId),
      ...proof,
      rootsPem: pemOf(await acceptedRoots(db, meshId, domain)),
    })
  }
  return sources
}

/** How an endpoint of ours proves itself, with the bundle by which that is checked. */
async function proofOf(
  db: Db,
  meshId: MeshId,
  { profile, endpointId }: OwnEndpoint,
): Promise<Pick<BundleSource, 'profile' | 'endpointId' | 'endpointBundle'>> {
  if (endpointId === undefined) return { profile, endpointId, endpointBundle: undefined }
  const published = await publishedText(db, meshId, trustDomainOf(endpointId))
  return { profile, endpointId, endpointBundle: published?.text }
}

async function publishedText(db: Db, meshId: MeshId, trustDomain: TrustDomain) {
  const published = await findCurrentBundle(db, meshId, trustDomain)
  if (published === undefined) return undefined
  const { bundle } = parseBundle(trustDomain, published.document)
  return {
    text: new TextDecoder().decode(published.document),
    x509Authorities: bundle.x509Authorities,
  }
}

/** The X.509 authorities that the relay hands out now. */
async function acceptedRoots(
  db: Db,
  meshId: MeshId,
  { relayId }: RelationshipDomain,
): Promise<readonly X509Authority[]> {
  const held = await findHeldByRelay(db, meshId, relayId)
  const bundle = held?.state === 'active' ? bundleIn(held) : undefined
  if (bundle === undefined) return []
  const { digests } = await loadDistrust(db, meshId)
  return effectiveBundle(bundle, digests).x509Authorities
}

function pemOf(authorities: readonly X509Authority[]): string[] {
  return authorities.map(({ certificate }) => toPem(certificate))
}
