import { type ChangeContext, recordAudit } from '../audit/record.ts'
import { bumpChange } from '../db/changes.ts'
import { isUniqueViolation } from '../db/failures.ts'
import type { MeshId } from '../db/ids.ts'
import type { Db } from '../db/schema.ts'
import { quoted, ServiceError } from '../errors.ts'
import type { ProfileName } from '../spiffe/endpoint-profile.ts'
import type { TrustDomain } from '../spiffe/trust-domain.ts'
import {
  checkManagedName,
  checkPathName,
  defaultBundleHost,
  hostOf,
  parseBundleHost,
} from './bundle-host.ts'
import type { Founder } from './hooks.ts'
import { FIRST_CLUSTER, type Mesh, type MeshTrustDomain } from './mesh.ts'
import { checkSettings, type MeshSettings, settingsInForce } from './settings.ts'
import * as store from './store.ts'
import { foundTopology } from './topology/found-topology.ts'

/** What a new mesh is made from. */
export interface NewMesh {
  readonly meshId: MeshId
  readonly trustDomain: TrustDomain
  readonly displayName?: string | undefined
  readonly dnsSuffix?: string | undefined
  readonly environment?: string | undefined
  readonly bundleHost?: string | undefined
  readonly profile?: ProfileName | undefined
  readonly settings?: Partial<MeshSettings> | undefined
  readonly availabilityTarget?: number | undefined
  /** Where the authorities of its trust domain are read from when another system signs for it. */
  readonly observedFrom?: string | undefined
}

/** What the making of a mesh needs to know of the service. */
export interface CreateMeshDeps {
  /** Base of every URL we print. */
  readonly publicUrl: string
  /** Settings that this service gives to new meshes instead of the built-in defaults. */
  readonly defaultSettings: Partial<MeshSettings>
  /** Whether certificate files for https_web are configured. */
  readonly hasWebCertificate: boolean
  readonly founders: readonly Founder[]
}

/** A mesh as it was just made. */
export interface CreatedMesh {
  readonly mesh: Mesh
  readonly domain: MeshTrustDomain
}

/**
 * Makes a mesh with its trust domain, first cluster, network and control plane, authorities, published bundle and seeded rules, in the
 * caller's transaction.
 *
 * Throws TRUST_DOMAIN_INVALID, INVALID_REQUEST, and ALREADY_EXISTS when its id, trust domain or bundle host is
 * taken in this service.
 */
export async function createMesh(
  trx: Db,
  deps: CreateMeshDeps,
  { wanted, context }: { readonly wanted: NewMesh; readonly context: ChangeContext },
): Promise<CreatedMesh> {
  if (wanted.observedFrom === undefined) checkManagedName(wanted.trustDomain)
  checkPathName(wanted.trustDomain)
  const mesh = meshOf(wanted, deps, context)
  checkSettings(mesh.settings)
  const profile = wanted.profile ?? 'https_spiffe'
  checkProfile(profile, deps)
  const bundleHost = await chooseHost(trx, wanted, deps)
  await insertNamed('mesh id', mesh.meshId, () => store.insertMesh(trx, mesh))
  const domain = await insertNamed('trust domain or bundle host', wanted.trustDomain, () =>
    store.insertTrustDomain(trx, {
      name: wanted.trustDomain,
      meshId: mesh.meshId,
      isPrimary: true,
      issuer: wanted.observedFrom === undefined ? 'managed' : 'observed',
      observedFrom: wanted.observedFrom,
      bundleHost,
      baseUrl: undefined,
      formerHosts: [],
      profile,
      createdAt: context.now,
    }),
  )
  await store.insertCluster(trx, mesh.meshId, { ...CLUSTER, createdAt: context.now })
  await foundTopology(trx, mesh.meshId, { cluster: FIRST_CLUSTER, context })
  await recordAudit(trx, {
    meshId: mesh.meshId,
    at: context.now,
    actor: context.actor,
    action: 'mesh.create',
    object: `mesh/${mesh.meshId}`,
    body: { ...auditedMesh(mesh), trustDomain: domain.name, bundleHost, profile },
  })
  for (const found of deps.founders) await found(trx, mesh, context)
  await bumpChange(trx, mesh.meshId, 'mesh')
  return { mesh, domain }
}

const CLUSTER = {
  name: FIRST_CLUSTER,
  role: 'primary',
  state: 'active',
  issuing: 'managed',
} as const

/** The part of a mesh that its audit records show. */
export function auditedMesh(mesh: Mesh): Record<string, unknown> {
  return {
    displayName: mesh.displayName,
    dnsSuffix: mesh.dnsSuffix,
    environment: mesh.environment ?? null,
    settings: mesh.settings,
    availabilityTarget: mesh.availabilityTarget ?? null,
  }
}

function meshOf(wanted: NewMesh, deps: CreateMeshDeps, context: ChangeContext): Mesh {
  return {
    meshId: wanted.meshId,
    displayName: wanted.displayName ?? wanted.meshId,
    dnsSuffix: wanted.dnsSuffix ?? 'mesh.internal',
    environment: wanted.environment,
    settings: settingsInForce({ ...deps.defaultSettings, ...wanted.settings }),
    availabilityTarget: wanted.availabilityTarget,
    version: 1n,
    createdAt: context.now,
  }
}

function checkProfile(profile: ProfileName, deps: CreateMeshDeps): void {
  if (profile !== 'https_web' || deps.hasWebCertificate) return
  throw new ServiceError(
    'INVALID_REQUEST',
    'profile https_web needs a certificate of a public CA, and this service has no certificate files',
    {
      next: 'set ENTENTE_WEB_CERT_FILE and ENTENTE_WEB_KEY_FILE, or leave --profile out for https_spiffe',
      fields: [{ in: 'body', pointer: '/profile', detail: 'no certificate files are configured' }],
    },
  )
}

async function chooseHost(trx: Db, wanted: NewMesh, deps: CreateMeshDeps): Promise<string> {
  const taken = await store.takenBundleHosts(trx)
  if (wanted.bundleHost === undefined) {
    return defaultBundleHost(wanted.meshId, hostOf(deps.publicUrl), (host) => taken.has(host))
  }
  const host = parseBundleHost(wanted.bundleHost)
  if (taken.has(host)) throw alreadyTaken('bundle host', host)
  return host
}

/** Stores what has a name of its own in the service; throws ALREADY_EXISTS when it is taken. */
export async function insertNamed<T>(
  what: string,
  name: string,
  insert: () => Promise<T>,
): Promise<T> {
  try {
    return await insert()
  } catch (error) {
    if (isUniqueViolation(error)) throw alreadyTaken(what, name, error)
    throw error
  }
}

function alreadyTaken(what: string, name: string, cause?: unknown): ServiceError {
  return new ServiceError(
    'ALREADY_EXISTS',
    `${what} ${quoted(name)} is taken in this service`,
    cause === undefined ? {} : { cause },
  )
}
