import { type Static } from 'typebox'
import { type ChangeContext } from '../../audit/record.ts'
import { inTransaction } from '../../db/connect.ts'
import { parseMeshId } from '../../db/ids.ts'
import { type Db } from '../../db/schema.ts'
import { type DbClock } from '../../db/time.ts'
import { ServiceError } from '../../errors.ts'
import { DryRunQuery } from '../../http/dry-run.ts'
import { type App } from '../../http/listener.ts'
import { MeshParams } from '../../mesh/api.ts'
import { loadMesh } from '../../mesh/find-mesh.ts'
import { manageDomain } from '../../mesh/observe-domain.ts'
import { viewMesh } from '../../mesh/view.ts'
import { parseTrustDomain, type TrustDomain } from '../../spiffe/trust-domain.ts'
import { adopt, type AdoptDeps, type Adoption, release } from './adopt.ts'
import { AdoptBody, AdoptedBody, type AdoptedView, TrustDomainParams } from './adopt-api.ts'
import { bundleOfPem } from '../peer-bundle/pem-bundle.ts'

/** What the routes of adoption need. */
export interface AdoptRoutesOptions extends AdoptDeps {
  readonly db: Db
  readonly now: DbClock
  readonly kick: () => void
}

/** Trust domains that another system signs for: adopted, later managed by us, the other system let go. */
export const adoptRoutes = async (app: App, options: AdoptRoutesOptions): Promise<void> => {
  const { db, now } = options
  const run = async (
    request: { readonly principal: { readonly name: string } },
    dryRun: boolean | undefined,
    act: (trx: Db, context: ChangeContext) => Promise<AdoptedView>,
  ): Promise<AdoptedView> => {
    const actor = request.principal.name
    const view = await inTransaction(db, async (trx) => act(trx, { actor, now: await now(trx) }), {
      dryRun,
    })
    if (dryRun !== true) options.kick()
    return view
  }
  const viewed = async (trx: Db, meshId: string, about: Omit<AdoptedView, 'mesh'>) => {
    const mesh = await loadMesh(trx, parseMeshId(meshId))
    const { publicUrl } = options.mesh
    return { mesh: await viewMesh(trx, mesh, { publicUrl, now: await now(trx) }), ...about }
  }

  app.post(
    '/meshes/:meshId/adopt',
    {
      config: { action: 'mesh.adopt' },
      bodyLimit: 4 * 1024 * 1024,
      schema: {
        tags: ['meshes'],
        summary: 'Take in a trust domain that another system goes on signing for; makes the mesh',
        params: MeshParams,
        body: AdoptBody,
        querystring: DryRunQuery,
        response: { 200: AdoptedBody },
      },
    },
    async (request) => {
      const adoption = adoptionOf(request.params.meshId, request.body)
      return run(request, request.query.dryRun, async (trx, context) => {
        const { name, state } = await adopt(trx, options, { adoption, context })
        return viewed(trx, adoption.meshId, {
          source: name,
          warnings: warningsOf(adoption.trustDomain),
          next: nextAfterAdopt(adoption, name, state === 'active'),
        })
      })
    },
  )

  app.post(
    '/meshes/:meshId/trust-domains/:trustDomain/manage',
    {
      config: { action: 'trust-domain.manage' },
      schema: {
        tags: ['meshes'],
        summary: 'Begin to sign for an observed trust domain, beside the system that does now',
        params: TrustDomainParams,
        querystring: DryRunQuery,
        response: { 200: AdoptedBody },
      },
    },
    async (request) => {
      const { meshId } = request.params
      const trustDomain = parseTrustDomain(request.params.trustDomain)
      return run(request, request.query.dryRun, async (trx, context) => {
        refuseShared(trustDomain)
        const { observedFrom } = await manageDomain(trx, parseMeshId(meshId), {
          trustDomain,
          context,
        })
        return viewed(trx, meshId, {
          source: null,
          warnings: [],
          next: [
            `entente authority list --mesh ${meshId}`,
            `# once ours are active and nothing of ${observedFrom} is in use: entente mesh release ${meshId} --trust-domain ${trustDomain}`,
          ],
        })
      })
    },
  )

  app.post(
    '/meshes/:meshId/trust-domains/:trustDomain/release',
    {
      config: { action: 'trust-domain.release' },
      schema: {
        tags: ['meshes'],
        summary: 'Let the other system go: its authorities leave the bundle, ours sign alone',
        params: TrustDomainParams,
        querystring: DryRunQuery,
        response: { 200: AdoptedBody },
      },
    },
    async (request) => {
      const { meshId } = request.params
      const trustDomain = parseTrustDomain(request.params.trustDomain)
      return run(request, request.query.dryRun, async (trx, context) => {
        await release(trx, parseMeshId(meshId), { trustDomain, context })
        return viewed(trx, meshId, { source: null, warnings: [], next: [] })
      })
    },
  )
}

function adoptionOf(meshId: string, body: Static<typeof AdoptBody>): Adoption {
  const { trustDomain: name, bundlePem, changePolicy, endpointTrustDomain, ...source } = body
  const trustDomain = parseTrustDomain(name)
  if (bundlePem !== undefined && source.bundle !== undefined) {
    throw new ServiceError('INVALID_REQUEST', 'found bundle and bundlePem, wanted one of them')
  }
  const pem = bundlePem === undefined ? undefined : bundleOfPem(trustDomain, bundlePem)
  return {
    meshId: parseMeshId(meshId),
    trustDomain,
    source: { ...source, ...(pem === undefined ? {} : { bundle: new TextDecoder().decode(pem) }) },
    changePolicy: changePolicy ?? 'auto',
    endpointTrustDomain:
      endpointTrustDomain === undefined ? undefined : parseTrustDomain(endpointTrustDomain),
  }
}

const SHARED_NAME = 'cluster.local'

function warningsOf(trustDomain: TrustDomain): string[] {
  if (trustDomain !== SHARED_NAME) return []
  return [
    'cluster.local is the trust domain that every mesh is born with: a peer with the same name cannot federate with this one, and their workloads cannot be told apart by name',
  ]
}

function refuseShared(trustDomain: TrustDomain): void {
  if (trustDomain !== SHARED_NAME) return
  throw new ServiceError('TRUST_DOMAIN_INVALID', 'we do not sign for cluster.local', {
    next: 'make a mesh with a name that you own and move the workloads to it',
  })
}

function nextAfterAdopt({ meshId }: Adoption, source: string, isActive: boolean): string[] {
  const look = isActive ? [] : [`entente federation refresh ${source} --mesh ${meshId}`]
  return [
    ...look,
    `entente bundle show --mesh ${meshId}`,
    `entente federation invite --mesh ${meshId}`,
  ]
}
