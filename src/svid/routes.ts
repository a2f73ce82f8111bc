import { createHash } from 'node:crypto'
import { type FastifyReply, type FastifyRequest } from 'fastify'
import { isServiceError, ServiceError } from '../errors.ts'
import { type App } from '../http/listener.ts'
import { type Metrics } from '../http/metrics.ts'
import { splitPem } from '../pki/certificate.ts'
import { type Entry } from '../registry/entry.ts'
import { writeBundleMap } from '../spiffe/bundle-map.ts'
import { JwtAnswerBody, JwtRequestBody, X509AnswerBody, X509RequestBody } from './api.ts'
import { type Callers, connectionOf } from './caller.ts'
import { type IssueDeps } from './deps.ts'
import { callerOf, identifyWorkload, requireCaller } from './identify.ts'
import { federatedBundlesOf } from './identity-bundles.ts'
import { issueJwt } from './issue-jwt.ts'
import { type Evidence, issueX509 } from './issue-x509.ts'
import { viewJwt, viewX509 } from './view.ts'

/** What the routes of the workload listener need. */
export interface SvidRoutesOptions {
  readonly deps: IssueDeps
  readonly callers: Callers
  readonly metrics: Pick<Metrics, 'svidsIssued' | 'svidRefusals'>
  /** Most audiences of one JWT-SVID; one unless the operator wants more (JW-14). */
  readonly mostAudiences?: number
}

/** The workload listener: X509-SVIDs, JWT-SVIDs and the bundles that an identity may have. */
export const svidRoutes = async (app: App, options: SvidRoutesOptions): Promise<void> => {
  const { deps, callers, metrics, mostAudiences = 1 } = options
  app.addHook('onError', async (_request, _reply, error) => {
    const code = isServiceError(error) ? error.code : 'INTERNAL'
    metrics.svidRefusals.inc({ code })
  })

  app.post(
    '/svids/x509',
    {
      schema: {
        tags: ['workload'],
        summary: 'An X509-SVID for a CSR, by join token or by the SVID that the connection shows',
        body: X509RequestBody,
        response: { 200: X509AnswerBody },
      },
    },
    async (request, reply) => {
      const evidence = evidenceOf(request, callers)
      const issued = await issueX509(deps, { csr: csrOf(request.body.csr), evidence })
      metrics.svidsIssued.inc({ kind: 'x509' })
      reply.header('cache-control', 'no-store')
      return viewX509(issued)
    },
  )

  app.post(
    '/svids/jwt',
    {
      schema: {
        tags: ['workload'],
        summary: 'A JWT-SVID for an audience, by the X509-SVID that the connection shows',
        body: JwtRequestBody,
        response: { 200: JwtAnswerBody },
      },
    },
    async (request, reply) => {
      const { audience } = request.body
      checkAudiences(audience, mostAudiences)
      const issued = await issueJwt(deps, { audience, caller: callerOf(request, callers) })
      metrics.svidsIssued.inc({ kind: 'jwt' })
      reply.header('cache-control', 'no-store')
      return viewJwt(issued)
    },
  )

  app.get(
    '/bundles',
    {
      schema: {
        tags: ['workload'],
        summary:
          'SPIFFE bundle map: our own bundle and those of the peers that the caller may meet',
      },
    },
    async (request, reply) => {
      const map = await bundleMapFor(deps, await identifyWorkload(options, request))
      return sendMap(request, reply, map)
    },
  )
}

function evidenceOf(
  request: FastifyRequest<{ Body: { token?: string } }>,
  callers: Callers,
): Evidence {
  const { token } = request.body
  const connection = connectionOf(request)
  if (token === undefined) return { caller: requireCaller(callers.find(connection)) }
  if (connection.chain().length === 0) return { token, source: request.ip }
  throw new ServiceError('INVALID_REQUEST', 'there is a join token and a client certificate', {
    next: 'send one kind of evidence: a token over a connection without a client certificate, or none',
  })
}

/** PEM or base64 DER; what is neither is a CSR that is refused. */
function csrOf(text: string): Uint8Array {
  if (!text.includes('-----BEGIN')) return base64Of(text.trim())
  try {
    const armoured = text.replaceAll('NEW CERTIFICATE', 'CERTIFICATE')
    const [first] = splitPem(armoured, 'CERTIFICATE REQUEST')
    return first ?? new Uint8Array()
  } catch (cause) {
    throw new ServiceError('CSR_REJECTED', 'CSR: is no PEM of a certificate request', { cause })
  }
}

/** Node passes over what is no base64, so the text must come out as it went in. */
function base64Of(text: string): Uint8Array {
  const der = Buffer.from(text, 'base64')
  if (der.toString('base64') === text) return der
  throw new ServiceError('CSR_REJECTED', 'CSR: is neither PEM nor base64 of DER with padding')
}

function checkAudiences(audience: readonly string[], most: number): void {
  if (audience.length <= most) return
  const message = `found ${audience.length} audiences, at most ${most} allowed in one token`
  throw new ServiceError('INVALID_REQUEST', message, {
    fields: [{ in: 'body', pointer: '/audience', detail: message }],
    next: 'ask for one token per service that you call',
  })
}

interface BundleMap {
  readonly document: Uint8Array
  readonly refreshSeconds: number
}

async function bundleMapFor({ bundles, peers }: IssueDeps, entry: Entry): Promise<BundleMap> {
  const own = bundles.load(entry.trustDomain)
  const federated = await federatedBundlesOf(peers, entry)
  const all = [own.bundle, ...federated.bundles.map(({ bundle }) => bundle)]
  return { document: writeBundleMap(all), refreshSeconds: own.served.hintSeconds }
}

function sendMap(request: FastifyRequest, reply: FastifyReply, map: BundleMap): FastifyReply {
  const digest = createHash('sha256').update(map.document).digest('hex').slice(0, 32)
  const etag = `"${digest}"`
  reply.header('etag', etag).header('cache-control', `private, max-age=${map.refreshSeconds}`)
  if (request.headers['if-none-match'] === etag) return reply.code(304).send()
  return reply.type('application/json').send(Buffer.from(map.document))
}
