import { serverTlsSettings } from '../src/http/tls.ts'
import { startPart } from './children.ts'
import { MESH } from './field.ts'
import { answerOf, floorIdentity } from './floor-identity.ts'
import { type Bench, type Figure, rateFigure, round, type Scale, takeTurns } from './harness.ts'
import { loadFresh, loadKept, requestText, sendOnce, type Target } from './https-load.ts'
import { type LoadedServer, serverTurns } from './server-turns.ts'

const MANNERS = [
  {
    name: 'keep-alive',
    goal: 'ratio >= 0.85',
    connections: 16,
    load: loadKept,
    connection: 'keep-alive',
  },
  {
    name: 'new connection',
    goal: 'ratio >= 0.9',
    connections: 8,
    load: loadFresh,
    connection: 'close',
  },
] as const

type Manner = (typeof MANNERS)[number]

/**
 * The bundle endpoint, accesses counted, against a bare `node:https` that answers the same bytes under the same TLS
 * profile: over kept connections, and with a new TLS 1.3 connection each.
 */
export const bundleGet: Bench = async function* bundleGet(scale, field) {
  const service = await field.embedded()
  const made = await service.admin<{ url: string }>('POST', `/meshes/${MESH}/bundle/readers`, {
    label: 'bench',
  })
  const path = new URL(made.url).pathname
  const targetOf = (port: number, manner: Manner): Target => ({
    port,
    servername: 'localhost',
    request: requestText({ method: 'GET', host: `localhost:${port}`, path }, manner.connection),
  })
  const answer = answerOf(await sendOnce(targetOf(service.ports.federation, MANNERS[0])))
  const part = await startPart<{ port: number }>('floor-https', {
    tls: { ...serverTlsSettings(), ...floorIdentity() },
    ...answer,
  })
  try {
    for (const manner of MANNERS) {
      const floor = { pid: part.pid, target: targetOf(part.ready.port, manner) }
      const subject = { pid: service.pid, target: targetOf(service.ports.federation, manner) }
      yield await compare(scale, manner, { floor, subject })
    }
  } finally {
    await part.end()
  }
}

async function compare(
  scale: Scale,
  manner: Manner,
  servers: { readonly floor: LoadedServer; readonly subject: LoadedServer },
): Promise<Figure> {
  const floor = await serverTurns(scale, servers.floor, manner)
  const subject = await serverTurns(scale, servers.subject, manner)
  const rates = await takeTurns(scale, { floor: floor.turn, subject: subject.turn })
  const about = {
    bench: `bundle-get ${manner.name}`,
    unit: 'requests per CPU second',
    goal: manner.goal,
  }
  return {
    ...rateFigure(about, rates),
    wall: round(subject.wall()),
    floorWall: round(floor.wall()),
  }
}
