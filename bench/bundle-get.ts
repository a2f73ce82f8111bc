import { setTimeout as delay } from 'node:timers/promises'
import { spiffeIdOf } from '../src/spiffe/spiffe-id.ts'
import { parseTrustDomain } from '../src/spiffe/trust-domain.ts'
import { addSeconds, wholeSeconds } from '../src/clock.ts'
import { serverTlsSettings } from '../src/http/tls.ts'
import { exportPrivateKey, generateKeyPair, spkiOf } from '../src/pki/key-pair.ts'
import { toPem } from '../src/pki/pem.ts'
import { prepareX509Svid, signX509Svid } from '../src/pki/x509-svid.ts'
import { cpuSeconds, startPart } from './children.ts'
import {
  type Bench,
  type Figure,
  type Scale,
  median,
  rateFigure,
  round,
  takeTurns,
} from './harness.ts'
import { fetchOnce, type Load, type Loaded, loadFresh, loadKept } from './https-load.ts'
import { MESH } from './field.ts'
import { makeIssuer } from './issuer.ts'

/** A server process that is loaded. */
interface Target {
  readonly pid: number
  readonly port: number
  readonly path: string
}

/**
 * The bundle endpoint, accesses counted, against a bare `node:https` that answers the same bytes under the same TLS
 * profile: over kept connections, and with a new TLS 1.3 connection each.
 *
 * Rates are per second of the server's CPU, so that the load generator and other processes of the machine have no
 * say; `wall` is what a clock saw.
 */
export const bundleGet: Bench = async function* bundleGet(scale, field) {
  const service = await field.embedded()
  const reader = await service.admin<{ url: string }>('POST', `/meshes/${MESH}/bundle/readers`, {
    label: 'bench',
  })
  const path = new URL(reader.url).pathname
  const subject = { pid: service.pid, port: service.ports.federation, path }
  const answer = split(await fetchOnce(subject, 'keep-alive'))
  const part = await startPart<{ port: number }>('floor-https', {
    ...floorIdentity(),
    tls: serverTlsSettings(),
    ...answer,
  })
  try {
    const targets = { floor: { pid: part.pid, port: part.ready.port, path }, subject }
    for (const manner of MANNERS) yield await compare(scale, targets, manner)
  } finally {
    await part.end()
  }
}

interface Manner {
  readonly name: string
  readonly goal: string
  readonly connections: number
  readonly load: (load: Load) => Promise<Loaded>
}

const MANNERS: readonly Manner[] = [
  { name: 'bundle-get keep-alive', goal: 'ratio >= 0.85', connections: 16, load: loadKept },
  { name: 'bundle-get new connection', goal: 'ratio >= 0.9', connections: 8, load: loadFresh },
]

async function compare(
  scale: Scale,
  { floor, subject }: { readonly floor: Target; readonly subject: Target },
  manner: Manner,
): Promise<Figure> {
  const walls: number[] = []
  const idle = new Map([floor, subject].map((target) => [target, 0]))
  const turn = async (target: Target, seconds: number): Promise<number> => {
    const before = cpuSeconds(target.pid)
    const { connections, load } = manner
    const { requests, seconds: wall } = await load({ ...target, connections, seconds })
    if (target === subject) walls.push(requests / wall)
    const used = cpuSeconds(target.pid) - before - (idle.get(target) ?? 0) * wall
    return requests / Math.max(used, 0.01)
  }
  for (const target of [floor, subject]) {
    await turn(target, scale.seconds / 2)
    idle.set(target, await idleShare(target.pid, scale.seconds))
  }
  const rates = await takeTurns(scale, {
    floor: () => turn(floor, scale.seconds),
    subject: () => turn(subject, scale.seconds),
  })
  const about = { bench: manner.name, unit: 'requests per CPU second', goal: manner.goal }
  return { ...rateFigure(about, rates), wall: round(median(walls)) }
}

/** Share of a CPU that a process uses while nobody asks it anything: not the cost of requests. */
async function idleShare(pid: number, seconds: number): Promise<number> {
  const before = cpuSeconds(pid)
  await delay(seconds * 1000)
  return (cpuSeconds(pid) - before) / seconds
}

/** A certificate of the same kind and size as the service's own: P-256 leaf and intermediate, one URI SAN. */
function floorIdentity(): { cert: string; key: string } {
  const now = wholeSeconds(new Date())
  const { intermediate } = makeIssuer('acme.example', now)
  const keys = generateKeyPair()
  const prepared = prepareX509Svid({
    id: spiffeIdOf(parseTrustDomain('acme.example'), '/entente/bundle-endpoint'),
    publicKey: spkiOf(keys.publicKey),
    dnsNames: ['localhost'],
    notBefore: addSeconds(now, -30),
    notAfter: addSeconds(now, 3600),
    issuer: intermediate,
    purpose: 'endpoint',
  })
  const { certificate } = signX509Svid(prepared, intermediate)
  const key = Buffer.from(exportPrivateKey(keys.privateKey)).toString('base64')
  return {
    cert: toPem(certificate) + toPem(intermediate.certificate),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
  }
}

/** The headers that a server chooses, and the body in Base64. */
function split(answer: Buffer): { headers: Record<string, string>; body: string } {
  const end = answer.indexOf('\r\n\r\n')
  const lines = answer.toString('latin1', 0, end).split('\r\n').slice(1)
  const pairs = lines.map((line) => line.split(': ', 2) as [string, string])
  const own = new Set(['content-length', 'date', 'connection', 'keep-alive'])
  return {
    headers: Object.fromEntries(pairs.filter(([name]) => !own.has(name.toLowerCase()))),
    body: answer.subarray(end + 4).toString('base64'),
  }
}
