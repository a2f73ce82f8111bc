import t from 'tap'
import { isKnown, weakEtagOf } from '../../src/http/weak-etag.ts'

t.test('equal content has an equal tag, other content another one', async (t) => {
  const tag = weakEtagOf({ a: 1, b: [2] })
  t.match(tag, /^W\/"[0-9a-f]{32}"$/)
  t.equal(weakEtagOf({ a: 1, b: [2] }), tag)
  t.not(weakEtagOf({ a: 1, b: [3] }), tag)
})

t.test('If-None-Match knows a tag among others, weak or not, and by an asterisk', async (t) => {
  const tag = 'W/"1"'
  t.same(
    [undefined, '"2"', 'W/"2", W/"1"', '"1"', '*'].map((header) => isKnown(header, tag)),
    [false, false, true, true, true],
  )
})
