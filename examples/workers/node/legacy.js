// A function as it was before there was a UDF: it knows nothing of events, windows or frames.
'use strict'

console.log('legacy: ready')

exports.score = async (payment) => {
  console.log('scoring', payment.user)
  await new Promise((resolve) => setTimeout(resolve, 1000 * (payment.slow || 0)))
  return payment.amount / 10
}
