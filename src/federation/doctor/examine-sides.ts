import { findCurrentBundle } from '../../bundle/find-bundle.ts'
import { activityOf, type Reader } from '../../bundle/reader.ts'
import { readersOfRelationship } from '../../bundle/readers.ts'
import { type MeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { primaryTrustDomain } from '../../mesh/find-mesh.ts'
import { type Bundle, parseBundle } from '../../spiffe/bundle.ts'
import { type DoctorStep, failed, ok, skipped, warning } from './doctor-step.ts'
import { loadDistrust } from '../trust/distrust-store.ts'
import { effectiveBundle } from '../trust/effective-bundle.ts'
import { bundleFingerprint } from '../invite/fingerprint.ts'
import { bundleIn } from '../poll/held-bundles.ts'
import { findHeldByRelay } from '../poll/held-store.ts'
import { POOLING } from '../instructions/istio.ts'
import { type Relationship } from '../relationship.ts'

/** What both sides hold of each other: fingerprints, fetches, consent, and a remark for Istio. */
export async function examineSides(
  db: Db,
  relationship: Relationship,
  now: Date,
): Promise<DoctorStep[]> {
  return [
    ...(await fingerprintSteps(db, relationship)),
    ...(await fetchSteps(db, relationship, now)),
    consentStep(relationship),
    skipped(
      'istio',
      `only where istiod reads this bundle: ${POOLING.join(' ')}`,
      `entente federation instructions ${relationship.name} --side ours --for istio`,
    ),
  ]
}

/** Read aloud by both: what we call ours they must call theirs. */
async function fingerprintSteps(db: Db, { meshId, domains }: Relationship): Promise<DoctorStep[]> {
  const steps: DoctorStep[] = []
  const own = await ownBundle(db, meshId)
  if (own !== undefined) {
    steps.push(ok('fingerprints', `ours, ${own.trustDomain}: ${bundleFingerprint(own)}`))
  }
  const { digests } = await loadDistrust(db, meshId)
  for (const { relayId, trustDomain } of domains) {
    const held = await findHeldByRelay(db, meshId, relayId)
    const bundle = held === undefined ? undefined : bundleIn(held)
    steps.push(
      bundle === undefined
        ? skipped('fingerprints', `theirs, ${trustDomain}: no bundle is stored`)
        : ok(
            'fingerprints',
            `theirs, ${trustDomain}: ${bundleFingerprint(effectiveBundle(bundle, digests))}`,
          ),
    )
  }
  return steps
}

async function ownBundle(db: Db, meshId: MeshId): Promise<Bundle | undefined> {
  const { name } = await primaryTrustDomain(db, meshId)
  const published = await findCurrentBundle(db, meshId, name)
  return published === undefined ? undefined : parseBundle(name, published.document).bundle
}

async function fetchSteps(db: Db, relationship: Relationship, now: Date): Promise<DoctorStep[]> {
  const { meshId, id } = relationship
  const readers = await readersOfRelationship(db, meshId, id)
  if (readers.length === 0) {
    const detail = 'fetches not visible: no URL of our bundle is theirs alone'
    return [skipped('their-fetches', detail, 'entente bundle reader add')]
  }
  const steps: DoctorStep[] = []
  for (const reader of readers) steps.push(await fetchStep(db, { reader, relationship, now }))
  return steps
}

async function fetchStep(
  db: Db,
  about: { readonly reader: Reader; readonly relationship: Relationship; readonly now: Date },
): Promise<DoctorStep> {
  const { reader, relationship, now } = about
  const { trustDomain, lastAt, sequence } = reader
  const published = await findCurrentBundle(db, relationship.meshId, trustDomain)
  const hintSeconds = published?.hintSeconds ?? 300
  const howTo = `entente federation instructions ${relationship.name} --side theirs --for spire`
  if (lastAt === undefined) {
    const detail = `of ${trustDomain}: never at the URL that is theirs; fetches of the plain URL are not visible`
    return warning('their-fetches', detail, howTo)
  }
  const last = `of ${trustDomain}: last at ${lastAt.toISOString()}, sequence ${sequence ?? 'unknown'}`
  if (activityOf(reader, { hintSeconds, now }) === 'vanished') {
    return warning('their-fetches', `${last}; they have stopped`, 'ask the peer why')
  }
  const isBehind = published !== undefined && (sequence ?? 0n) < published.sequence
  return isBehind
    ? warning('their-fetches', `${last}; ours is ${published.sequence}`)
    : ok('their-fetches', last)
}

function consentStep({ name, state, ourConsent, theirConsent }: Relationship): DoctorStep {
  const theirs = theirConsent === 'assumed' ? 'assumed, one-way' : theirConsent
  const detail = `ours ${ourConsent}, theirs ${theirs}; the relationship is ${state}`
  if (ourConsent !== 'given') {
    return failed('consent', detail, `entente federation approve ${name}`)
  }
  if (theirConsent === 'pending' || theirConsent === 'withdrawn') {
    return failed('consent', detail, 'ask the peer to approve on its side')
  }
  return state === 'suspended'
    ? failed('consent', detail, `entente federation resume ${name}`)
    : ok('consent', detail)
}
