import { serverTlsSettings } from '../src/http/tls.ts'
import { createCsr } from '../src/pki/csr.ts'
import { exportPrivateKey, generateKeyPair, type KeyPair } from '../src/pki/key-pair.ts'
import { startPart } from './children.ts'
import { type Field, MESH } from './field.ts'
import { answerOf, floorIdentity, keyPem } from './floor-identity.ts'
import { type Bench, type Figure, rateFigure, round, type Scale, takeTurns } from './harness.ts'
import {
  type ClientIdentity,
  loadFresh,
  loadKept,
  requestText,
  sendOnce,
  type Target,
} from './https-load.ts'
import { serverTurns } from './server-turns.ts'
import { type ServiceProcess } from './service-process.ts'
import { libraryTurns } from './x509-library.ts'

/** Workloads that renew at the same time, each with an entry of its own: one alone would meet its rate limit. */
const WORKLOADS = 32

const PATH = '/v1/svids/x509'

/**
 * An X509-SVID end to end on Postgres: client chain checked, issued, recorded and committed before the answer. Over
 * kept connections against the library call; with a new mutual TLS connection each against a bare `node:https` that
 * asks for a certificate and answers as many bytes.
 */
export const x509Service: Bench = async function* x509Service(scale, field) {
  try {
    yield* renewals(scale, field)
  } catch (error) {
    yield { bench: 'x509-svid end to end', skipped: String(error) }
  }
}

async function* renewals(scale: Scale, field: Field): AsyncIterable<Figure> {
  const service = await field.onPostgres()
  const keys = generateKeyPair()
  const csr = Buffer.from(createCsr(keys)).toString('base64')
  const identities: ClientIdentity[] = []
  for (let index = 0; index < WORKLOADS; index += 1) {
    identities.push(await join(service, { csr, keys, path: `/bench/${index}` }))
  }
  const targetOf = (port: number, connection: 'keep-alive' | 'close'): Target => ({
    port,
    servername: `${MESH}.example`,
    request: requestText(
      { method: 'POST', host: `localhost:${port}`, path: PATH, body: { csr } },
      connection,
    ),
    identities,
  })
  yield await kept(scale, service, targetOf(service.ports.workload, 'keep-alive'))
  yield await fresh(scale, service, (port) => targetOf(port, 'close'))
}

async function kept(scale: Scale, { pid }: ServiceProcess, target: Target): Promise<Figure> {
  const library = libraryTurns(scale.seconds)
  const subject = await serverTurns(
    scale,
    { pid, target },
    { connections: WORKLOADS, load: loadKept },
  )
  const rates = await takeTurns(scale, { floor: library.subject, subject: subject.turn })
  const about = {
    bench: 'x509-svid end to end, kept',
    unit: 'SVIDs per CPU second',
    goal: 'ratio >= 0.35',
  }
  return { ...rateFigure(about, rates), wall: round(subject.wall()) }
}

async function fresh(
  scale: Scale,
  { pid, ports }: ServiceProcess,
  targetOf: (port: number) => Target,
): Promise<Figure> {
  const manner = { connections: 8, load: loadFresh }
  const answer = answerOf(await sendOnce(targetOf(ports.workload)))
  const asking = { requestCert: true, rejectUnauthorized: false }
  const part = await startPart<{ port: number }>('floor-https', {
    tls: { ...serverTlsSettings(), ...floorIdentity(), ...asking },
    ...answer,
  })
  try {
    const floor = await serverTurns(
      scale,
      { pid: part.pid, target: targetOf(part.ready.port) },
      manner,
    )
    const subject = await serverTurns(scale, { pid, target: targetOf(ports.workload) }, manner)
    const rates = await takeTurns(scale, { floor: floor.turn, subject: subject.turn })
    const about = {
      bench: 'x509-svid end to end, new connection',
      unit: 'SVIDs per CPU second',
      goal: 'ratio >= 0.3',
    }
    return {
      ...rateFigure(about, rates),
      wall: round(subject.wall()),
      floorWall: round(floor.wall()),
    }
  } finally {
    await part.end()
  }
}

/** Gets a workload its first SVID by join token. */
async function join(
  service: ServiceProcess,
  { csr, keys, path }: { readonly csr: string; readonly keys: KeyPair; readonly path: string },
): Promise<ClientIdentity> {
  const { token } = await service.admin<{ token: string }>('POST', `/meshes/${MESH}/join-tokens`, {
    spiffeId: path,
  })
  const host = `localhost:${service.ports.workload}`
  const answer = await sendOnce({
    port: service.ports.workload,
    servername: `${MESH}.example`,
    request: requestText({ method: 'POST', host, path: PATH, body: { csr, token } }, 'close'),
  })
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4).toString()
  const { certificateChain } = JSON.parse(body) as { certificateChain: string }
  return { cert: certificateChain, key: keyPem(exportPrivateKey(keys.privateKey)) }
}
