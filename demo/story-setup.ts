import { cpSync } from 'node:fs'
import path from 'node:path'
import { type KeyObject } from 'node:crypto'
import { stealIntermediateKey } from './forge.ts'
import { insist, type Ticks } from './print.ts'
import { type Side } from './side.ts'

/** The two organisations of the story. */
export interface Sides {
  readonly acme: Side
  readonly globex: Side
}

/**
 * The workloads of both sides. Those of acme live short, so that the demo sees them renewed under the new root and
 * the old one leave; those of globex outlive the moment without a service.
 */
const WORKLOADS = {
  acme: { idPath: '/ns/web/front', svidSeconds: 20 },
  globex: { idPath: '/ns/shop/cart', svidSeconds: 300 },
} as const

/** Starts both services, federates them and gives each side a workload; answers globex's stolen signing key. */
export async function setUp(ticks: Ticks, sides: Sides): Promise<KeyObject> {
  ticks.heading('Two organisations')
  await ticks.step('two services run, each with its own data folder and ports', () => start(sides))
  await ticks.step('each makes its mesh: a CA, a JWT key and a published bundle', () =>
    found(sides),
  )
  const stolen = await stealFrom(sides.globex)
  ticks.heading('They federate')
  await ticks.step('acme invites globex, which accepts: one command on each side', () =>
    federate(sides),
  )
  await ticks.step('a workload on each side has an SVID, got with a join token', () => enrol(sides))
  return stolen
}

async function start({ acme, globex }: Sides): Promise<string[]> {
  const both = [acme, globex]
  await Promise.all(both.map(({ service }) => service.start()))
  insist(acme.service.pid !== globex.service.pid, 'both services are one process')
  return both.map(
    ({ name, service }) => `${name}: process ${service.pid}, data in ${service.dataDir}`,
  )
}

async function found({ acme, globex }: Sides): Promise<string[]> {
  const both = [acme, globex]
  await Promise.all(both.map((side) => side.createMesh()))
  return both.map(({ mesh }) => {
    const [domain] = mesh.trustDomains
    return `${domain?.name}: ${domain?.bundleUrl} presents ${domain?.endpointSpiffeId}`
  })
}

/** A thief copies globex's data folder while its service is down for a moment; the story needs the key later. */
async function stealFrom({ service }: Side): Promise<KeyObject> {
  const code = await service.end('SIGTERM')
  insist(code === 0, `the service of globex ended with exit code ${code} on SIGTERM`)
  const copy = path.join(service.folder, 'stolen')
  cpSync(service.dataDir, copy, { recursive: true, filter: (file) => !file.endsWith('.sock') })
  const [key] = await Promise.all([stealIntermediateKey(copy), service.start()])
  return key
}

async function federate({ acme, globex }: Sides): Promise<string[]> {
  await Promise.all([acme.allowLocalhost(), globex.allowLocalhost()])
  const accepted = await globex.accept(await acme.invite(globex))
  const ticks = accepted.filter((line) => line.startsWith('✓'))
  insist(ticks.length === 4, `four ticks were expected: ${accepted.join(' | ')}`)
  const pairs = [
    { side: acme, peer: globex },
    { side: globex, peer: acme },
  ]
  const fetched = await Promise.all(
    pairs.map(async ({ side, peer }) => {
      const { state, health, domains } = await side.untilFetched(peer)
      const sequence = domains[0]?.bundle?.sequence
      return `${side.name}: relationship ${peer.name} is ${state}, ${health}; fetched sequence ${sequence}`
    }),
  )
  return [...ticks, ...fetched]
}

async function enrol({ acme, globex }: Sides): Promise<string[]> {
  await Promise.all([acme.startWorkload(WORKLOADS.acme), globex.startWorkload(WORKLOADS.globex)])
  return [acme, globex].map(({ workload: { id, identity, bundles } }) => {
    const known = [...bundles.keys()].toSorted().join(', ')
    return `${id}, serial ${identity.serial.slice(0, 12)}…; holds the bundles of ${known}`
  })
}
