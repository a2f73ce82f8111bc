import t from 'tap'
import { ServiceError } from '../../src/errors.ts'
import { checkSettings, settingsInForce, settingsToStore } from '../../src/mesh/settings.ts'

const refusal = (settings: Record<string, number>): string[] => {
  try {
    checkSettings(settingsInForce(settings))
    return []
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    return error.fields.map((field) => `${field.pointer} ${field.detail}`)
  }
}

t.test('the defaults are accepted, and only what differs from them is stored', (t) => {
  t.same(refusal({}), [])
  t.same(settingsToStore(settingsInForce({ hintSeconds: 60 })), { hintSeconds: 60 })
  t.equal(settingsInForce({ hintSeconds: 60 }).hintSeconds, 60)
  t.equal(settingsInForce({}).intermediateSeconds, 7 * 86_400)
  t.end()
})

t.test('an intermediate that would not live twice the longest SVID is refused', (t) => {
  t.same(refusal({ intermediateSeconds: 2 * 86_400 }), [])
  t.same(refusal({ intermediateSeconds: 2 * 86_400 - 1 }), [
    '/settings/intermediateSeconds is 172799, wanted at least twice maxX509SvidSeconds, 172800',
  ])
  t.end()
})

t.test('a life that leaves no time to publish the successor is refused', (t) => {
  const faults = refusal({ jwtKeySeconds: 7200 })
  t.equal(faults.length, 1)
  t.match(faults[0], /leaves 2400 s to publish a successor, wanted 3600/)
  t.same(refusal({ jwtKeySeconds: 7200, minPublishSeconds: 2400 }), [])
  t.end()
})

t.test('every fault is told at once', (t) => {
  t.same(refusal({ hintSeconds: 0, maxX509SvidSeconds: 86_401, minPublishSeconds: 1.5 }), [
    '/settings/maxX509SvidSeconds is 86401, wanted a whole number from 1 to 86400',
    '/settings/minPublishSeconds is 1.5, wanted a whole number from 0 to 2592000',
    '/settings/hintSeconds is 0, wanted a whole number from 1 to 86400',
  ])
  t.end()
})
