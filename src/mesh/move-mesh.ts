import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { addSeconds } from '../clock.ts'
import { bumpChange } from '../db/changes.ts'
import { inTransaction } from '../db/connect.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import type { DbClock } from '../db/time.ts'
import { quoted, ServiceError } from '../errors.ts'
import { type EndpointUrl, parseEndpointUrl } from '../spiffe/endpoint-profile.ts'
import { type BundleEndpoint, bundleEndpointOf, hostOf, parseBundleHost } from './bundle-host.ts'
import { lockTrustDomain, primaryTrustDomain } from './find-mesh.ts'
import * as formerHosts from './former-host-store.ts'
import { takenBundleHosts } from './store.ts'

export { type FormerHost } from './former-host-store.ts'

/** Seconds without a fetch after which a former host is answered under no more: a day. */
export const SILENT_SECONDS = 86_400

/** A move, on whose word. */
export interface MoveMesh {
  /** The new base of our URLs, such as https://spiffe.example.com:8443. */
  readonly url: string
  readonly publicUrl: string
  readonly context: ChangeContext
}

/** Where the primary domain of a mesh was reached, and where it is from now on. */
export interface Moved {
  readonly from: BundleEndpoint
  readonly to: BundleEndpoint
}

/**
 * Has the primary bundle endpoint of a mesh stand under another host, in the caller's transaction; the old one is
 * answered under, with the same certificate, until nobody has fetched by it for a day.
 *
 * Throws ENDPOINT_URL_INVALID, INVALID_REQUEST for a URL that is no base or has the same host, ALREADY_EXISTS for a
 * host that is taken, NOT_FOUND.
 */
export async function moveMesh(trx: Db, meshId: MeshId, move: MoveMesh): Promise<Moved> {
  const { context, publicUrl } = move
  const { name } = await primaryTrustDomain(trx, meshId)
  const domain = await lockTrustDomain(trx, meshId, name)
  const from = bundleEndpointOf(domain, domain, publicUrl)
  const baseUrl = parseBase(move.url)
  const host = parseBundleHost(hostOf(baseUrl))
  await checkHost(trx, { host, from, formerHosts: domain.formerHosts })
  await formerHosts.deleteFormerHost(trx, { meshId, host })
  await formerHosts.setHost(trx, meshId, { trustDomain: name, host, baseUrl })
  await formerHosts.insertFormerHost(trx, {
    meshId,
    trustDomain: name,
    host: from.host,
    baseUrl: baseOf(from.url),
    since: context.now,
  })
  const moved = { ...domain, bundleHost: host, baseUrl }
  const to = bundleEndpointOf(moved, moved, publicUrl)
  await recordAudit(trx, {
    meshId,
    at: context.now,
    actor: context.actor,
    action: 'mesh.move',
    object: `mesh/${meshId}`,
    body: { trustDomain: name, from: from.url, to: to.url },
  })
  await bumpChange(trx, meshId, 'mesh')
  return { from, to }
}

/** The hosts that a mesh has left and is still answered under. */
export async function formerHostsOf(db: Db, meshId: MeshId): Promise<formerHosts.FormerHost[]> {
  return formerHosts.listFormerHosts(db, meshId)
}

/** All hosts of the service that were left and are still answered under. */
export async function allFormerHosts(db: Db): Promise<ReadonlySet<string>> {
  return new Set((await formerHosts.listFormerHosts(db)).map(({ host }) => host))
}

/** Writes down when somebody last fetched by former hosts. */
export async function noteFetches(
  db: Db,
  fetches: readonly { readonly host: string; readonly at: Date }[],
): Promise<void> {
  if (fetches.length > 0) await formerHosts.noteFetches(db, fetches)
}

/** Ends the former hosts by which nobody has fetched for a day; answers with them. */
export async function endSilentHosts(db: Db, now: DbClock): Promise<formerHosts.FormerHost[]> {
  return inTransaction(db, async (trx) => {
    const at = await now(trx)
    const silent = await formerHosts.lockSilentHosts(trx, addSeconds(at, -SILENT_SECONDS))
    for (const { meshId, trustDomain, host, since, lastFetchAt } of silent) {
      await formerHosts.deleteFormerHost(trx, { meshId, host })
      await recordAudit(trx, {
        meshId,
        at,
        actor: 'timer:former-hosts',
        action: 'mesh.end-former-host',
        object: `mesh/${meshId}`,
        body: { trustDomain, host, since, lastFetchAt: lastFetchAt ?? null },
      })
      await bumpChange(trx, meshId, 'mesh')
    }
    return silent
  })
}

function parseBase(url: string): EndpointUrl {
  const parsed = parseEndpointUrl(url.replace(/\/+$/, ''))
  const { search, hash } = new URL(parsed)
  if (search === '' && hash === '') return parsed
  throw invalid(`${quoted(url)} has a query or fragment; wanted the base of our URLs`)
}

async function checkHost(
  trx: Db,
  about: {
    readonly host: string
    readonly from: BundleEndpoint
    readonly formerHosts: readonly string[]
  },
): Promise<void> {
  const { host, from } = about
  if (host === from.host) {
    throw invalid(
      `the mesh is at ${quoted(host)} already, and two URLs of one host cannot be told apart`,
    )
  }
  if (about.formerHosts.includes(host)) return
  if (!(await takenBundleHosts(trx)).has(host)) return
  throw new ServiceError('ALREADY_EXISTS', `another mesh of this service is at ${quoted(host)}`)
}

/** The base of an endpoint's URLs. */
export function baseOf(url: string): string {
  return url.slice(0, url.lastIndexOf('/bundles/'))
}

function invalid(message: string): ServiceError {
  return new ServiceError('INVALID_REQUEST', message, {
    next: 'entente federation move --url https://HOST[:PORT]',
    fields: [{ in: 'body', pointer: '/url', detail: message }],
  })
}
