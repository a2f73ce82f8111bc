// `npm run demo`: two organisations federate, from nothing to the end, on this machine. See README.md.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { CallServer } from './calls.ts'
import { Ticks } from './print.ts'
import { Side } from './side.ts'
import { showChange } from './story-change.ts'
import { setUp, type Sides } from './story-setup.ts'
import { showTrust } from './story-trust.ts'

const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    'port-offset': { type: 'string', default: '20000' },
    help: { type: 'boolean', default: false },
  },
})

const HELP = `usage: npm run demo -- [--keep] [--port-offset N]

Two Entente services federate, their workloads call each other, a root rotates, a service is killed, and the
federation ends. Exit code 0 only if every step held.

  --keep           leave both services running and print commands to explore
  --port-offset N  added to the default ports (8443, 8444, 8080, 9464); the second service takes N + 100
                   (default 20000)
`

async function tell(sides: Sides, ticks: Ticks): Promise<void> {
  const stolen = await setUp(ticks, sides)
  const server = new CallServer(sides.globex.workload)
  await server.listen()
  try {
    await showTrust(ticks, { sides, server, stolen })
    await showChange(ticks, sides, server)
  } finally {
    server.close()
  }
}

function makeSides(folder: string, offset: number): Sides {
  const side = (name: string, portOffset: number): Side =>
    new Side({ name, folder: path.join(folder, name), portOffset })
  return { acme: side('acme', offset), globex: side('globex', offset + 100) }
}

async function leave(sides: Sides, folder: string): Promise<void> {
  const both = [sides.acme, sides.globex]
  if (values.keep) {
    await Promise.all(both.map((side) => side.release()))
    const [one, other] = both.map(({ service }) => service.prompt)
    console.log(`
Both services go on running. To explore:
  ${one} mesh show
  ${other} federation list
  ${other} audit list
  ${other} explain spiffe://acme.example/ns/web/front --may-call shop/cart
To end them: kill ${both.map(({ service }) => service.pid).join(' ')}; rm -r ${folder}`)
    return
  }
  await Promise.all(both.map((side) => side.end()))
  rmSync(folder, { recursive: true, force: true })
}

async function main(): Promise<number> {
  const offset = Number(values['port-offset'])
  if (!Number.isInteger(offset) || offset < 0 || offset > 50_000) {
    console.error('--port-offset must be a whole number from 0 to 50000')
    return 2
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'entente-demo-'))
  const sides = makeSides(folder, offset)
  const ticks = new Ticks()
  process.once('SIGINT', () => void giveUp(sides))
  process.once('SIGTERM', () => void giveUp(sides))
  try {
    await tell(sides, ticks)
    console.log(`\nall ${ticks.held} steps held in ${ticks.seconds().toFixed(1)} s`)
    await leave(sides, folder)
    return 0
  } catch (error) {
    console.error(`\n${error instanceof Error ? error.message : String(error)}`)
    for (const { name, service, trouble } of [sides.acme, sides.globex]) {
      console.error(`\n${name}'s workload: ${trouble ?? 'no trouble'}`)
      console.error(`last lines of ${name}'s log (${service.logFile}):\n${service.lastLog()}`)
    }
    await Promise.all([sides.acme.end(), sides.globex.end()])
    return 1
  }
}

/** Ends both services before this process: nobody else would. */
async function giveUp(sides: Sides): Promise<void> {
  await Promise.all([sides.acme.service.end('SIGKILL'), sides.globex.service.end('SIGKILL')])
  process.exit(130)
}

if (values.help) console.log(HELP)
else process.exitCode = await main()
