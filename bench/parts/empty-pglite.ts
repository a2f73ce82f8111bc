import { openPglite } from '../../src/db/pglite.ts'

/** Where the empty database lies. */
interface EmptyArgument {
  readonly folder: string
}

const { folder } = JSON.parse(process.argv[2] ?? '') as EmptyArgument
const pglite = await openPglite({ folder })
await pglite.query('select 1')
process.on('message', () => {
  void pglite.close().then(() => process.exit(0))
})
process.send?.({})
setInterval(() => undefined, 60_000)
