import { startPart } from './children.ts'
import { type Bench, round, takeTurns } from './harness.ts'
import { startServiceProcess } from './service-process.ts'

/**
 * From the start of the process to the first answer, on a database that exists: the embedded service against a
 * process that opens an empty PGlite and asks it one question.
 */
export const start: Bench = async function* start(scale, field) {
  await field.empty()
  await field.endEmpty()
  await field.embedded()
  await field.endEmbedded()
  const times = await takeTurns(scale, {
    floor: async () => {
      const begun = performance.now()
      const part = await startPart('empty-pglite', { folder: field.folder('empty') })
      const ms = performance.now() - begun
      await part.finish({})
      return ms
    },
    subject: async () => {
      const service = await startServiceProcess(field.folder('embedded'))
      await service.end()
      return service.startMs
    },
  })
  yield {
    bench: 'start embedded',
    value: round(times.subject),
    unit: 'ms to the first answer',
    baseline: round(times.floor),
    ratio: round(times.subject / times.floor),
    goal: 'value <= baseline + 1000',
  }
}
