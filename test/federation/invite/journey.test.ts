import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { freePorts } from '../../support/service.ts'
import {
  fingerprintsIn,
  type Organisation,
  organisation,
  shortFolder,
  TICKS,
  ticksIn,
} from './organisation.ts'

t.test('one command on each side federates two services', async (t) => {
  const folder = shortFolder(t)
  const place = async (mesh: string): Promise<Organisation> => {
    const [federation = 0, workload = 0, admin = 0, telemetry = 0] = await freePorts(4)
    const environment = {
      ENTENTE_PUBLIC_URL: `https://localhost:${federation}`,
      ENTENTE_FEDERATION_ADDRESS: `127.0.0.1:${federation}`,
      ENTENTE_WORKLOAD_ADDRESS: `127.0.0.1:${workload}`,
      ENTENTE_ADMIN_ADDRESS: `127.0.0.1:${admin}`,
      ENTENTE_TELEMETRY_ADDRESS: `127.0.0.1:${telemetry}`,
      ENTENTE_EGRESS_ALLOW: 'localhost',
    }
    return organisation(t, { mesh, folder: join(folder, mesh), environment })
  }
  const [acme, globex] = [await place('acme'), await place('globex')]
  const beganMs = performance.now()
  const invited = await acme.type('federation', 'invite', '--for', 'globex.example')
  t.match(
    invited.stdout,
    /^entente-invite-v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\n$/,
    'it can be piped',
  )
  const file = join(folder, 'invite')
  await writeFile(file, invited.stdout)
  const accepted = await globex.type('federation', 'accept', file)
  const seconds = (performance.now() - beganMs) / 1000
  t.same([acme.typed.length, globex.typed.length], [1, 1], 'commands')
  t.comment(`federated on loopback: 2 commands, ${seconds.toFixed(1)} s`)
  t.ok(seconds < 30, `${seconds} s`)
  t.equal(accepted.code, 0, accepted.stderr)
  t.same(
    ticksIn(accepted.stdout),
    TICKS.map((step) => `✓ ${step}`),
  )
  t.same(
    fingerprintsIn(invited.stderr),
    fingerprintsIn(accepted.stdout).slice(0, 1),
    'the same digits',
  )
  for (const [one, other] of [
    [acme, 'globex'],
    [globex, 'acme'],
  ] as const) {
    t.match((await one.type('federation', 'list')).stdout, new RegExp(`${other} +active +ok`))
  }
})
