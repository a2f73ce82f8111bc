import { createHash } from 'node:crypto'
import { type Binding, offered } from '../src/policy/binding/bindings.ts'
import { type RuleDraft, readRule } from '../src/policy/rule/rule.ts'
import { buildSnapshot, serviceKey, type SnapshotInput } from '../src/policy/snapshot/snapshot.ts'
import {
  type Bench,
  type Figure,
  ratePerCpuSecond,
  round,
  type Scale,
  takeTurns,
} from './harness.ts'
import { AT, growthOf, makeMesh, SERVICES, turnsFor } from './made-mesh.ts'
import { seededNumbers } from './seeded-numbers.ts'

/** The peer whose list is made. */
const PEER = 'peer-0'

/**
 * Everything that a mesh shows to one peer, decided and sorted, as an exchange hands it out; the floor writes the same
 * list as JSON and digests it, which whoever hands it out has to do anyhow.
 */
export const exportList: Bench = async function* exportList(scale) {
  for (const times of growthOf(scale)) yield await list(scale, times)
}

async function list(scale: Scale, times: number): Promise<Figure> {
  const snapshot = buildSnapshot(openTo(makeMesh(seededNumbers(20_270_115), SERVICES * times)))
  const bindings = offered(snapshot, PEER, AT)
  const entries = bindings.map(entryOf)
  const rates = await takeTurns(turnsFor(scale, times), {
    floor: () =>
      ratePerCpuSecond(
        scale.seconds,
        () => createHash('sha256').update(JSON.stringify(entries)).digest('hex'),
        1,
      ),
    subject: () => ratePerCpuSecond(scale.seconds, () => offered(snapshot, PEER, AT), 1),
  })
  return {
    bench: times === 1 ? 'export-list' : `export-list x${times}`,
    value: round(1000 / rates.subject),
    unit: 'ms of CPU per list',
    baseline: round(1000 / rates.floor),
    ratio: round(rates.floor / rates.subject),
    ...(times === 1 && { goal: 'ratio <= 3' }),
    services: SERVICES * times,
    listed: entries.length,
    microsecondsPerService: round(1e6 / rates.subject / (SERVICES * times)),
  }
}

// The random rules show a peer few services; one more shows it all that none denies.
function openTo(mesh: SnapshotInput): SnapshotInput {
  const draft: RuleDraft = {
    direction: 'export',
    effect: 'allow',
    subject: { namespace: '*', name: '*' },
    audience: { kind: 'peers', relationships: [PEER] },
  }
  return { ...mesh, rules: [...mesh.rules, { ...readRule(draft), id: 'open', createdAt: AT }] }
}

/** A service as its list has it on the wire. */
function entryOf({ name, state, ports, callers, service }: Binding) {
  return { service: serviceKey(service), name, state, ports, callers, serverIds: service.serverIds }
}
