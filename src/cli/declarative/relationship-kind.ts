import { type Cli } from '../cli.ts'
import { path } from '../client.ts'
import { isJsonRecord, type JsonRecord } from './json-schema.ts'
import { type Ending, type EndOptions, type Kind, type Pinned, type Step } from './kind.ts'

/** The kind `Relationship`: its domains are pinned, and it is terminated before it is deleted. */
export const relationship: Kind = {
  kind: 'Relationship',
  collection: '/meshes/{meshId}/relationships',
  nameMember: 'name',
  complete: withStaticBundles,
  comparable: withoutFirstBundles,
  pinnedSteps: bundleSteps,
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
    return isStatic(domain) ? withSameText(domain, before) : without(domain, 'bundle')
  })
  return { ...body, domains }
}

/** White space around a document says nothing. */
function withSameText(domain: JsonRecord, before: JsonRecord): JsonRecord {
  const [wanted, known] = [domain['bundle'], before['bundle']]
  const isSame = typeof wanted === 'string' && typeof known === 'string'
  return isSame && wanted.trim() === known.trim() ? { ...domain, bundle: known } : domain
}

function without(record: JsonRecord, name: string): JsonRecord {
  return Object.fromEntries(Object.entries(record).filter(([member]) => member !== name))
}

/** The bundle of a static domain can be set; everything else of a domain is pinned (FE-08). */
function bundleSteps(target: string, { wanted, pinned }: Pinned): readonly Step[] | undefined {
  const statics = domainsOf(wanted).filter(isStatic)
  const bundles = new Map(statics.map((domain) => [`domains[${nameOf(domain)}].bundle`, domain]))
  const steps = pinned.flatMap(({ field }): Step[] => {
    const domain = bundles.get(field)
    if (domain === undefined) return []
    const at = target + path`/bundles/${nameOf(domain)}`
    return [{ method: 'POST', target: at, body: { document: domain['bundle'] } }]
  })
  return steps.length === pinned.length ? steps : undefined
}

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
