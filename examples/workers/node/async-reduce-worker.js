// Serves an ordinary function as a worker of async-reduce's process pool. docs/workers.md has the protocol.
//
//     my-udf --strategy process-pool --worker-command 'node async-reduce-worker.js ./legacy.js score'
//
// The function gets an event's payload, decoded as JSON, and returns what JSON can express, or a promise of it. An error
// with a `kind` is counted by that, any other as `panic`. What it prints goes to standard error.
'use strict'

const fs = require('fs')
const path = require('path')

// Before the function is loaded, as that may print: a line between two frames would end this worker.
const answers = fs.openSync('/proc/self/fd/1', 'w')
fs.closeSync(1)
if (fs.openSync('/proc/self/fd/2', 'w') !== 1) throw new Error('descriptor 1 cannot be moved')
// A Ctrl-C reaches every process of the terminal; this one ends with its input.
process.on('SIGINT', () => {})

const GREETING = Buffer.from('async-reduce worker 1')

function write (content) {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(content.length)
  let frame = Buffer.concat([length, content])
  while (frame.length > 0) frame = frame.subarray(fs.writeSync(answers, frame))
}

function failed (kind, reason, { retry = false, after_ms = 0 } = {}) {
  return JSON.stringify({ error: { kind, reason: String(reason), retry, after_ms } })
}

async function attempt (call, payload) {
  let event
  try {
    event = JSON.parse(payload)
  } catch {
    return failed('bad-input', 'the payload is no JSON')
  }
  try {
    const answer = await call(event)
    return JSON.stringify({ ok: answer === undefined ? null : answer })
  } catch (error) {
    if (error.kind) return failed(error.kind, error.message, error)
    console.error(error)
    return failed('panic', error.name)
  }
}

async function serve (call) {
  write(GREETING)
  let bytes = Buffer.alloc(0)
  for await (const chunk of process.stdin) {
    bytes = Buffer.concat([bytes, chunk])
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32LE()) {
      const end = 4 + bytes.readUInt32LE()
      const payload = bytes.subarray(8 + bytes.readUInt32LE(4), end)
      const began = process.hrtime.bigint()
      const answer = await attempt(call, payload)
      const head = Buffer.alloc(12)
      head.writeBigUInt64LE(process.hrtime.bigint() - began)
      write(Buffer.concat([head, Buffer.from(answer)]))
      bytes = bytes.subarray(end)
    }
  }
}

const [file, name] = process.argv.slice(2)
serve(require(path.resolve(file))[name])
