import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { alertsPage } from './alert-docs.ts'
import { configurationPage } from './config-docs.ts'
import { metricsPage } from './metrics-docs.ts'

const FOLDER = join(import.meta.dirname, '../docs')

/** The generated pages of docs/, by file name. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'configuration.md': configurationPage,
  'alerts.md': alertsPage,
  'metrics.md': metricsPage,
}

if (import.meta.main) {
  const isCheck = process.argv.includes('--check')
  for (const [name, write] of Object.entries(PAGES)) {
    const path = join(FOLDER, name)
    const page = write()
    if (!isCheck) writeFileSync(path, page)
    else if (readFileSync(path, 'utf8') !== page) {
      process.stderr.write(`docs/${name} is stale: run "npm run docs"\n`)
      process.exitCode = 1
    }
  }
}
