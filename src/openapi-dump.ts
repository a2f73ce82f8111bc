import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from './clock.ts'
import { buildService } from './compose.ts'
import { parseConfig } from './config.ts'
import { createLogger } from './http/log.ts'

const FILE = join(import.meta.dirname, '../openapi/openapi.json')

/** The OpenAPI document of the admin API, as text, from the routes that a real service mounts. */
async function openApiDocument(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'entente-openapi-'))
  try {
    const config = parseConfig({ environment: {}, flags: { DATA_DIR: folder } })
    const log = createLogger({ level: 'fatal' })
    const { apps, close } = await buildService({ config, clock: systemClock, log })
    await apps.admin.ready()
    const document = `${JSON.stringify(apps.admin.swagger(), null, 2)}\n`
    await close()
    return document
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const document = await openApiDocument()
  if (!process.argv.includes('--check')) writeFileSync(FILE, document)
  else if (readFileSync(FILE, 'utf8') !== document) {
    process.stderr.write('openapi/openapi.json is stale: run "npm run openapi"\n')
    process.exitCode = 1
  }
}
