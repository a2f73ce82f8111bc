import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PAGES } from '../src/docs.ts'
import { ALERT_CODES } from '../src/federation/alert/alert-codes.ts'

const page = (name: string): string =>
  readFileSync(join(import.meta.dirname, '../docs', name), 'utf8')

t.test('the generated pages say what the tables say', async (t) => {
  for (const [name, write] of Object.entries(PAGES)) {
    t.equal(page(name), write(), `docs/${name}: npm run docs`)
  }
})

t.test('every alert has its section, and every metric its row', async (t) => {
  const alerts = page('alerts.md')
  for (const code of Object.keys(ALERT_CODES)) t.match(alerts, `### \`${code}\``)
  const metrics = page('metrics.md')
  for (const name of ['entente_alerts', 'entente_trust_breaks_seconds', 'entente_polls_total']) {
    t.match(metrics, `| \`${name}\` |`)
  }
})
