'use strict'
// The site's job as a Haraka plugin, since Haraka has none of its own for it: virtual aliases, transports, whose mail is held. The
// tables are read once and kept in maps, which is the least that this can cost.

const fs = require('node:fs')

const HOUR = 3600

// A text that postmap(1) reads: a key, white space, a value.
function table(path) {
  const entries = fs.readFileSync(path, 'utf8').split('\n').filter((line) => line && !line.startsWith('#'))
  return new Map(entries.map((line) => {
    const at = line.search(/\s/)
    return [line.slice(0, at).toLowerCase(), line.slice(at).trim()]
  }))
}

exports.register = function () {
  this.virtual = table('/etc/facteur/virtual.monassoce')
  this.transports = ['/etc/facteur/transport.via', '/etc/facteur/transport.monassoce'].map(table)
  this.held = table('/etc/facteur/hold')
}

// No server asks the DNS about clients here.
exports.hook_lookup_rdns = function (next) {
  next(OK, 'unknown')
}

// Nobody may relay; what the virtual table knows is taken, as what it stands for.
exports.hook_rcpt = function (next, connection, params) {
  const recipient = params[0]
  const address = `${recipient.user}@${recipient.host}`.toLowerCase()
  const target = this.virtual.get(address) ?? this.virtual.get(`@${recipient.host}`.toLowerCase())
  if (!target) return next(DENY, 'Relay access denied')
  const [user, host] = target.split('@')
  const recipients = connection.transaction.rcpt_to
  recipients[recipients.length - 1] = new recipient.constructor(user, host)
  connection.relaying = true
  next(OK)
}

exports.hook_send_email = function (next, mail) {
  const sender = mail.todo.mail_from
  if (this.held.has(`${sender.user}@${sender.host}`.toLowerCase())) return next(DELAY, HOUR)
  next()
}

exports.hook_get_mx = function (next, mail, domain) {
  const address = `${mail.todo.rcpt_to[0].user}@${domain}`.toLowerCase()
  for (const transport of this.transports) {
    const route = transport.get(address) ?? transport.get(domain.toLowerCase())
    const hop = route?.match(/^smtp:\[(.*)\]$/)
    if (hop) return next(OK, { priority: 0, exchange: hop[1], port: 25 })
  }
  next()
}
