import { parseArgs } from 'node:util'
import { bundleGet } from './bundle-get.ts'
import { evaluateOne } from './evaluate.ts'
import { exportList } from './export-list.ts'
import { Field } from './field.ts'
import { type Bench, SCALES } from './harness.ts'
import { jwtSvid } from './jwt-svid.ts'
import { memory } from './memory.ts'
import { polling } from './polling.ts'
import { snapshotChange } from './snapshot-change.ts'
import { start } from './start.ts'
import { x509Library } from './x509-library.ts'
import { x509Service } from './x509-service.ts'

/** Every bench by the name that `npm run bench -- NAME` takes; memory first, before anything was loaded. */
const BENCHES: Readonly<Record<string, Bench>> = {
  memory,
  'x509-library': x509Library,
  'jwt-svid': jwtSvid,
  evaluate: evaluateOne,
  'export-list': exportList,
  'snapshot-change': snapshotChange,
  'bundle-get': bundleGet,
  'x509-service': x509Service,
  polling,
  start,
}

/** Runs the named benches, or all, and prints one JSON line a figure; answers the exit code. */
async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { smoke: { type: 'boolean' }, relationships: { type: 'string', multiple: true } },
    allowPositionals: true,
  })
  const unknown = positionals.filter((name) => !Object.hasOwn(BENCHES, name))
  if (unknown.length > 0) {
    console.error(`no bench ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`)
    return 2
  }
  const scale = {
    ...(values.smoke === true ? SCALES.smoke : SCALES.full),
    relationships: values.relationships?.map(Number),
  }
  const field = new Field()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void field.close().finally(() => process.exit(130)))
  }
  try {
    for (const [name, bench] of Object.entries(BENCHES)) {
      if (positionals.length > 0 && !positionals.includes(name)) continue
      for await (const figure of bench(scale, field)) console.log(JSON.stringify(figure))
    }
  } finally {
    await field.close()
  }
  return 0
}

process.exit(await main())
