import { type ProposalView } from '../../federation/proposal/proposal-api.ts'
import { certificateKey, readCertificate } from '../../pki/certificate.ts'
import { publicJwk } from '../../pki/key-pair.ts'
import { splitPem } from '../../pki/pem.ts'
import { writeBundleText } from '../../spiffe/bundle.ts'
import { parseTrustDomain } from '../../spiffe/trust-domain.ts'
import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import {
  type Ending,
  type EndOptions,
  fixedOnce,
  type Kind,
  type Pinned,
  type PinnedSteps,
  type Step,
} from './kind.ts'

/** The kind `Relationship`: its domains are pinned, and it is terminated before it is deleted. */
export const relationship: Kind = {
  kind: 'Relationship',
  collection: '/meshes/{meshId}/relationships',
  nameMember: 'name',
  complete: withStaticBundles,
  comparable: withoutFirstBundles,
  pinnedSteps,
  closed: ({ name, state }) =>
    state === 'terminated'
      ? `it is terminated; entente federation delete ${String(name)} makes room for it`
      : undefined,
  end: endRelationship,
}

function domainsOf(body: JsonRecord): JsonRecord[] {
  const domains: readonly unknown[] = Array.isArray(body['domains']) ? body['domains'] : []
  return domains.filter(isJsonRecord)
}

function isStatic(domain: JsonRecord): boolean {
  return domain['source'] === 'static'
}

/** Of a static domain the bundle is all there is, so the document holds it; others fetch theirs. */
async function withStaticBundles(cli: Cli, target: string, body: JsonRecord): Promise<JsonRecord> {
  const domains: JsonRecord[] = []
  for (const domain of domainsOf(body)) {
    domains.push(
      isStatic(domain) ? { ...domain, ...(await bundleOf(cli, target, domain)) } : domain,
    )
  }
  return { ...body, domains }
}

async function bundleOf(cli: Cli, target: string, domain: JsonRecord): Promise<JsonRecord> {
  const at = target + path`/bundles/${String(domain['trustDomain'])}`
  const found = (await cli.find(at))?.body
  return isJsonRecord(found) ? { bundle: found['document'] } : {}
}

/** The bundle with which a domain first authenticates its endpoint has done its work once the domain exists. */
function withoutFirstBundles(body: JsonRecord, live: JsonRecord): JsonRecord {
  if (!Array.isArray(body['domains'])) return body
  const known = new Map(domainsOf(live).map((domain) => [domain['trustDomain'], domain]))
  const domains = domainsOf(body).map((domain) => {
    const before = known.get(domain['trustDomain'])
    if (before === undefined) return domain
    if (!isStatic(domain)) return without(domain, ['bundle', 'bundlePem'])
    return withSameText(asBundle(domain), before)
  })
  return { ...body, domains }
}

/** Certificates in PEM as the bundle that the service makes of them; what cannot be read it will refuse. */
function asBundle(domain: JsonRecord): JsonRecord {
  const { trustDomain, bundlePem: pem } = domain
  if (typeof trustDomain !== 'string' || typeof pem !== 'string') return domain
  try {
    const bundle = writeBundleText({
      trustDomain: parseTrustDomain(trustDomain),
      sequence: undefined,
      refreshHintSeconds: undefined,
      x509Authorities: splitPem(pem).map((certificate) => ({
        certificate,
        jwk: publicJwk(certificateKey(readCertificate(certificate))),
      })),
      jwtAuthorities: [],
    })
    return { ...without(domain, ['bundlePem']), bundle }
  } catch {
    return domain
  }
}

/** White space around a document says nothing. */
function withSameText(domain: JsonRecord, before: JsonRecord): JsonRecord {
  const [wanted, known] = [domain['bundle'], before['bundle']]
  const isSame = typeof wanted === 'string' && typeof known === 'string'
  return isSame && wanted.trim() === known.trim() ? { ...domain, bundle: known } : domain
}

function without(record: JsonRecord, names: readonly string[]): JsonRecord {
  return Object.fromEntries(Object.entries(record).filter(([member]) => !names.includes(member)))
}

/** The bundle of a static domain can be set; any other change of the domains is proposed (FE-08). */
async function pinnedSteps(
  cli: Cli,
  target: string,
  { wanted, pinned }: Pinned,
): Promise<PinnedSteps> {
  const beside = pinned.filter(({ field }) => !field.startsWith('domains'))
  if (beside.length > 0) return { refusal: fixedOnce(beside) }
  const statics = domainsOf(wanted).filter(isStatic)
  const bundles = new Map(statics.map((domain) => [`domains[${nameOf(domain)}].bundle`, domain]))
  const steps = pinned.flatMap(({ field }): Step[] => {
    const domain = bundles.get(field)
    if (domain === undefined) return []
    const at = target + path`/bundles/${nameOf(domain)}`
    return [{ method: 'POST', target: at, body: { document: domain['bundle'] } }]
  })
  return steps.length === pinned.length ? { steps } : propose(cli, target, wanted['domains'])
}

/** A proposal that is open already is not made again; the service tells by a dry run whether it is the same. */
async function propose(cli: Cli, target: string, domains: unknown): Promise<PinnedSteps> {
  const step: Step = { method: 'POST', target: `${target}/proposals`, body: { domains } }
  const { proposals } = await cli.get<{ proposals: readonly Proposal[] }>(target)
  const open = proposals.find(({ origin }) => origin === 'ours')
  const waits = `entente federation show ${target.slice(target.lastIndexOf('/') + 1)}`
  if (open !== undefined) {
    const query = { dryRun: true }
    const { proposal } = await cli.post<{ proposal: Proposal }>(step.target, step.body, {
      query,
      quiet: true,
    })
    if (proposal.digest === open.digest) return { steps: [], waits }
  }
  return { steps: [step], waits }
}

type Proposal = Pick<ProposalView, 'digest' | 'origin'>

function nameOf(domain: JsonRecord): string {
  return String(domain['trustDomain'])
}

async function endRelationship(
  cli: Cli,
  target: string,
  { dryRun }: EndOptions,
): Promise<readonly Ending[]> {
  const { state } = await cli.get<{ state: string }>(target)
  const query = { dryRun: dryRun ? true : undefined }
  let ended: readonly Ending[] = []
  if (state !== 'terminated') {
    const ifMatch = await cli.etag(target)
    const options = { ifMatch, query, quiet: true }
    ended = (await cli.post<{ ended: readonly Ending[] }>(`${target}/terminate`, {}, options)).ended
  }
  if (!dryRun) await cli.delete(target)
  return ended
}
